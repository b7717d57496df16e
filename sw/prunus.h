/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Driver of a Prunus coprocessor for bare metal: C99, no allocation, no library but memcpy and
 * memset. docs/software.md explains it.
 *
 * A program opens the device, lays jobs into a table in memory of its own, starts the table, waits,
 * and reads records and outputs. All functions that can fail return a prunus_result.
 */
#ifndef PRUNUS_H
#define PRUNUS_H

#include <stddef.h>
#include <stdint.h>

#include "prunus_tables.h"

#ifdef __cplusplus
extern "C" {
#endif

enum prunus_result {
    PRUNUS_OK = 0,
    PRUNUS_NO_DEVICE = -1,      /* the register id does not say PRUN */
    PRUNUS_BAD_VERSION = -2,    /* another memory image than this driver makes */
    PRUNUS_BAD_ENGINE = -3,     /* an engine that is unknown, or is not that of the job */
    PRUNUS_BAD_ARGUMENT = -4,   /* a size, address or value is not allowed */
    PRUNUS_BAD_CODE = -5,       /* a code of an operand has more bits than the hardware */
    PRUNUS_NO_ROOM = -6,        /* the memory or the descriptors of the table are used up */
    PRUNUS_BUSY = -7,           /* a table is being worked off */
    PRUNUS_TIMEOUT = -8,        /* no end after so many looks */
    PRUNUS_WRITE_ERROR = -9,    /* the bus answered a write with an error */
    PRUNUS_NO_RECORD = -10,     /* the job has no status record */
    PRUNUS_HALTED = -11,        /* the memory was silent: nothing starts before prunus_abort */
    PRUNUS_LOCKED = -12         /* windows are locked until a reset */
};

/* How software reaches the hardware. Functions after `write` may be NULL. */
struct prunus_port {
    void *context;      /* first argument of all functions */
    uint32_t (*read)(void *context, uint32_t offset);
    void (*write)(void *context, uint32_t offset, uint32_t value);
    /* Comes back when the interrupt may be pending, such as after WFI. Without it the interrupt
     * stays masked, and `status` is read again and again. */
    void (*wait)(void *context);
    /* Writes lines of the cache back and drops them; NULL where memory is coherent. */
    void (*flush)(void *context, void *data, size_t size);
    /* Drops lines of the cache. */
    void (*invalidate)(void *context, void *data, size_t size);
};

/* `read` and `write` of a port whose context is the address of memory-mapped registers. */
uint32_t prunus_mmio_read(void *context, uint32_t offset);
void prunus_mmio_write(void *context, uint32_t offset, uint32_t value);

/* A coprocessor, as its registers describe it. */
struct prunus {
    struct prunus_port port;
    uint32_t engine;        /* opcode of its jobs */
    uint32_t width;         /* bits of a code */
    uint32_t beat_bytes;    /* of the AXI4 data bus */
    uint32_t address_bits;  /* of the bus: 32 to 64 */
    uint32_t descriptor_bytes;  /* of a job; a table begins at a multiple */
    uint32_t l_max, d_max;
    uint32_t out_bits, out_frac;    /* of an output word in memory */
    uint32_t frac, rounded;         /* HDP */
    uint32_t digit, taps;           /* LeOPArd */
    uint32_t k_max;                 /* Top-K */
};

/* Identify a coprocessor. A table that somebody started before is aborted: PRUNUS_TIMEOUT if the memory
 * does not answer what it was asked for. */
int prunus_open(struct prunus *device, const struct prunus_port *port);
uint32_t prunus_read(const struct prunus *device, uint32_t offset);

/* logit = (q.k over codes) * scale, in 7.52e-20..11.09: mant * 2^-shift = scale * log2(e) */
struct prunus_scale {
    uint32_t mant, shift;
};

int prunus_encode_scale(double scale, struct prunus_scale *encoded);
/* HDP: the pruning ratio, in (-1, 1). */
int prunus_encode_rho(double rho, int32_t *encoded);
/* HDP: the largest distance of what is kept, in units of the logits. */
int prunus_encode_delta(const struct prunus *device, double distance, double scale,
                        uint32_t *encoded);
/* LeOPArd: keys with a logit below the threshold are pruned. */
int prunus_encode_threshold(const struct prunus *device, double threshold, double scale,
                            int64_t *encoded);

/* What heads of all engines have. Operands are codes, row by row without gaps. */
struct prunus_head {
    const int16_t *q;           /* l_q rows of d */
    const int16_t *k, *v;       /* l_kv rows of d */
    uint32_t l_q, l_kv, d;
    uint32_t valid_q, valid_kv; /* rows before padding: l_q and l_kv if there is none */
    uint32_t causal;
    uint32_t same_kv;           /* K and V are those of the job before; k and v are not read */
    struct prunus_scale scale;
};

struct prunus_hdp_job {
    struct prunus_head head;
    int32_t rho;
    uint32_t delta, tau_head;
    uint32_t distance, drop, exact, dense;      /* flags */
};

struct prunus_leopard_job {
    struct prunus_head head;
    int64_t threshold;
};

struct prunus_topk_job {
    struct prunus_head head;
    uint32_t top_k;
};

/* Jobs for one doorbell, in memory that the coprocessor reaches. */
struct prunus_table {
    const struct prunus *device;
    uint8_t *data;              /* as the processor sees it */
    prunus_address address;     /* as the coprocessor sees it, a multiple of descriptor_bytes */
    size_t size, used;
    uint32_t room, count;       /* descriptors there is room for, and jobs */
    prunus_address k[2], v;     /* planes of the last job */
};

/* An empty table with room for so many jobs. It may be made again at the same place. */
int prunus_table_init(struct prunus_table *table, const struct prunus *device, void *data,
                      prunus_address address, size_t size, uint32_t room);
int prunus_add_hdp(struct prunus_table *table, const struct prunus_hdp_job *job);
int prunus_add_leopard(struct prunus_table *table, const struct prunus_leopard_job *job);
int prunus_add_topk(struct prunus_table *table, const struct prunus_topk_job *job);

/* Of bytes that the coprocessor may touch: what it reads as operands, what it writes as outputs, and
 * where descriptors and status records lie. */
enum prunus_window { PRUNUS_OPERANDS, PRUNUS_RESULTS, PRUNUS_RECORDS };

/* Address and size are multiples of PRUNUS_WINDOW_BYTES. No table may be in work. */
int prunus_set_window(const struct prunus *device, enum prunus_window window,
                      prunus_address address, size_t size);
/* Keep all windows as they are until a reset. */
void prunus_lock_windows(const struct prunus *device);
/* Cycles for which the memory may be silent before a table ends; 0 is for ever. */
void prunus_set_timeout(const struct prunus *device, uint32_t cycles);

/* End the table, if there is one, and forget it. PRUNUS_TIMEOUT after so many looks at `status`
 * (0: for ever) if the memory does not answer what it was asked for. */
int prunus_abort(const struct prunus *device, uint32_t looks);

/* The first error since the doorbell. */
struct prunus_error {
    uint32_t cause;             /* enum prunus_cause */
    uint32_t response;          /* of the bus */
    uint32_t job;               /* its number in the table */
    prunus_address address;     /* of the burst, if it is about one */
};

void prunus_first_error(const struct prunus *device, struct prunus_error *error);

/* Ring the doorbell. */
int prunus_start(const struct prunus *device, const struct prunus_table *table);
/* Wait until the table is worked off, for so many looks at `status`; 0 is for ever. */
int prunus_wait(const struct prunus *device, const struct prunus_table *table, uint32_t looks);

/* The words of the status record of job n, for prunus_ENGINE_record_unpack. */
int prunus_record(const struct prunus_table *table, uint32_t n, uint32_t *words);
/* The output of job n, l_q rows of d words with out_frac fraction bits, in units of V's codes. */
int prunus_output(const struct prunus_table *table, uint32_t n, int32_t *out);

#ifdef __cplusplus
}
#endif

#endif
