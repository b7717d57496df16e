/* SPDX-License-Identifier: Apache-2.0 */
/* Registers, descriptors and status records of all coprocessors. Not written by hand:
 * `python -m prunus.export.header` makes it from golden/registers.py and the tables of
 * fields of each engine. */
#ifndef PRUNUS_TABLES_H
#define PRUNUS_TABLES_H

#include <stdint.h>

#define PRUNUS_ID_VALUE 0x4E555250u
#define PRUNUS_IMAGE_VERSION 4u
#define PRUNUS_WORDS 16u
#define PRUNUS_DESCRIPTOR_WORDS 32u
#define PRUNUS_COUNT_MAX 0xFFFFu
#define PRUNUS_WINDOW_BYTES 64u
#define PRUNUS_DESCRIPTOR_BYTES 64u
#define PRUNUS_STATUS_BYTES 64u
#define PRUNUS_FILL 165u
#define PRUNUS_T_FRAC 12u
#define PRUNUS_SCALE_BITS 16u
#define PRUNUS_SCALE_SHIFT_MIN 12u
#define PRUNUS_SCALE_SHIFT_MAX 63u
#define PRUNUS_HDP_RHO_FRAC 7u
#define PRUNUS_HDP_DELTA_MAX 0xFFFFFFu

/* Of a bus. A descriptor of 32 bits of addresses has the first PRUNUS_WORDS words. */
typedef uint64_t prunus_address;

/* What a status record says was wrong with a job. */
enum prunus_job_error {
    PRUNUS_JOB_NONE = 0,
    PRUNUS_JOB_OPCODE = 1,
    PRUNUS_JOB_DIMENSION = 2,
    PRUNUS_JOB_LENGTH = 3,
    PRUNUS_JOB_VALID = 4,
    PRUNUS_JOB_PRUNING = 5,
    PRUNUS_JOB_ALIGNMENT = 6,
    PRUNUS_JOB_BUS = 7,
    PRUNUS_JOB_WRITE = 8
};

/* The first error of a table, in the register error. */
enum prunus_cause {
    PRUNUS_CAUSE_NONE = 0,
    PRUNUS_CAUSE_OPCODE = 1,
    PRUNUS_CAUSE_DIMENSION = 2,
    PRUNUS_CAUSE_LENGTH = 3,
    PRUNUS_CAUSE_VALID = 4,
    PRUNUS_CAUSE_PRUNING = 5,
    PRUNUS_CAUSE_ALIGNMENT = 6,
    PRUNUS_CAUSE_READ = 7,
    PRUNUS_CAUSE_WRITE = 8,
    PRUNUS_CAUSE_WINDOW = 9,
    PRUNUS_CAUSE_TIMEOUT = 10
};

/* Registers of every coprocessor: offsets in bytes, and fields. */
#define PRUNUS_REG_ID 0u
#define PRUNUS_REG_VERSION 4u
#define PRUNUS_REG_FORMAT 8u
#define PRUNUS_FORMAT_WIDTH_SHIFT 0u
#define PRUNUS_FORMAT_WIDTH_MASK 255u
#define PRUNUS_FORMAT_AXI_DATA_WIDTH_SHIFT 16u
#define PRUNUS_FORMAT_AXI_DATA_WIDTH_MASK 0xFFFFu
#define PRUNUS_REG_LIMITS 12u
#define PRUNUS_LIMITS_L_MAX_SHIFT 0u
#define PRUNUS_LIMITS_L_MAX_MASK 0xFFFFu
#define PRUNUS_LIMITS_D_MAX_SHIFT 16u
#define PRUNUS_LIMITS_D_MAX_MASK 0xFFFFu
#define PRUNUS_REG_IRQ_ENABLE 20u
#define PRUNUS_IRQ_ENABLE_DONE_SHIFT 0u
#define PRUNUS_IRQ_ENABLE_DONE_MASK 1u
#define PRUNUS_IRQ_ENABLE_ERROR_SHIFT 1u
#define PRUNUS_IRQ_ENABLE_ERROR_MASK 1u
#define PRUNUS_REG_STATUS 24u
#define PRUNUS_STATUS_BUSY_SHIFT 0u
#define PRUNUS_STATUS_BUSY_MASK 1u
#define PRUNUS_STATUS_IRQ_SHIFT 1u
#define PRUNUS_STATUS_IRQ_MASK 1u
#define PRUNUS_STATUS_WRITE_ERROR_SHIFT 2u
#define PRUNUS_STATUS_WRITE_ERROR_MASK 1u
#define PRUNUS_STATUS_ERROR_SHIFT 3u
#define PRUNUS_STATUS_ERROR_MASK 1u
#define PRUNUS_STATUS_HALTED_SHIFT 4u
#define PRUNUS_STATUS_HALTED_MASK 1u
#define PRUNUS_STATUS_ABORTING_SHIFT 5u
#define PRUNUS_STATUS_ABORTING_MASK 1u
#define PRUNUS_STATUS_OUTSTANDING_SHIFT 6u
#define PRUNUS_STATUS_OUTSTANDING_MASK 1u
#define PRUNUS_REG_TABLE 28u
#define PRUNUS_REG_DOORBELL 32u
#define PRUNUS_REG_ENGINE 36u
#define PRUNUS_ENGINE_OPCODE_SHIFT 0u
#define PRUNUS_ENGINE_OPCODE_MASK 255u
#define PRUNUS_ENGINE_ADDRESS_HIGH_SHIFT 8u
#define PRUNUS_ENGINE_ADDRESS_HIGH_MASK 255u
#define PRUNUS_ENGINE_LINEAR_SHIFT 16u
#define PRUNUS_ENGINE_LINEAR_MASK 1u
#define PRUNUS_REG_REVISION 40u
#define PRUNUS_REG_CONTROL 44u
#define PRUNUS_CONTROL_ABORT_SHIFT 0u
#define PRUNUS_CONTROL_ABORT_MASK 1u
#define PRUNUS_REG_TIMEOUT 48u
#define PRUNUS_REG_JOB 52u
#define PRUNUS_JOB_INDEX_SHIFT 0u
#define PRUNUS_JOB_INDEX_MASK 0xFFFFu
#define PRUNUS_REG_ERROR 56u
#define PRUNUS_ERROR_CAUSE_SHIFT 0u
#define PRUNUS_ERROR_CAUSE_MASK 255u
#define PRUNUS_ERROR_RESPONSE_SHIFT 8u
#define PRUNUS_ERROR_RESPONSE_MASK 3u
#define PRUNUS_ERROR_JOB_SHIFT 16u
#define PRUNUS_ERROR_JOB_MASK 0xFFFFu
#define PRUNUS_REG_ERROR_ADDRESS 60u
#define PRUNUS_REG_JOBS_DONE 64u
#define PRUNUS_REG_JOBS_FAILED 68u
#define PRUNUS_REG_CYCLES 72u
#define PRUNUS_REG_READ_BYTES 76u
#define PRUNUS_REG_WRITE_BYTES 80u
#define PRUNUS_REG_LOCK 128u
#define PRUNUS_LOCK_LOCKED_SHIFT 0u
#define PRUNUS_LOCK_LOCKED_MASK 1u
#define PRUNUS_REG_OPERANDS_BASE 132u
#define PRUNUS_REG_OPERANDS_LIMIT 136u
#define PRUNUS_REG_RESULTS_BASE 140u
#define PRUNUS_REG_RESULTS_LIMIT 144u
#define PRUNUS_REG_RECORDS_BASE 148u
#define PRUNUS_REG_RECORDS_LIMIT 152u

/* Further ones where addresses have more than 32 bits. */
#define PRUNUS_REG_TABLE_HIGH 160u
#define PRUNUS_REG_ERROR_ADDRESS_HIGH 164u
#define PRUNUS_REG_OPERANDS_BASE_HIGH 168u
#define PRUNUS_REG_OPERANDS_LIMIT_HIGH 172u
#define PRUNUS_REG_RESULTS_BASE_HIGH 176u
#define PRUNUS_REG_RESULTS_LIMIT_HIGH 180u
#define PRUNUS_REG_RECORDS_BASE_HIGH 184u
#define PRUNUS_REG_RECORDS_LIMIT_HIGH 188u

/* Further ones of HDP. */
#define PRUNUS_HDP_FORMAT_FRAC_SHIFT 8u
#define PRUNUS_HDP_FORMAT_FRAC_MASK 127u
#define PRUNUS_HDP_FORMAT_ROUNDED_SHIFT 15u
#define PRUNUS_HDP_FORMAT_ROUNDED_MASK 1u
#define PRUNUS_HDP_REG_MULTIPLIERS 16u
#define PRUNUS_HDP_REG_INTEGER_SLOTS 84u
#define PRUNUS_HDP_REG_SCORE_SLOTS 88u
#define PRUNUS_HDP_REG_VALUE_SLOTS 92u
#define PRUNUS_HDP_REG_IDLE_SOFTMAX 96u
#define PRUNUS_HDP_REG_IDLE_OPERAND 100u
#define PRUNUS_HDP_REG_IDLE_DMA 104u
#define PRUNUS_HDP_REG_IDLE_THRESHOLD 108u
#define PRUNUS_HDP_REG_IDLE_DRAIN 112u

/* Further ones of LeOPArd. */
#define PRUNUS_LEOPARD_FORMAT_DIGIT_SHIFT 8u
#define PRUNUS_LEOPARD_FORMAT_DIGIT_MASK 255u
#define PRUNUS_LEOPARD_REG_UNITS 16u
#define PRUNUS_LEOPARD_UNITS_DPUS_SHIFT 0u
#define PRUNUS_LEOPARD_UNITS_DPUS_MASK 0xFFFFu
#define PRUNUS_LEOPARD_UNITS_TAPS_SHIFT 16u
#define PRUNUS_LEOPARD_UNITS_TAPS_MASK 0xFFFFu
#define PRUNUS_LEOPARD_REG_DIGITS 84u
#define PRUNUS_LEOPARD_REG_SURVIVORS 88u
#define PRUNUS_LEOPARD_REG_KEY_WORDS 92u
#define PRUNUS_LEOPARD_REG_VALUE_WORDS 96u
#define PRUNUS_LEOPARD_REG_IDLE_DMA 100u

/* Further ones of Top-K. */
#define PRUNUS_TOPK_REG_PLACES 16u
#define PRUNUS_TOPK_PLACES_K_MAX_SHIFT 0u
#define PRUNUS_TOPK_PLACES_K_MAX_MASK 0xFFFFu
#define PRUNUS_TOPK_PLACES_TAPS_SHIFT 16u
#define PRUNUS_TOPK_PLACES_TAPS_MASK 0xFFFFu
#define PRUNUS_TOPK_REG_SURVIVORS 84u
#define PRUNUS_TOPK_REG_KEYS 88u
#define PRUNUS_TOPK_REG_VALUE_WORDS 92u
#define PRUNUS_TOPK_REG_IDLE_DMA 96u

/* A job of HDP. */
#define PRUNUS_HDP_OPCODE 1u

struct prunus_hdp_descriptor {
    uint32_t opcode;  /* the kind of job */
    uint32_t causal;  /* hides key j from query i unless j <= i + valid_kv - valid_q */
    uint32_t exact;  /* kept blocks get the product of fractions, too */
    uint32_t dense;  /* prunes nothing and has no integer pass */
    uint32_t drop;  /* pruned blocks have probability 0 instead of score 0 */
    uint32_t same_kv;  /* K and V are those of the descriptor before */
    uint32_t distance;  /* importance: distance and delta decide about blocks, not rho */
    uint32_t l_q;  /* queries */
    uint32_t l_kv;  /* keys */
    uint32_t valid_q;  /* queries that are not padding */
    uint32_t valid_kv;  /* keys that are not padding */
    uint32_t d;  /* dimensions, a multiple of 8 */
    int32_t rho;  /* P of the pruning ratio P / 128, two's complement */
    uint32_t shift;  /* of the scale, 12..63 */
    uint32_t tau_head;  /* a head with a smaller theta_head is pruned */
    uint32_t mant;  /* of the scale: mant * 2^-shift = scale * log2(e) */
    uint64_t q_i;  /* address of plane q_i; its bits from 32 on */
    uint64_t q_f;  /* address of plane q_f; its bits from 32 on */
    uint64_t k_i;  /* address of plane k_i; its bits from 32 on */
    uint64_t k_f;  /* address of plane k_f; its bits from 32 on */
    uint64_t v;  /* address of plane v; its bits from 32 on */
    uint64_t out;  /* address of the output plane; its bits from 32 on */
    uint64_t status;  /* address of the status record; its bits from 32 on */
    uint32_t delta;  /* largest distance of what is kept, in units of integer scores */
};

static inline void prunus_hdp_descriptor_pack(const struct prunus_hdp_descriptor *from, uint32_t *words)
{
    int n;

    for (n = 0; n < 32; n++)
        words[n] = 0u;
    words[0] |= (uint32_t)(((uint64_t)from->opcode >> 0) & 0xFFu) << 0;
    words[0] |= (uint32_t)(((uint64_t)from->causal >> 0) & 0x1u) << 8;
    words[0] |= (uint32_t)(((uint64_t)from->exact >> 0) & 0x1u) << 9;
    words[0] |= (uint32_t)(((uint64_t)from->dense >> 0) & 0x1u) << 10;
    words[0] |= (uint32_t)(((uint64_t)from->drop >> 0) & 0x1u) << 11;
    words[0] |= (uint32_t)(((uint64_t)from->same_kv >> 0) & 0x1u) << 12;
    words[0] |= (uint32_t)(((uint64_t)from->distance >> 0) & 0x1u) << 13;
    words[1] |= (uint32_t)(((uint64_t)from->l_q >> 0) & 0xFFFFu) << 0;
    words[1] |= (uint32_t)(((uint64_t)from->l_kv >> 0) & 0xFFFFu) << 16;
    words[2] |= (uint32_t)(((uint64_t)from->valid_q >> 0) & 0xFFFFu) << 0;
    words[2] |= (uint32_t)(((uint64_t)from->valid_kv >> 0) & 0xFFFFu) << 16;
    words[3] |= (uint32_t)(((uint64_t)from->d >> 0) & 0xFFu) << 0;
    words[3] |= (uint32_t)(((uint64_t)from->rho >> 0) & 0xFFu) << 8;
    words[3] |= (uint32_t)(((uint64_t)from->shift >> 0) & 0xFFFFu) << 16;
    words[4] |= (uint32_t)(((uint64_t)from->tau_head >> 0) & 0xFFFFFFFFu) << 0;
    words[5] |= (uint32_t)(((uint64_t)from->mant >> 0) & 0xFFFFu) << 0;
    words[6] |= (uint32_t)(((uint64_t)from->q_i >> 0) & 0xFFFFFFFFu) << 0;
    words[22] |= (uint32_t)(((uint64_t)from->q_i >> 32) & 0xFFFFFFFFu) << 0;
    words[7] |= (uint32_t)(((uint64_t)from->q_f >> 0) & 0xFFFFFFFFu) << 0;
    words[23] |= (uint32_t)(((uint64_t)from->q_f >> 32) & 0xFFFFFFFFu) << 0;
    words[8] |= (uint32_t)(((uint64_t)from->k_i >> 0) & 0xFFFFFFFFu) << 0;
    words[24] |= (uint32_t)(((uint64_t)from->k_i >> 32) & 0xFFFFFFFFu) << 0;
    words[9] |= (uint32_t)(((uint64_t)from->k_f >> 0) & 0xFFFFFFFFu) << 0;
    words[25] |= (uint32_t)(((uint64_t)from->k_f >> 32) & 0xFFFFFFFFu) << 0;
    words[10] |= (uint32_t)(((uint64_t)from->v >> 0) & 0xFFFFFFFFu) << 0;
    words[26] |= (uint32_t)(((uint64_t)from->v >> 32) & 0xFFFFFFFFu) << 0;
    words[11] |= (uint32_t)(((uint64_t)from->out >> 0) & 0xFFFFFFFFu) << 0;
    words[27] |= (uint32_t)(((uint64_t)from->out >> 32) & 0xFFFFFFFFu) << 0;
    words[12] |= (uint32_t)(((uint64_t)from->status >> 0) & 0xFFFFFFFFu) << 0;
    words[28] |= (uint32_t)(((uint64_t)from->status >> 32) & 0xFFFFFFFFu) << 0;
    words[13] |= (uint32_t)(((uint64_t)from->delta >> 0) & 0xFFFFFFFFu) << 0;
}

static inline void prunus_hdp_descriptor_unpack(const uint32_t *words, struct prunus_hdp_descriptor *to)
{
    uint64_t value;

    value = 0u;
    value |= (uint64_t)((words[0] >> 0) & 0xFFu) << 0;
    to->opcode = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[0] >> 8) & 0x1u) << 0;
    to->causal = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[0] >> 9) & 0x1u) << 0;
    to->exact = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[0] >> 10) & 0x1u) << 0;
    to->dense = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[0] >> 11) & 0x1u) << 0;
    to->drop = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[0] >> 12) & 0x1u) << 0;
    to->same_kv = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[0] >> 13) & 0x1u) << 0;
    to->distance = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[1] >> 0) & 0xFFFFu) << 0;
    to->l_q = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[1] >> 16) & 0xFFFFu) << 0;
    to->l_kv = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[2] >> 0) & 0xFFFFu) << 0;
    to->valid_q = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[2] >> 16) & 0xFFFFu) << 0;
    to->valid_kv = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[3] >> 0) & 0xFFu) << 0;
    to->d = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[3] >> 8) & 0xFFu) << 0;
    to->rho = (int32_t)((int64_t)(value ^ 0x80u) - (int64_t)0x80);
    value = 0u;
    value |= (uint64_t)((words[3] >> 16) & 0xFFFFu) << 0;
    to->shift = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[4] >> 0) & 0xFFFFFFFFu) << 0;
    to->tau_head = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[5] >> 0) & 0xFFFFu) << 0;
    to->mant = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[6] >> 0) & 0xFFFFFFFFu) << 0;
    value |= (uint64_t)((words[22] >> 0) & 0xFFFFFFFFu) << 32;
    to->q_i = (uint64_t)value;
    value = 0u;
    value |= (uint64_t)((words[7] >> 0) & 0xFFFFFFFFu) << 0;
    value |= (uint64_t)((words[23] >> 0) & 0xFFFFFFFFu) << 32;
    to->q_f = (uint64_t)value;
    value = 0u;
    value |= (uint64_t)((words[8] >> 0) & 0xFFFFFFFFu) << 0;
    value |= (uint64_t)((words[24] >> 0) & 0xFFFFFFFFu) << 32;
    to->k_i = (uint64_t)value;
    value = 0u;
    value |= (uint64_t)((words[9] >> 0) & 0xFFFFFFFFu) << 0;
    value |= (uint64_t)((words[25] >> 0) & 0xFFFFFFFFu) << 32;
    to->k_f = (uint64_t)value;
    value = 0u;
    value |= (uint64_t)((words[10] >> 0) & 0xFFFFFFFFu) << 0;
    value |= (uint64_t)((words[26] >> 0) & 0xFFFFFFFFu) << 32;
    to->v = (uint64_t)value;
    value = 0u;
    value |= (uint64_t)((words[11] >> 0) & 0xFFFFFFFFu) << 0;
    value |= (uint64_t)((words[27] >> 0) & 0xFFFFFFFFu) << 32;
    to->out = (uint64_t)value;
    value = 0u;
    value |= (uint64_t)((words[12] >> 0) & 0xFFFFFFFFu) << 0;
    value |= (uint64_t)((words[28] >> 0) & 0xFFFFFFFFu) << 32;
    to->status = (uint64_t)value;
    value = 0u;
    value |= (uint64_t)((words[13] >> 0) & 0xFFFFFFFFu) << 0;
    to->delta = (uint32_t)value;
}

struct prunus_hdp_record {
    uint32_t done;  /* 1 */
    uint32_t error;  /* error code */
    uint32_t head_kept;  /* 1 if the head was kept */
    uint64_t theta_head;  /* sum of theta over all blocks; 0 of a dense head */
    uint32_t blocks_kept;  /* blocks that the mask keeps */
    uint32_t blocks_total;  /* blocks that are visible */
    uint32_t read_bytes;  /* bytes read for the job, its descriptor included */
    uint32_t write_bytes;  /* bytes written for it, this record included */
};

static inline void prunus_hdp_record_pack(const struct prunus_hdp_record *from, uint32_t *words)
{
    int n;

    for (n = 0; n < 16; n++)
        words[n] = 0u;
    words[0] |= (uint32_t)(((uint64_t)from->done >> 0) & 0xFFu) << 0;
    words[0] |= (uint32_t)(((uint64_t)from->error >> 0) & 0xFFFFFFu) << 8;
    words[1] |= (uint32_t)(((uint64_t)from->head_kept >> 0) & 0xFFFFFFFFu) << 0;
    words[2] |= (uint32_t)(((uint64_t)from->theta_head >> 0) & 0xFFFFFFFFu) << 0;
    words[3] |= (uint32_t)(((uint64_t)from->theta_head >> 32) & 0xFFFFFFFFu) << 0;
    words[4] |= (uint32_t)(((uint64_t)from->blocks_kept >> 0) & 0xFFFFFFFFu) << 0;
    words[5] |= (uint32_t)(((uint64_t)from->blocks_total >> 0) & 0xFFFFFFFFu) << 0;
    words[6] |= (uint32_t)(((uint64_t)from->read_bytes >> 0) & 0xFFFFFFFFu) << 0;
    words[7] |= (uint32_t)(((uint64_t)from->write_bytes >> 0) & 0xFFFFFFFFu) << 0;
}

static inline void prunus_hdp_record_unpack(const uint32_t *words, struct prunus_hdp_record *to)
{
    uint64_t value;

    value = 0u;
    value |= (uint64_t)((words[0] >> 0) & 0xFFu) << 0;
    to->done = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[0] >> 8) & 0xFFFFFFu) << 0;
    to->error = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[1] >> 0) & 0xFFFFFFFFu) << 0;
    to->head_kept = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[2] >> 0) & 0xFFFFFFFFu) << 0;
    value |= (uint64_t)((words[3] >> 0) & 0xFFFFFFFFu) << 32;
    to->theta_head = (uint64_t)value;
    value = 0u;
    value |= (uint64_t)((words[4] >> 0) & 0xFFFFFFFFu) << 0;
    to->blocks_kept = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[5] >> 0) & 0xFFFFFFFFu) << 0;
    to->blocks_total = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[6] >> 0) & 0xFFFFFFFFu) << 0;
    to->read_bytes = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[7] >> 0) & 0xFFFFFFFFu) << 0;
    to->write_bytes = (uint32_t)value;
}

/* A job of HDP. */
#define PRUNUS_HDP_1_OPCODE 16u

struct prunus_hdp_1_descriptor {
    uint32_t opcode;  /* the kind of job */
    uint32_t narrow;  /* weights have 4 bits */
    uint32_t activation;  /* 0 none, 1 ReLU, 2 a table at the front of plane c */
    uint32_t residual;  /* plane r is added */
    uint32_t held_x;  /* X is on the chip: what the job before held */
    uint32_t held_y;  /* Y stays on the chip */
    uint32_t wide;  /* Y is sums of 32 bits */
    uint32_t digits;  /* Y is planes of integer parts and fractions */
    uint32_t transposed;  /* 16 rows of the product lie side by side in Y, not channels */
    uint32_t fence;  /* begins when all before is written */
    uint32_t words;  /* plane x is output words of heads, one head after the other */
    uint32_t residual_shift;  /* of the residual */
    uint32_t m;  /* rows of X */
    uint32_t k;  /* dimensions of a group, a multiple of 8 */
    uint32_t span;  /* channels of a group, a multiple of 8 */
    uint32_t strip;  /* rows in work together, even */
    uint32_t tile;  /* channels in work together, a multiple of 16; of groups, span */
    uint32_t groups;  /* blocks on the diagonal of W */
    uint32_t residual_multiplier;  /* of the residual */
    uint32_t stride;  /* of rows of Y: beats in memory, granules on the chip */
    uint32_t p_inner;  /* dimensions of Y from one p to the next */
    uint32_t inner;  /* extent of b */
    uint32_t middle;  /* extent of c */
    uint32_t run;  /* extent of q */
    uint32_t a_row;  /* rows of Y from one a to the next */
    uint32_t c_row;  /* rows of Y from one c to the next */
    uint32_t p_row;  /* rows of Y from one p to the next */
    uint32_t b_inner;  /* dimensions of Y from one b to the next */
    uint32_t x_run;  /* dimensions of a head in plane x, a multiple of 16 */
    uint64_t x;  /* address of plane x; its bits from 32 on */
    uint64_t w;  /* address of plane w; its bits from 32 on */
    uint64_t out;  /* address of Y; of digits, of the plane of integer parts; its bits from 32 on */
    uint64_t status;  /* address of the status record; its bits from 32 on */
    uint64_t c;  /* address of plane c; its bits from 32 on */
    uint64_t r;  /* address of plane r; its bits from 32 on */
    uint64_t out_f;  /* address of the plane of fractions; its bits from 32 on */
};

static inline void prunus_hdp_1_descriptor_pack(const struct prunus_hdp_1_descriptor *from, uint32_t *words)
{
    int n;

    for (n = 0; n < 32; n++)
        words[n] = 0u;
    words[0] |= (uint32_t)(((uint64_t)from->opcode >> 0) & 0xFFu) << 0;
    words[0] |= (uint32_t)(((uint64_t)from->narrow >> 0) & 0x1u) << 8;
    words[0] |= (uint32_t)(((uint64_t)from->activation >> 0) & 0x3u) << 9;
    words[0] |= (uint32_t)(((uint64_t)from->residual >> 0) & 0x1u) << 11;
    words[0] |= (uint32_t)(((uint64_t)from->held_x >> 0) & 0x1u) << 12;
    words[0] |= (uint32_t)(((uint64_t)from->held_y >> 0) & 0x1u) << 13;
    words[0] |= (uint32_t)(((uint64_t)from->wide >> 0) & 0x1u) << 14;
    words[0] |= (uint32_t)(((uint64_t)from->digits >> 0) & 0x1u) << 15;
    words[0] |= (uint32_t)(((uint64_t)from->transposed >> 0) & 0x1u) << 16;
    words[0] |= (uint32_t)(((uint64_t)from->fence >> 0) & 0x1u) << 17;
    words[0] |= (uint32_t)(((uint64_t)from->words >> 0) & 0x1u) << 18;
    words[0] |= (uint32_t)(((uint64_t)from->residual_shift >> 0) & 0x3Fu) << 24;
    words[1] |= (uint32_t)(((uint64_t)from->m >> 0) & 0xFFFFu) << 0;
    words[1] |= (uint32_t)(((uint64_t)from->k >> 0) & 0xFFFFu) << 16;
    words[2] |= (uint32_t)(((uint64_t)from->span >> 0) & 0xFFFFu) << 0;
    words[2] |= (uint32_t)(((uint64_t)from->strip >> 0) & 0xFFFFu) << 16;
    words[3] |= (uint32_t)(((uint64_t)from->tile >> 0) & 0xFFu) << 0;
    words[3] |= (uint32_t)(((uint64_t)from->groups >> 0) & 0xFFu) << 8;
    words[3] |= (uint32_t)(((uint64_t)from->residual_multiplier >> 0) & 0xFFFFu) << 16;
    words[4] |= (uint32_t)(((uint64_t)from->stride >> 0) & 0xFFFFu) << 0;
    words[4] |= (uint32_t)(((uint64_t)from->p_inner >> 0) & 0xFFFFu) << 16;
    words[5] |= (uint32_t)(((uint64_t)from->inner >> 0) & 0xFFFFu) << 0;
    words[5] |= (uint32_t)(((uint64_t)from->middle >> 0) & 0xFFFFu) << 16;
    words[6] |= (uint32_t)(((uint64_t)from->run >> 0) & 0xFFFFu) << 0;
    words[6] |= (uint32_t)(((uint64_t)from->a_row >> 0) & 0xFFFFu) << 16;
    words[7] |= (uint32_t)(((uint64_t)from->c_row >> 0) & 0xFFFFu) << 0;
    words[7] |= (uint32_t)(((uint64_t)from->p_row >> 0) & 0xFFFFu) << 16;
    words[8] |= (uint32_t)(((uint64_t)from->b_inner >> 0) & 0xFFFFu) << 0;
    words[8] |= (uint32_t)(((uint64_t)from->x_run >> 0) & 0xFFFFu) << 16;
    words[9] |= (uint32_t)(((uint64_t)from->x >> 0) & 0xFFFFFFFFu) << 0;
    words[25] |= (uint32_t)(((uint64_t)from->x >> 32) & 0xFFFFFFFFu) << 0;
    words[10] |= (uint32_t)(((uint64_t)from->w >> 0) & 0xFFFFFFFFu) << 0;
    words[26] |= (uint32_t)(((uint64_t)from->w >> 32) & 0xFFFFFFFFu) << 0;
    words[11] |= (uint32_t)(((uint64_t)from->out >> 0) & 0xFFFFFFFFu) << 0;
    words[27] |= (uint32_t)(((uint64_t)from->out >> 32) & 0xFFFFFFFFu) << 0;
    words[12] |= (uint32_t)(((uint64_t)from->status >> 0) & 0xFFFFFFFFu) << 0;
    words[28] |= (uint32_t)(((uint64_t)from->status >> 32) & 0xFFFFFFFFu) << 0;
    words[13] |= (uint32_t)(((uint64_t)from->c >> 0) & 0xFFFFFFFFu) << 0;
    words[29] |= (uint32_t)(((uint64_t)from->c >> 32) & 0xFFFFFFFFu) << 0;
    words[14] |= (uint32_t)(((uint64_t)from->r >> 0) & 0xFFFFFFFFu) << 0;
    words[30] |= (uint32_t)(((uint64_t)from->r >> 32) & 0xFFFFFFFFu) << 0;
    words[15] |= (uint32_t)(((uint64_t)from->out_f >> 0) & 0xFFFFFFFFu) << 0;
    words[31] |= (uint32_t)(((uint64_t)from->out_f >> 32) & 0xFFFFFFFFu) << 0;
}

static inline void prunus_hdp_1_descriptor_unpack(const uint32_t *words, struct prunus_hdp_1_descriptor *to)
{
    uint64_t value;

    value = 0u;
    value |= (uint64_t)((words[0] >> 0) & 0xFFu) << 0;
    to->opcode = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[0] >> 8) & 0x1u) << 0;
    to->narrow = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[0] >> 9) & 0x3u) << 0;
    to->activation = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[0] >> 11) & 0x1u) << 0;
    to->residual = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[0] >> 12) & 0x1u) << 0;
    to->held_x = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[0] >> 13) & 0x1u) << 0;
    to->held_y = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[0] >> 14) & 0x1u) << 0;
    to->wide = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[0] >> 15) & 0x1u) << 0;
    to->digits = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[0] >> 16) & 0x1u) << 0;
    to->transposed = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[0] >> 17) & 0x1u) << 0;
    to->fence = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[0] >> 18) & 0x1u) << 0;
    to->words = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[0] >> 24) & 0x3Fu) << 0;
    to->residual_shift = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[1] >> 0) & 0xFFFFu) << 0;
    to->m = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[1] >> 16) & 0xFFFFu) << 0;
    to->k = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[2] >> 0) & 0xFFFFu) << 0;
    to->span = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[2] >> 16) & 0xFFFFu) << 0;
    to->strip = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[3] >> 0) & 0xFFu) << 0;
    to->tile = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[3] >> 8) & 0xFFu) << 0;
    to->groups = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[3] >> 16) & 0xFFFFu) << 0;
    to->residual_multiplier = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[4] >> 0) & 0xFFFFu) << 0;
    to->stride = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[4] >> 16) & 0xFFFFu) << 0;
    to->p_inner = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[5] >> 0) & 0xFFFFu) << 0;
    to->inner = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[5] >> 16) & 0xFFFFu) << 0;
    to->middle = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[6] >> 0) & 0xFFFFu) << 0;
    to->run = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[6] >> 16) & 0xFFFFu) << 0;
    to->a_row = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[7] >> 0) & 0xFFFFu) << 0;
    to->c_row = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[7] >> 16) & 0xFFFFu) << 0;
    to->p_row = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[8] >> 0) & 0xFFFFu) << 0;
    to->b_inner = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[8] >> 16) & 0xFFFFu) << 0;
    to->x_run = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[9] >> 0) & 0xFFFFFFFFu) << 0;
    value |= (uint64_t)((words[25] >> 0) & 0xFFFFFFFFu) << 32;
    to->x = (uint64_t)value;
    value = 0u;
    value |= (uint64_t)((words[10] >> 0) & 0xFFFFFFFFu) << 0;
    value |= (uint64_t)((words[26] >> 0) & 0xFFFFFFFFu) << 32;
    to->w = (uint64_t)value;
    value = 0u;
    value |= (uint64_t)((words[11] >> 0) & 0xFFFFFFFFu) << 0;
    value |= (uint64_t)((words[27] >> 0) & 0xFFFFFFFFu) << 32;
    to->out = (uint64_t)value;
    value = 0u;
    value |= (uint64_t)((words[12] >> 0) & 0xFFFFFFFFu) << 0;
    value |= (uint64_t)((words[28] >> 0) & 0xFFFFFFFFu) << 32;
    to->status = (uint64_t)value;
    value = 0u;
    value |= (uint64_t)((words[13] >> 0) & 0xFFFFFFFFu) << 0;
    value |= (uint64_t)((words[29] >> 0) & 0xFFFFFFFFu) << 32;
    to->c = (uint64_t)value;
    value = 0u;
    value |= (uint64_t)((words[14] >> 0) & 0xFFFFFFFFu) << 0;
    value |= (uint64_t)((words[30] >> 0) & 0xFFFFFFFFu) << 32;
    to->r = (uint64_t)value;
    value = 0u;
    value |= (uint64_t)((words[15] >> 0) & 0xFFFFFFFFu) << 0;
    value |= (uint64_t)((words[31] >> 0) & 0xFFFFFFFFu) << 32;
    to->out_f = (uint64_t)value;
}

struct prunus_hdp_1_record {
    uint32_t done;  /* 1 */
    uint32_t error;  /* error code */
    uint32_t clipped;  /* codes of the product that did not fit 8 bits */
    uint32_t read_bytes;  /* bytes read for the job, its descriptor included */
    uint32_t write_bytes;  /* bytes written for it, this record included */
};

static inline void prunus_hdp_1_record_pack(const struct prunus_hdp_1_record *from, uint32_t *words)
{
    int n;

    for (n = 0; n < 16; n++)
        words[n] = 0u;
    words[0] |= (uint32_t)(((uint64_t)from->done >> 0) & 0xFFu) << 0;
    words[0] |= (uint32_t)(((uint64_t)from->error >> 0) & 0xFFFFFFu) << 8;
    words[1] |= (uint32_t)(((uint64_t)from->clipped >> 0) & 0xFFFFFFFFu) << 0;
    words[6] |= (uint32_t)(((uint64_t)from->read_bytes >> 0) & 0xFFFFFFFFu) << 0;
    words[7] |= (uint32_t)(((uint64_t)from->write_bytes >> 0) & 0xFFFFFFFFu) << 0;
}

static inline void prunus_hdp_1_record_unpack(const uint32_t *words, struct prunus_hdp_1_record *to)
{
    uint64_t value;

    value = 0u;
    value |= (uint64_t)((words[0] >> 0) & 0xFFu) << 0;
    to->done = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[0] >> 8) & 0xFFFFFFu) << 0;
    to->error = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[1] >> 0) & 0xFFFFFFFFu) << 0;
    to->clipped = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[6] >> 0) & 0xFFFFFFFFu) << 0;
    to->read_bytes = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[7] >> 0) & 0xFFFFFFFFu) << 0;
    to->write_bytes = (uint32_t)value;
}

/* A job of LeOPArd. */
#define PRUNUS_LEOPARD_OPCODE 2u

struct prunus_leopard_descriptor {
    uint32_t opcode;  /* the kind of job */
    uint32_t causal;  /* hides key j from query i unless j <= i + valid_kv - valid_q */
    uint32_t same_kv;  /* K and V are those of the descriptor before */
    uint32_t l_q;  /* queries */
    uint32_t l_kv;  /* keys */
    uint32_t valid_q;  /* queries that are not padding */
    uint32_t valid_kv;  /* keys that are not padding */
    uint32_t d;  /* dimensions, a multiple of 8 */
    uint32_t shift;  /* of the scale, 12..63 */
    int64_t threshold;  /* T_int, two's complement, low word: keys below are pruned; T_int, high half-word */
    uint32_t mant;  /* of the scale: mant * 2^-shift = scale * log2(e) */
    uint64_t q;  /* address of plane q; its bits from 32 on */
    uint64_t k;  /* address of plane k; its bits from 32 on */
    uint64_t v;  /* address of plane v; its bits from 32 on */
    uint64_t out;  /* address of the output plane; its bits from 32 on */
    uint64_t status;  /* address of the status record; its bits from 32 on */
};

static inline void prunus_leopard_descriptor_pack(const struct prunus_leopard_descriptor *from, uint32_t *words)
{
    int n;

    for (n = 0; n < 32; n++)
        words[n] = 0u;
    words[0] |= (uint32_t)(((uint64_t)from->opcode >> 0) & 0xFFu) << 0;
    words[0] |= (uint32_t)(((uint64_t)from->causal >> 0) & 0x1u) << 8;
    words[0] |= (uint32_t)(((uint64_t)from->same_kv >> 0) & 0x1u) << 12;
    words[1] |= (uint32_t)(((uint64_t)from->l_q >> 0) & 0xFFFFu) << 0;
    words[1] |= (uint32_t)(((uint64_t)from->l_kv >> 0) & 0xFFFFu) << 16;
    words[2] |= (uint32_t)(((uint64_t)from->valid_q >> 0) & 0xFFFFu) << 0;
    words[2] |= (uint32_t)(((uint64_t)from->valid_kv >> 0) & 0xFFFFu) << 16;
    words[3] |= (uint32_t)(((uint64_t)from->d >> 0) & 0xFFu) << 0;
    words[3] |= (uint32_t)(((uint64_t)from->shift >> 0) & 0xFFFFu) << 16;
    words[4] |= (uint32_t)(((uint64_t)from->threshold >> 0) & 0xFFFFFFFFu) << 0;
    words[5] |= (uint32_t)(((uint64_t)from->threshold >> 32) & 0xFFFFu) << 16;
    words[5] |= (uint32_t)(((uint64_t)from->mant >> 0) & 0xFFFFu) << 0;
    words[6] |= (uint32_t)(((uint64_t)from->q >> 0) & 0xFFFFFFFFu) << 0;
    words[22] |= (uint32_t)(((uint64_t)from->q >> 32) & 0xFFFFFFFFu) << 0;
    words[8] |= (uint32_t)(((uint64_t)from->k >> 0) & 0xFFFFFFFFu) << 0;
    words[24] |= (uint32_t)(((uint64_t)from->k >> 32) & 0xFFFFFFFFu) << 0;
    words[10] |= (uint32_t)(((uint64_t)from->v >> 0) & 0xFFFFFFFFu) << 0;
    words[26] |= (uint32_t)(((uint64_t)from->v >> 32) & 0xFFFFFFFFu) << 0;
    words[11] |= (uint32_t)(((uint64_t)from->out >> 0) & 0xFFFFFFFFu) << 0;
    words[27] |= (uint32_t)(((uint64_t)from->out >> 32) & 0xFFFFFFFFu) << 0;
    words[12] |= (uint32_t)(((uint64_t)from->status >> 0) & 0xFFFFFFFFu) << 0;
    words[28] |= (uint32_t)(((uint64_t)from->status >> 32) & 0xFFFFFFFFu) << 0;
}

static inline void prunus_leopard_descriptor_unpack(const uint32_t *words, struct prunus_leopard_descriptor *to)
{
    uint64_t value;

    value = 0u;
    value |= (uint64_t)((words[0] >> 0) & 0xFFu) << 0;
    to->opcode = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[0] >> 8) & 0x1u) << 0;
    to->causal = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[0] >> 12) & 0x1u) << 0;
    to->same_kv = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[1] >> 0) & 0xFFFFu) << 0;
    to->l_q = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[1] >> 16) & 0xFFFFu) << 0;
    to->l_kv = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[2] >> 0) & 0xFFFFu) << 0;
    to->valid_q = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[2] >> 16) & 0xFFFFu) << 0;
    to->valid_kv = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[3] >> 0) & 0xFFu) << 0;
    to->d = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[3] >> 16) & 0xFFFFu) << 0;
    to->shift = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[4] >> 0) & 0xFFFFFFFFu) << 0;
    value |= (uint64_t)((words[5] >> 16) & 0xFFFFu) << 32;
    to->threshold = (int64_t)((int64_t)(value ^ 0x800000000000u) - (int64_t)0x800000000000);
    value = 0u;
    value |= (uint64_t)((words[5] >> 0) & 0xFFFFu) << 0;
    to->mant = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[6] >> 0) & 0xFFFFFFFFu) << 0;
    value |= (uint64_t)((words[22] >> 0) & 0xFFFFFFFFu) << 32;
    to->q = (uint64_t)value;
    value = 0u;
    value |= (uint64_t)((words[8] >> 0) & 0xFFFFFFFFu) << 0;
    value |= (uint64_t)((words[24] >> 0) & 0xFFFFFFFFu) << 32;
    to->k = (uint64_t)value;
    value = 0u;
    value |= (uint64_t)((words[10] >> 0) & 0xFFFFFFFFu) << 0;
    value |= (uint64_t)((words[26] >> 0) & 0xFFFFFFFFu) << 32;
    to->v = (uint64_t)value;
    value = 0u;
    value |= (uint64_t)((words[11] >> 0) & 0xFFFFFFFFu) << 0;
    value |= (uint64_t)((words[27] >> 0) & 0xFFFFFFFFu) << 32;
    to->out = (uint64_t)value;
    value = 0u;
    value |= (uint64_t)((words[12] >> 0) & 0xFFFFFFFFu) << 0;
    value |= (uint64_t)((words[28] >> 0) & 0xFFFFFFFFu) << 32;
    to->status = (uint64_t)value;
}

struct prunus_leopard_record {
    uint32_t done;  /* 1 */
    uint32_t error;  /* error code */
    uint32_t survivors;  /* keys that survived */
    uint32_t digits_total;  /* digits up to each deciding one */
    uint32_t key_words;  /* words of keys that were read */
    uint32_t read_bytes;  /* bytes read for the job, its descriptor included */
    uint32_t write_bytes;  /* bytes written for it, this record included */
};

static inline void prunus_leopard_record_pack(const struct prunus_leopard_record *from, uint32_t *words)
{
    int n;

    for (n = 0; n < 16; n++)
        words[n] = 0u;
    words[0] |= (uint32_t)(((uint64_t)from->done >> 0) & 0xFFu) << 0;
    words[0] |= (uint32_t)(((uint64_t)from->error >> 0) & 0xFFFFFFu) << 8;
    words[1] |= (uint32_t)(((uint64_t)from->survivors >> 0) & 0xFFFFFFFFu) << 0;
    words[2] |= (uint32_t)(((uint64_t)from->digits_total >> 0) & 0xFFFFFFFFu) << 0;
    words[3] |= (uint32_t)(((uint64_t)from->key_words >> 0) & 0xFFFFFFFFu) << 0;
    words[6] |= (uint32_t)(((uint64_t)from->read_bytes >> 0) & 0xFFFFFFFFu) << 0;
    words[7] |= (uint32_t)(((uint64_t)from->write_bytes >> 0) & 0xFFFFFFFFu) << 0;
}

static inline void prunus_leopard_record_unpack(const uint32_t *words, struct prunus_leopard_record *to)
{
    uint64_t value;

    value = 0u;
    value |= (uint64_t)((words[0] >> 0) & 0xFFu) << 0;
    to->done = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[0] >> 8) & 0xFFFFFFu) << 0;
    to->error = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[1] >> 0) & 0xFFFFFFFFu) << 0;
    to->survivors = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[2] >> 0) & 0xFFFFFFFFu) << 0;
    to->digits_total = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[3] >> 0) & 0xFFFFFFFFu) << 0;
    to->key_words = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[6] >> 0) & 0xFFFFFFFFu) << 0;
    to->read_bytes = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[7] >> 0) & 0xFFFFFFFFu) << 0;
    to->write_bytes = (uint32_t)value;
}

/* A job of Top-K. */
#define PRUNUS_TOPK_OPCODE 3u

struct prunus_topk_descriptor {
    uint32_t opcode;  /* the kind of job */
    uint32_t causal;  /* hides key j from query i unless j <= i + valid_kv - valid_q */
    uint32_t same_kv;  /* K and V are those of the descriptor before */
    uint32_t l_q;  /* queries */
    uint32_t l_kv;  /* keys */
    uint32_t valid_q;  /* queries that are not padding */
    uint32_t valid_kv;  /* keys that are not padding */
    uint32_t d;  /* dimensions, a multiple of 8 */
    uint32_t shift;  /* of the scale, 12..63 */
    uint32_t top_k;  /* keys that a query keeps, 1..k_max */
    uint32_t mant;  /* of the scale: mant * 2^-shift = scale * log2(e) */
    uint64_t q;  /* address of plane q; its bits from 32 on */
    uint64_t k;  /* address of plane k; its bits from 32 on */
    uint64_t v;  /* address of plane v; its bits from 32 on */
    uint64_t out;  /* address of the output plane; its bits from 32 on */
    uint64_t status;  /* address of the status record; its bits from 32 on */
};

static inline void prunus_topk_descriptor_pack(const struct prunus_topk_descriptor *from, uint32_t *words)
{
    int n;

    for (n = 0; n < 32; n++)
        words[n] = 0u;
    words[0] |= (uint32_t)(((uint64_t)from->opcode >> 0) & 0xFFu) << 0;
    words[0] |= (uint32_t)(((uint64_t)from->causal >> 0) & 0x1u) << 8;
    words[0] |= (uint32_t)(((uint64_t)from->same_kv >> 0) & 0x1u) << 12;
    words[1] |= (uint32_t)(((uint64_t)from->l_q >> 0) & 0xFFFFu) << 0;
    words[1] |= (uint32_t)(((uint64_t)from->l_kv >> 0) & 0xFFFFu) << 16;
    words[2] |= (uint32_t)(((uint64_t)from->valid_q >> 0) & 0xFFFFu) << 0;
    words[2] |= (uint32_t)(((uint64_t)from->valid_kv >> 0) & 0xFFFFu) << 16;
    words[3] |= (uint32_t)(((uint64_t)from->d >> 0) & 0xFFu) << 0;
    words[3] |= (uint32_t)(((uint64_t)from->shift >> 0) & 0xFFFFu) << 16;
    words[4] |= (uint32_t)(((uint64_t)from->top_k >> 0) & 0xFFFFFFFFu) << 0;
    words[5] |= (uint32_t)(((uint64_t)from->mant >> 0) & 0xFFFFu) << 0;
    words[6] |= (uint32_t)(((uint64_t)from->q >> 0) & 0xFFFFFFFFu) << 0;
    words[22] |= (uint32_t)(((uint64_t)from->q >> 32) & 0xFFFFFFFFu) << 0;
    words[8] |= (uint32_t)(((uint64_t)from->k >> 0) & 0xFFFFFFFFu) << 0;
    words[24] |= (uint32_t)(((uint64_t)from->k >> 32) & 0xFFFFFFFFu) << 0;
    words[10] |= (uint32_t)(((uint64_t)from->v >> 0) & 0xFFFFFFFFu) << 0;
    words[26] |= (uint32_t)(((uint64_t)from->v >> 32) & 0xFFFFFFFFu) << 0;
    words[11] |= (uint32_t)(((uint64_t)from->out >> 0) & 0xFFFFFFFFu) << 0;
    words[27] |= (uint32_t)(((uint64_t)from->out >> 32) & 0xFFFFFFFFu) << 0;
    words[12] |= (uint32_t)(((uint64_t)from->status >> 0) & 0xFFFFFFFFu) << 0;
    words[28] |= (uint32_t)(((uint64_t)from->status >> 32) & 0xFFFFFFFFu) << 0;
}

static inline void prunus_topk_descriptor_unpack(const uint32_t *words, struct prunus_topk_descriptor *to)
{
    uint64_t value;

    value = 0u;
    value |= (uint64_t)((words[0] >> 0) & 0xFFu) << 0;
    to->opcode = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[0] >> 8) & 0x1u) << 0;
    to->causal = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[0] >> 12) & 0x1u) << 0;
    to->same_kv = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[1] >> 0) & 0xFFFFu) << 0;
    to->l_q = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[1] >> 16) & 0xFFFFu) << 0;
    to->l_kv = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[2] >> 0) & 0xFFFFu) << 0;
    to->valid_q = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[2] >> 16) & 0xFFFFu) << 0;
    to->valid_kv = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[3] >> 0) & 0xFFu) << 0;
    to->d = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[3] >> 16) & 0xFFFFu) << 0;
    to->shift = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[4] >> 0) & 0xFFFFFFFFu) << 0;
    to->top_k = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[5] >> 0) & 0xFFFFu) << 0;
    to->mant = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[6] >> 0) & 0xFFFFFFFFu) << 0;
    value |= (uint64_t)((words[22] >> 0) & 0xFFFFFFFFu) << 32;
    to->q = (uint64_t)value;
    value = 0u;
    value |= (uint64_t)((words[8] >> 0) & 0xFFFFFFFFu) << 0;
    value |= (uint64_t)((words[24] >> 0) & 0xFFFFFFFFu) << 32;
    to->k = (uint64_t)value;
    value = 0u;
    value |= (uint64_t)((words[10] >> 0) & 0xFFFFFFFFu) << 0;
    value |= (uint64_t)((words[26] >> 0) & 0xFFFFFFFFu) << 32;
    to->v = (uint64_t)value;
    value = 0u;
    value |= (uint64_t)((words[11] >> 0) & 0xFFFFFFFFu) << 0;
    value |= (uint64_t)((words[27] >> 0) & 0xFFFFFFFFu) << 32;
    to->out = (uint64_t)value;
    value = 0u;
    value |= (uint64_t)((words[12] >> 0) & 0xFFFFFFFFu) << 0;
    value |= (uint64_t)((words[28] >> 0) & 0xFFFFFFFFu) << 32;
    to->status = (uint64_t)value;
}

struct prunus_topk_record {
    uint32_t done;  /* 1 */
    uint32_t error;  /* error code */
    uint32_t survivors;  /* keys that survived */
    uint32_t read_bytes;  /* bytes read for the job, its descriptor included */
    uint32_t write_bytes;  /* bytes written for it, this record included */
};

static inline void prunus_topk_record_pack(const struct prunus_topk_record *from, uint32_t *words)
{
    int n;

    for (n = 0; n < 16; n++)
        words[n] = 0u;
    words[0] |= (uint32_t)(((uint64_t)from->done >> 0) & 0xFFu) << 0;
    words[0] |= (uint32_t)(((uint64_t)from->error >> 0) & 0xFFFFFFu) << 8;
    words[1] |= (uint32_t)(((uint64_t)from->survivors >> 0) & 0xFFFFFFFFu) << 0;
    words[6] |= (uint32_t)(((uint64_t)from->read_bytes >> 0) & 0xFFFFFFFFu) << 0;
    words[7] |= (uint32_t)(((uint64_t)from->write_bytes >> 0) & 0xFFFFFFFFu) << 0;
}

static inline void prunus_topk_record_unpack(const uint32_t *words, struct prunus_topk_record *to)
{
    uint64_t value;

    value = 0u;
    value |= (uint64_t)((words[0] >> 0) & 0xFFu) << 0;
    to->done = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[0] >> 8) & 0xFFFFFFu) << 0;
    to->error = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[1] >> 0) & 0xFFFFFFFFu) << 0;
    to->survivors = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[6] >> 0) & 0xFFFFFFFFu) << 0;
    to->read_bytes = (uint32_t)value;
    value = 0u;
    value |= (uint64_t)((words[7] >> 0) & 0xFFFFFFFFu) << 0;
    to->write_bytes = (uint32_t)value;
}

#endif
