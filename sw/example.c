/* SPDX-License-Identifier: Apache-2.0 */
/* One head of attention on bare metal. docs/software.md goes through it. */
#include "prunus.h"

/* Registers at `registers`, no cache, no interrupt: the driver looks at `status`. */
struct prunus_port mapped(void *registers)
{
    struct prunus_port port = {0};

    port.context = registers;
    port.read = prunus_mmio_read;
    port.write = prunus_mmio_write;
    return port;
}

/* Codes of one head through HDP with a pruning ratio of 0.2, in `memory` at bus address `address`.
 * Of `out`, real values are out / 2^out_frac in units of V's codes. */
int attend(const struct prunus_port *port, void *memory, prunus_address address, size_t size,
           const int16_t *q, const int16_t *k, const int16_t *v, uint32_t length, uint32_t d,
           double scale, int32_t *out)
{
    struct prunus device;
    struct prunus_table table;
    struct prunus_hdp_job job = {0};
    struct prunus_hdp_record record;
    uint32_t words[PRUNUS_WORDS];
    int result = prunus_open(&device, port);

    if (result == PRUNUS_OK)
        result = prunus_table_init(&table, &device, memory, address, size, 1);
    job.head.q = q;
    job.head.k = k;
    job.head.v = v;
    job.head.l_q = job.head.valid_q = length;
    job.head.l_kv = job.head.valid_kv = length;
    job.head.d = d;
    if (result == PRUNUS_OK)
        result = prunus_encode_scale(scale, &job.head.scale);
    if (result == PRUNUS_OK)
        result = prunus_encode_rho(0.2, &job.rho);
    if (result == PRUNUS_OK)
        result = prunus_add_hdp(&table, &job);
    if (result == PRUNUS_OK)
        result = prunus_start(&device, &table);
    if (result == PRUNUS_OK)
        result = prunus_wait(&device, &table, 0);
    if (result == PRUNUS_OK)
        result = prunus_record(&table, 0, words);
    if (result != PRUNUS_OK)
        return result;
    prunus_hdp_record_unpack(words, &record);
    if (record.error != PRUNUS_JOB_NONE)
        return (int)record.error;
    return prunus_output(&table, 0, out);
}
