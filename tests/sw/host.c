/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program around prunus.c for the tests. It reads jobs as text and does with them what its first
 * argument says:
 *
 *     host mmio                           reach registers by prunus_mmio_read and _write
 *     host encode                         numbers, of lines "scale X", "rho X", "delta ...", ...
 *     host pack MEMORY BYTES ADDRESS      lay jobs into a file; registers are those on stdin
 *     host run MEMORY BYTES ADDRESS PORT  and run them on what serves the socket PORT
 *     host control MEMORY BYTES ADDRESS PORT  the same jobs four times, with all that can go wrong
 *     host example MEMORY BYTES ADDRESS PORT  run one head by the function of sw/example.c
 *
 * PORT begins with "irq:" if it is to wait for interrupts.
 */
#define _POSIX_C_SOURCE 200809L

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "prunus.h"

#define REGISTERS 64

int attend(const struct prunus_port *port, void *memory, prunus_address address, size_t size,
           const int16_t *q, const int16_t *k, const int16_t *v, uint32_t length, uint32_t d,
           double scale, int32_t *out);
struct prunus_port mapped(void *registers);

static void fail(const char *what, int result)
{
    printf("error %s %d\n", what, result);
    exit(1);
}

static long long number(void)
{
    long long value;

    if (scanf("%lld", &value) != 1)
        fail("input", 0);
    return value;
}

/* -- registers: of a table on stdin, or behind a socket ---------------------------------------- */

static uint32_t constants[REGISTERS];
static int line = -1;
static unsigned long waits, flushed, invalidated;

static uint32_t ask(uint32_t what, uint32_t offset, uint32_t value)
{
    uint32_t request[3], answer[2];

    request[0] = what;
    request[1] = offset;
    request[2] = value;
    if (write(line, request, sizeof request) != (ssize_t)sizeof request
            || recv(line, answer, sizeof answer, MSG_WAITALL) != (ssize_t)sizeof answer)
        fail("socket", 0);
    if (answer[0])
        fail("bus", (int)offset);
    return answer[1];
}

static uint32_t read_register(void *context, uint32_t offset)
{
    return line < 0 ? ((uint32_t *)context)[offset / 4] : ask(0, offset, 0);
}

static void write_register(void *context, uint32_t offset, uint32_t value)
{
    (void)context;
    (void)ask(1, offset, value);
}

static void wait_interrupt(void *context)
{
    (void)context;
    waits++;
    (void)ask(2, 0, 0);
}

static void flush(void *context, void *data, size_t size)
{
    (void)context;
    (void)data;
    flushed += (unsigned long)size;
}

static void invalidate(void *context, void *data, size_t size)
{
    (void)context;
    (void)data;
    invalidated += (unsigned long)size;
}

static void connect_to(const char *path)
{
    struct sockaddr_un address;

    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    line = socket(AF_UNIX, SOCK_STREAM, 0);
    if (line < 0 || connect(line, (struct sockaddr *)&address, sizeof address))
        fail("connect", 0);
}

/* -- jobs --------------------------------------------------------------------------------------- */

static int16_t *codes(uint32_t rows, uint32_t d)
{
    int16_t *all = malloc((size_t)rows * d * sizeof *all + 1);
    size_t n;

    for (n = 0; n < (size_t)rows * d; n++)
        all[n] = (int16_t)number();
    return all;
}

/* A job as text: its head, what its engine adds, then the codes of q, k and v. */
static int add_job(struct prunus_table *table, uint32_t engine)
{
    struct prunus_hdp_job hdp;
    struct prunus_leopard_job leopard;
    struct prunus_topk_job topk;
    struct prunus_head head;
    int16_t *q, *k, *v;
    int result;

    memset(&hdp, 0, sizeof hdp);
    memset(&leopard, 0, sizeof leopard);
    memset(&topk, 0, sizeof topk);
    head.l_q = (uint32_t)number();
    head.l_kv = (uint32_t)number();
    head.d = (uint32_t)number();
    head.valid_q = (uint32_t)number();
    head.valid_kv = (uint32_t)number();
    head.causal = (uint32_t)number();
    head.same_kv = (uint32_t)number();
    head.scale.mant = (uint32_t)number();
    head.scale.shift = (uint32_t)number();
    if (engine == PRUNUS_HDP_OPCODE) {
        hdp.rho = (int32_t)number();
        hdp.delta = (uint32_t)number();
        hdp.tau_head = (uint32_t)number();
        hdp.distance = (uint32_t)number();
        hdp.drop = (uint32_t)number();
        hdp.exact = (uint32_t)number();
        hdp.dense = (uint32_t)number();
    } else if (engine == PRUNUS_LEOPARD_OPCODE) {
        leopard.threshold = (int64_t)number();
    } else {
        topk.top_k = (uint32_t)number();
    }
    q = codes(head.l_q, head.d);
    k = codes(head.l_kv, head.d);
    v = codes(head.l_kv, head.d);
    head.q = q;
    head.k = head.same_kv ? NULL : k;
    head.v = head.same_kv ? NULL : v;
    hdp.head = leopard.head = topk.head = head;
    result = engine == PRUNUS_HDP_OPCODE ? prunus_add_hdp(table, &hdp)
        : engine == PRUNUS_LEOPARD_OPCODE ? prunus_add_leopard(table, &leopard)
        : prunus_add_topk(table, &topk);
    free(q);
    free(k);
    free(v);
    return result;
}

static void print_results(const struct prunus_table *table, const struct prunus *device)
{
    int32_t *out = malloc((size_t)device->l_max * device->d_max * sizeof *out);
    uint32_t words[PRUNUS_WORDS], n, i, l_q, d;
    int result;

    for (n = 0; n < table->count; n++) {
        l_q = (uint32_t)number();
        d = (uint32_t)number();
        result = prunus_record(table, n, words);
        if (result != PRUNUS_OK)
            fail("record", result);
        for (i = 0; i < PRUNUS_WORDS; i++)
            printf("%lu ", (unsigned long)words[i]);
        printf("\n");
        result = prunus_output(table, n, out);
        if (result != PRUNUS_OK)
            fail("output", result);
        for (i = 0; i < l_q * d; i++)
            printf("%ld ", (long)out[i]);
        printf("\n");
    }
    free(out);
}

static struct prunus_port make_port(const char *path)
{
    struct prunus_port port;
    uint32_t n, count;

    memset(&port, 0, sizeof port);
    port.context = constants;
    port.read = read_register;
    port.write = write_register;
    port.flush = flush;
    port.invalidate = invalidate;
    count = (uint32_t)number();
    for (n = 0; n < count; n++) {
        uint32_t offset = (uint32_t)number();

        constants[offset / 4 % REGISTERS] = (uint32_t)number();
    }
    if (path) {
        if (strncmp(path, "irq:", 4) == 0) {
            port.wait = wait_interrupt;
            path += 4;
        }
        connect_to(path);
    }
    return port;
}

static void open_device(struct prunus *device, const char *path)
{
    const struct prunus_port port = make_port(path);
    int result = prunus_open(device, &port);

    if (result != PRUNUS_OK)
        fail("open", result);
}

static uint8_t *map(const char *memory, size_t size)
{
    int file = open(memory, O_RDWR);
    void *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);

    if (file < 0 || data == MAP_FAILED)
        fail("memory", 0);
    return data;
}

/* One head: its length, dimensions and scale, then the codes of q, k and v. */
static int example(const char *memory, size_t size, prunus_address address, const char *path)
{
    const struct prunus_port port = make_port(path);
    uint32_t length = (uint32_t)number(), d = (uint32_t)number(), n;
    int32_t *out = malloc((size_t)length * d * sizeof *out + 1);
    int16_t *q, *k, *v;
    double scale;
    int result;

    if (scanf("%la", &scale) != 1)
        fail("input", 0);
    q = codes(length, d);
    k = codes(length, d);
    v = codes(length, d);
    result = attend(&port, map(memory, size), address, size, q, k, v, length, d, scale, out);
    if (result != PRUNUS_OK)
        fail("attend", result);
    for (n = 0; n < length * d; n++)
        printf("%ld ", (long)out[n]);
    printf("\n");
    return 0;
}

/* The registers of this very process, as a processor sees them. */
static int mmio(void)
{
    static uint32_t registers[2] = {0, 5};
    const struct prunus_port port = mapped(registers);

    port.write(port.context, 4, port.read(port.context, 4) + 1);
    printf("%lu\n", (unsigned long)registers[1]);
    return 0;
}

/* Tables one behind the other in memory, and with a path one doorbell after the other. */
static int jobs(const char *memory, size_t size, prunus_address address, const char *path)
{
    struct prunus device;
    struct prunus_table table;
    uint8_t *data;
    size_t used = 0;
    uint32_t tables, room, t, n;
    int result;

    data = map(memory, size);
    open_device(&device, path);
    tables = (uint32_t)number();
    for (t = 0; t < tables; t++) {
        room = (uint32_t)number();
        result = prunus_table_init(&table, &device, data + used, (prunus_address)(address + used),
                                   size - used, room);
        for (n = 0; n < room && result == PRUNUS_OK; n++)
            result = add_job(&table, device.engine);
        if (result != PRUNUS_OK)
            fail("table", result);
        if (path) {
            result = prunus_start(&device, &table);
            if (result == PRUNUS_OK && prunus_start(&device, &table) != PRUNUS_BUSY)
                fail("second start", 0);
            if (result == PRUNUS_OK)
                result = prunus_wait(&device, &table, 0);
            if (result != PRUNUS_OK)
                fail("run", result);
            print_results(&table, &device);
        }
        used += (table.used + device.descriptor_bytes - 1) / device.descriptor_bytes
            * device.descriptor_bytes;
    }
    printf("used %lu done %lu waits %lu flushed %lu invalidated %lu\n", (unsigned long)used,
           path ? (unsigned long)prunus_read(&device, PRUNUS_REG_JOBS_DONE) : 0ul, waits, flushed,
           invalidated);
    return 0;
}

static void say(const char *what, int result)
{
    printf("%s %d\n", what, result);
}

static void say_error(const struct prunus *device)
{
    struct prunus_error error;

    prunus_first_error(device, &error);
    printf("error %lu %lu %lu %lu\n", (unsigned long)error.cause, (unsigned long)error.response,
           (unsigned long)error.job, (unsigned long)error.address);
}

static int control(const char *memory, size_t size, prunus_address address, const char *path)
{
    struct prunus device;
    struct prunus_port port;
    struct prunus_table table;
    uint8_t *data = map(memory, size);
    uint32_t tables, room, t, n;

    open_device(&device, path);
    tables = (uint32_t)number();
    for (t = 0; t < tables; t++) {
        room = (uint32_t)number();
        if (prunus_table_init(&table, &device, data, address, size, room) != PRUNUS_OK)
            fail("table", 0);
        for (n = 0; n < room; n++)
            if (add_job(&table, device.engine) != PRUNUS_OK)
                fail("job", (int)n);
        switch (t) {
        case 0:         /* no operand lies in the window */
            say("window", prunus_set_window(&device, PRUNUS_OPERANDS, 0, 64));
            say("start", prunus_start(&device, &table));
            say("wait", prunus_wait(&device, &table, 0));
            say_error(&device);
            say("bad window", prunus_set_window(&device, PRUNUS_RESULTS, 32, 64));
            say("bad window", prunus_set_window(&device, PRUNUS_RESULTS, 64, 0));
            say("bad window", prunus_set_window(&device, PRUNUS_RESULTS, 64, 100));
            say("window", prunus_set_window(&device, PRUNUS_OPERANDS, address, size));
            say("window", prunus_set_window(&device, PRUNUS_RESULTS, address, size));
            say("window", prunus_set_window(&device, PRUNUS_RECORDS, address, size));
            break;
        case 1:
            say("start", prunus_start(&device, &table));
            say("busy window", prunus_set_window(&device, PRUNUS_OPERANDS, 0, 64));
            say("abort", prunus_abort(&device, 0));
            say("start", prunus_start(&device, &table));
            port = device.port;
            say("open", prunus_open(&device, &port));
            printf("status %lu\n", (unsigned long)prunus_read(&device, PRUNUS_REG_STATUS));
            break;
        case 2:         /* a memory that does not answer */
            prunus_set_timeout(&device, 1000);
            (void)ask(4, 0, 1);
            say("start", prunus_start(&device, &table));
            say("wait", prunus_wait(&device, &table, 0));
            say_error(&device);
            say("start", prunus_start(&device, &table));
            say("abort", prunus_abort(&device, 20));
            port = device.port;
            say("open", prunus_open(&device, &port));
            (void)ask(4, 0, 0);
            say("abort", prunus_abort(&device, 0));
            break;
        default:
            prunus_lock_windows(&device);
            say("locked", prunus_set_window(&device, PRUNUS_OPERANDS, 0, 64));
            say("start", prunus_start(&device, &table));
            say("wait", prunus_wait(&device, &table, 0));
            say_error(&device);
            print_results(&table, &device);
        }
    }
    return 0;
}

static int encode(void)
{
    struct prunus device;
    struct prunus_scale scale;
    uint32_t delta = 0;
    int32_t rho = 0;
    int64_t threshold = 0;
    double x, y;
    char name[16];
    int result;

    open_device(&device, NULL);
    while (scanf("%15s %la %la", name, &x, &y) == 3) {
        switch (name[0]) {
        case 's':
            scale.mant = scale.shift = 0;
            result = prunus_encode_scale(x, &scale);
            printf("%d %lu %lu\n", result, (unsigned long)scale.mant, (unsigned long)scale.shift);
            break;
        case 'r':
            result = prunus_encode_rho(x, &rho);
            printf("%d %ld 0\n", result, (long)rho);
            break;
        case 'd':
            result = prunus_encode_delta(&device, x, y, &delta);
            printf("%d %lu 0\n", result, (unsigned long)delta);
            break;
        default:
            result = prunus_encode_threshold(&device, x, y, &threshold);
            printf("%d %lld 0\n", result, (long long)threshold);
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "encode") == 0)
        return encode();
    if (argc == 2 && strcmp(argv[1], "mmio") == 0)
        return mmio();
    if (argc < 5)
        fail("arguments", argc);
    if (strcmp(argv[1], "example") == 0)
        return example(argv[2], (size_t)strtoull(argv[3], NULL, 0),
                       (prunus_address)strtoull(argv[4], NULL, 0), argv[5]);
    if (strcmp(argv[1], "control") == 0)
        return control(argv[2], (size_t)strtoull(argv[3], NULL, 0),
                       (prunus_address)strtoull(argv[4], NULL, 0), argv[5]);
    return jobs(argv[2], (size_t)strtoull(argv[3], NULL, 0),
                (prunus_address)strtoull(argv[4], NULL, 0), argc > 5 ? argv[5] : NULL);
}
