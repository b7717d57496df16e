/* SPDX-License-Identifier: Apache-2.0 */
#include "prunus.h"

#include <string.h>

#define ALIGN 64u
#define OPEN_LOOKS 10000u       /* at `status`, until an abort must be over */

/* The encoders look at the bits of a double. */
typedef char prunus_double_has_64_bits[sizeof(double) == sizeof(uint64_t) ? 1 : -1];

#define FIELD(value, name) (((value) >> PRUNUS_##name##_SHIFT) & PRUNUS_##name##_MASK)

/* -- registers -------------------------------------------------------------------------------- */

uint32_t prunus_mmio_read(void *context, uint32_t offset)
{
    return *(volatile uint32_t *)((uintptr_t)context + offset);
}

void prunus_mmio_write(void *context, uint32_t offset, uint32_t value)
{
    *(volatile uint32_t *)((uintptr_t)context + offset) = value;
}

uint32_t prunus_read(const struct prunus *device, uint32_t offset)
{
    return device->port.read(device->port.context, offset);
}

static void write(const struct prunus *device, uint32_t offset, uint32_t value)
{
    device->port.write(device->port.context, offset, value);
}

/* Whether so many bytes from an address on lie on the bus. */
static int reaches(const struct prunus *device, prunus_address address, size_t size)
{
    const prunus_address last = (prunus_address)(address + (size - 1u));

    return last >= address && last - address == size - 1u
        && (device->address_bits > 63u || !(last >> device->address_bits));
}

/* An address into its register, and into that of its upper bits if it has such. */
static void write_address(const struct prunus *device, uint32_t low, uint32_t high,
                          prunus_address address)
{
    if (device->address_bits > 32u)
        write(device, high, (uint32_t)(address >> 32));
    write(device, low, (uint32_t)address);
}

int prunus_open(struct prunus *device, const struct prunus_port *port)
{
    uint32_t format, limits, engine, status;

    memset(device, 0, sizeof *device);
    device->port = *port;
    if (prunus_read(device, PRUNUS_REG_ID) != PRUNUS_ID_VALUE)
        return PRUNUS_NO_DEVICE;
    if (prunus_read(device, PRUNUS_REG_VERSION) != PRUNUS_IMAGE_VERSION)
        return PRUNUS_BAD_VERSION;
    engine = prunus_read(device, PRUNUS_REG_ENGINE);
    device->engine = FIELD(engine, ENGINE_OPCODE);
    device->address_bits = 32u + FIELD(engine, ENGINE_ADDRESS_HIGH);
    device->descriptor_bytes = PRUNUS_DESCRIPTOR_BYTES;
    if (device->address_bits > 32u)
        device->descriptor_bytes *= 2u;
    format = prunus_read(device, PRUNUS_REG_FORMAT);
    limits = prunus_read(device, PRUNUS_REG_LIMITS);
    device->width = FIELD(format, FORMAT_WIDTH);
    device->beat_bytes = FIELD(format, FORMAT_AXI_DATA_WIDTH) / 8u;
    device->l_max = FIELD(limits, LIMITS_L_MAX);
    device->d_max = FIELD(limits, LIMITS_D_MAX);
    device->out_bits = device->width <= 8u ? 16u : 32u;
    device->out_frac = device->width <= 8u ? 7u : 12u;
    if (device->engine == PRUNUS_HDP_OPCODE) {
        device->frac = FIELD(format, HDP_FORMAT_FRAC);
        device->rounded = FIELD(format, HDP_FORMAT_ROUNDED);
    } else if (device->engine == PRUNUS_LEOPARD_OPCODE) {
        device->digit = FIELD(format, LEOPARD_FORMAT_DIGIT);
        device->taps = FIELD(prunus_read(device, PRUNUS_LEOPARD_REG_UNITS), LEOPARD_UNITS_TAPS);
    } else if (device->engine == PRUNUS_TOPK_OPCODE) {
        device->k_max = FIELD(prunus_read(device, PRUNUS_TOPK_REG_PLACES), TOPK_PLACES_K_MAX);
    } else {
        return PRUNUS_BAD_ENGINE;
    }
    status = prunus_read(device, PRUNUS_REG_STATUS);
    return status ? prunus_abort(device, OPEN_LOOKS) : PRUNUS_OK;
}

/* -- numbers ---------------------------------------------------------------------------------- */

/* A finite double as mant * 2^exp and a sign; 0 of one that is none. */
static int parts(double value, uint64_t *mant, int *exp, int *negative)
{
    uint64_t bits;
    int biased;

    memcpy(&bits, &value, sizeof bits);
    biased = (int)(bits >> 52 & 0x7FFu);
    *negative = (int)(bits >> 63);
    *mant = bits & 0xFFFFFFFFFFFFFu;
    *exp = biased ? biased - 1075 : -1074;
    if (biased)
        *mant |= (uint64_t)1 << 52;
    return biased != 0x7FF;
}

/* mant / 2^shift, rounded to the nearest, half to even. */
static uint64_t round_even(uint64_t mant, int shift)
{
    uint64_t whole, rest, half;

    if (shift <= 0)
        return mant << -shift;
    if (shift >= 64)
        return 0u;
    whole = mant >> shift;
    rest = mant & (((uint64_t)1 << shift) - 1u);
    half = (uint64_t)1 << (shift - 1);
    return whole + (rest > half || (rest == half && (whole & 1u)));
}

int prunus_encode_scale(double scale, struct prunus_scale *encoded)
{
    const double log2_e = 1.4426950408889634;
    const uint64_t most = ((uint64_t)1 << PRUNUS_SCALE_BITS) - 1u;
    const double least = 1.0 / (double)((uint64_t)1 << PRUNUS_SCALE_SHIFT_MAX) / log2_e;
    const double largest = (double)most / (double)((uint64_t)1 << PRUNUS_SCALE_SHIFT_MIN) / log2_e;
    uint64_t mant;
    int exp, negative, shift;

    if (!(scale >= least && scale <= largest))
        return PRUNUS_BAD_ARGUMENT;
    (void)parts(scale * log2_e, &mant, &exp, &negative);
    shift = (int)PRUNUS_SCALE_BITS - (exp + 53);
    if (shift < (int)PRUNUS_SCALE_SHIFT_MIN)
        shift = (int)PRUNUS_SCALE_SHIFT_MIN;
    if (shift > (int)PRUNUS_SCALE_SHIFT_MAX)
        shift = (int)PRUNUS_SCALE_SHIFT_MAX;
    mant = round_even(mant, -(exp + shift));
    encoded->mant = (uint32_t)(mant < most ? mant : most);
    encoded->shift = (uint32_t)shift;
    return PRUNUS_OK;
}

int prunus_encode_rho(double rho, int32_t *encoded)
{
    const uint64_t most = ((uint64_t)1 << PRUNUS_HDP_RHO_FRAC) - 1u;
    uint64_t mant;
    int exp, negative;

    if (!(rho > -1.0 && rho < 1.0))
        return PRUNUS_BAD_ARGUMENT;
    (void)parts(rho, &mant, &exp, &negative);
    mant = round_even(mant, -exp - (int)PRUNUS_HDP_RHO_FRAC);
    if (mant > most)
        mant = most;
    *encoded = negative ? -(int32_t)mant : (int32_t)mant;
    return PRUNUS_OK;
}

int prunus_encode_delta(const struct prunus *device, double distance, double scale,
                        uint32_t *encoded)
{
    uint64_t mant;
    int exp, negative;

    if (!(distance >= 0.0) || !(scale > 0.0) || !parts(scale, &mant, &exp, &negative))
        return PRUNUS_BAD_ARGUMENT;
    distance /= scale * (double)((uint32_t)1 << 2u * device->frac);
    *encoded = PRUNUS_HDP_DELTA_MAX;
    if (distance < (double)PRUNUS_HDP_DELTA_MAX) {
        (void)parts(distance, &mant, &exp, &negative);
        *encoded = (uint32_t)round_even(mant, -exp);
    }
    return PRUNUS_OK;
}

static uint32_t bit_length(uint32_t value)
{
    uint32_t bits = 0u;

    for (; value; value >>= 1)
        bits++;
    return bits;
}

/* Any score q.k lies below it, and not below its negative. */
static int64_t score_limit(const struct prunus *device)
{
    return (int64_t)1 << (2u * device->width - 1u + bit_length(device->d_max - 1u));
}

/* The least integer that is not below threshold / scale, by exact division of integers. */
int prunus_encode_threshold(const struct prunus *device, double threshold, double scale,
                            int64_t *encoded)
{
    const uint64_t limit = (uint64_t)score_limit(device);
    uint64_t top, bottom, whole, rest;
    int top_exp, bottom_exp, negative, unused, shift, finite;

    if (!(scale > 0.0) || !parts(scale, &bottom, &bottom_exp, &unused)
            || threshold != threshold)
        return PRUNUS_BAD_ARGUMENT;
    finite = parts(threshold, &top, &top_exp, &negative);
    whole = limit;
    rest = 0u;
    if (finite) {
        whole = top / bottom;
        rest = top % bottom;
        shift = top_exp - bottom_exp;
        for (; shift > 0 && whole < limit && top; shift--) {
            rest <<= 1;
            whole = whole << 1 | (rest >= bottom);
            if (rest >= bottom)
                rest -= bottom;
        }
        for (; shift < 0 && whole; shift++) {
            rest |= whole & 1u;         /* only whether there is a rest matters now */
            whole >>= 1;
        }
    }
    if (negative)
        *encoded = -(int64_t)(whole < limit ? whole : limit);
    else if (whole < limit - 1u)
        *encoded = (int64_t)(whole + (rest != 0u));
    else
        *encoded = (int64_t)(limit - 1u);
    return PRUNUS_OK;
}

/* -- memory ----------------------------------------------------------------------------------- */

static uint32_t load(const uint8_t *at, uint32_t bytes)
{
    uint32_t value = 0u, n;

    for (n = 0u; n < bytes; n++)
        value |= (uint32_t)at[n] << 8u * n;
    return value;
}

static void store_words(uint8_t *at, const uint32_t *words, uint32_t bytes)
{
    uint32_t n;

    for (n = 0u; n < bytes; n++)
        at[n] = (uint8_t)(words[n / 4u] >> 8u * (n % 4u));
}

static void load_words(const uint8_t *at, uint32_t *words, uint32_t bytes)
{
    uint32_t n;

    for (n = 0u; n < bytes / 4u; n++)
        words[n] = load(at + 4u * n, 4u);
}

/* Put bits into a row of zeros, the low one first. */
static void put(uint8_t *row, uint32_t at, uint32_t bits, uint32_t value)
{
    uint32_t low, some;

    while (bits) {
        low = at % 8u;
        some = bits < 8u - low ? bits : 8u - low;
        row[at / 8u] = (uint8_t)(row[at / 8u] | (value & ((1u << some) - 1u)) << low);
        value >>= some;
        at += some;
        bits -= some;
    }
}

static uint32_t beats(const struct prunus *device, uint32_t bits)
{
    return (bits + 8u * device->beat_bytes - 1u) / (8u * device->beat_bytes);
}

/* Bits of an element in memory. */
static uint32_t container(uint32_t bits)
{
    return bits <= 4u ? 4u : bits <= 8u ? 8u : 16u;
}

/* The next bytes of a table, as memory and as an address; NULL if it is full. */
static uint8_t *reserve(struct prunus_table *table, size_t size, int fill, prunus_address *address)
{
    size_t first = (table->used + ALIGN - 1u) / ALIGN * ALIGN;

    if (first > table->size || size > table->size - first)
        return NULL;
    memset(table->data + table->used, 0, first - table->used);
    memset(table->data + first, fill, size);
    table->used = first + size;
    *address = (prunus_address)(table->address + first);
    return table->data + first;
}

int prunus_table_init(struct prunus_table *table, const struct prunus *device, void *data,
                      prunus_address address, size_t size, uint32_t room)
{
    prunus_address first;

    memset(table, 0, sizeof *table);
    if (address % device->descriptor_bytes || !room || (size && !reaches(device, address, size)))
        return PRUNUS_BAD_ARGUMENT;
    table->device = device;
    table->data = data;
    table->address = address;
    table->size = size;
    table->room = room;
    if (room > size / device->descriptor_bytes)
        return PRUNUS_NO_ROOM;
    (void)reserve(table, (size_t)room * device->descriptor_bytes, 0, &first);
    return PRUNUS_OK;
}

/* -- planes ----------------------------------------------------------------------------------- */

/* Of which row, kind and engine. */
enum kind { CODES, INTEGERS, FRACTIONS, DIGITS };

/* How HDP's parts of a code lie in a row. */
struct parts_layout {
    enum kind signed_kind;              /* has signs and magnitudes; CODES: neither has */
    uint32_t integer_bits, fraction_bits;
    uint32_t sign_bits;                 /* before the magnitudes, where they share a beat */
};

static struct parts_layout parts_of(const struct prunus *device)
{
    const uint32_t width = device->width - device->frac, d = device->d_max;
    const uint32_t row = 1u << bit_length(d - 1u);
    struct parts_layout layout;
    uint32_t mag = container(width - device->rounded);

    layout.signed_kind = FRACTIONS;
    if (device->rounded)
        layout.signed_kind = beats(device, d) + beats(device, d * mag)
            < beats(device, d * container(width)) ? INTEGERS : CODES;
    layout.integer_bits = layout.signed_kind == INTEGERS ? mag : container(width);
    layout.fraction_bits = container(device->frac);
    layout.sign_bits = 0u;
    if (layout.signed_kind == FRACTIONS
            && row * (1u + layout.fraction_bits) <= 8u * device->beat_bytes)
        layout.sign_bits = row;
    return layout;
}

/* Words of LeOPArd's keys. */
static uint32_t words_of_beat(const struct prunus *device)
{
    const uint32_t words = 8u * device->beat_bytes / (device->taps * device->digit);

    return words ? words : 1u;
}

static uint32_t row_beats(const struct prunus *device, enum kind kind, uint32_t d)
{
    struct parts_layout layout;
    uint32_t signs, words, some;

    if (kind == CODES)
        return beats(device, d * container(device->width));
    if (kind == DIGITS) {
        words = (device->width + device->digit - 1u) / device->digit
            * ((d + device->taps - 1u) / device->taps);
        some = words_of_beat(device);
        return (words + some - 1u) / some * beats(device, device->taps * device->digit);
    }
    layout = parts_of(device);
    if (kind == layout.signed_kind && layout.sign_bits)
        return 1u;
    signs = kind == layout.signed_kind ? beats(device, d) : 0u;
    return signs + beats(device, d * (kind == INTEGERS ? layout.integer_bits
                                                       : layout.fraction_bits));
}

/* One of HDP's parts of a code. */
static void put_part(const struct prunus *device, uint8_t *row, enum kind kind, uint32_t d,
                     uint32_t n, int32_t code)
{
    const struct parts_layout layout = parts_of(device);
    const int32_t one = (int32_t)1 << device->frac;
    const uint32_t bits = kind == INTEGERS ? layout.integer_bits : layout.fraction_bits;
    int32_t integer, part;
    uint32_t first;

    if (device->rounded) {      /* to the nearest, half up; a division rounds toward zero */
        integer = code + one / 2;
        integer = integer >= 0 ? integer / one : -((one - 1 - integer) / one);
    } else {
        integer = code / one;
    }
    part = kind == INTEGERS ? integer : code - integer * one;
    if (kind != layout.signed_kind) {
        put(row, n * bits, bits, (uint32_t)part);
        return;
    }
    first = layout.sign_bits ? layout.sign_bits : 8u * device->beat_bytes * beats(device, d);
    put(row, n, 1u, kind == FRACTIONS ? code < 0 : part < 0);
    put(row, first + n * bits, bits, (uint32_t)(part < 0 ? -part : part));
}

/* All digits of a dimension of a key of LeOPArd. */
static void put_digits(const struct prunus *device, uint8_t *row, uint32_t d, uint32_t n,
                       int32_t code)
{
    const uint32_t digits = (device->width + device->digit - 1u) / device->digit;
    const uint32_t chunks = (d + device->taps - 1u) / device->taps;
    const uint32_t word_bits = device->taps * device->digit, some = words_of_beat(device);
    const uint32_t stride = 8u * device->beat_bytes * beats(device, word_bits);
    uint32_t t, word;

    for (t = 0u; t < digits; t++) {
        word = t * chunks + n / device->taps;
        put(row, word / some * stride + word % some * word_bits + n % device->taps * device->digit,
            device->digit, (uint32_t)code >> (digits - 1u - t) * device->digit);
    }
}

/* Lay out a plane. */
static int place(struct prunus_table *table, enum kind kind, const int16_t *codes, uint32_t rows,
                 uint32_t d, prunus_address *address)
{
    const struct prunus *device = table->device;
    const size_t row_bytes = (size_t)row_beats(device, kind, d) * device->beat_bytes;
    int32_t most = ((int32_t)1 << (device->width - 1u)) - 1, least = -most - 1, code;
    uint8_t *row;
    uint32_t i, n;

    if (device->rounded && kind != CODES) {
        most -= (int32_t)1 << (device->frac - 1u);
        least = -most;
    }
    row = reserve(table, rows * row_bytes, 0, address);
    if (!row)
        return PRUNUS_NO_ROOM;
    for (i = 0u; i < rows; i++, row += row_bytes) {
        for (n = 0u; n < d; n++) {
            code = codes[(size_t)i * d + n];
            if (code < least || code > most)
                return PRUNUS_BAD_CODE;
            if (kind == CODES)
                put(row, n * container(device->width), container(device->width), (uint32_t)code);
            else if (kind == DIGITS)
                put_digits(device, row, d, n, code);
            else
                put_part(device, row, kind, d, n, code);
        }
    }
    return PRUNUS_OK;
}

/* -- jobs ------------------------------------------------------------------------------------- */

static int check(const struct prunus_table *table, const struct prunus_head *head, uint32_t opcode)
{
    const struct prunus *device = table->device;

    if (device->engine != opcode)
        return PRUNUS_BAD_ENGINE;
    if (table->count == table->room)
        return PRUNUS_NO_ROOM;
    if (!head->l_q || head->l_q > device->l_max || !head->l_kv || head->l_kv > device->l_max
            || !head->d || head->d % 8u || head->d > device->d_max
            || head->valid_q > head->l_q || head->valid_kv > head->l_kv
            || head->causal > 1u || head->same_kv > 1u || (head->same_kv && !table->count)
            || head->scale.mant >> PRUNUS_SCALE_BITS
            || head->scale.shift < PRUNUS_SCALE_SHIFT_MIN
            || head->scale.shift > PRUNUS_SCALE_SHIFT_MAX)
        return PRUNUS_BAD_ARGUMENT;
    return PRUNUS_OK;
}

static uint32_t out_row_bytes(const struct prunus *device, uint32_t d)
{
    return beats(device, d * device->out_bits) * device->beat_bytes;
}

/* Addresses of what every job has. */
static int place_results(struct prunus_table *table, const struct prunus_head *head,
                         prunus_address *out, prunus_address *status)
{
    const size_t size = (size_t)head->l_q * out_row_bytes(table->device, head->d);

    if (!reserve(table, size, (int)PRUNUS_FILL, out)
            || !reserve(table, PRUNUS_STATUS_BYTES, (int)PRUNUS_FILL, status))
        return PRUNUS_NO_ROOM;
    return PRUNUS_OK;
}

/* Words of a descriptor into its place, and planes that the next job may share; a job that failed
 * leaves the table as it was. */
static int add(struct prunus_table *table, int result, size_t used, const uint32_t *words,
               prunus_address k, prunus_address k_f, prunus_address v)
{
    const uint32_t bytes = table->device->descriptor_bytes;

    if (result != PRUNUS_OK) {
        table->used = used;
        return result;
    }
    store_words(table->data + (size_t)table->count * bytes, words, bytes);
    table->count++;
    table->k[0] = k;
    table->k[1] = k_f;
    table->v = v;
    return PRUNUS_OK;
}

/* Fields of a descriptor that all engines have. */
#define HEAD(descriptor, head, code) \
    do { \
        (descriptor).opcode = (code); \
        (descriptor).causal = (head).causal; \
        (descriptor).same_kv = (head).same_kv; \
        (descriptor).l_q = (head).l_q; \
        (descriptor).l_kv = (head).l_kv; \
        (descriptor).valid_q = (head).valid_q; \
        (descriptor).valid_kv = (head).valid_kv; \
        (descriptor).d = (head).d; \
        (descriptor).shift = (head).scale.shift; \
        (descriptor).mant = (head).scale.mant; \
    } while (0)

int prunus_add_hdp(struct prunus_table *table, const struct prunus_hdp_job *job)
{
    const struct prunus_head *head = &job->head;
    const size_t used = table->used;
    struct prunus_hdp_descriptor descriptor;
    uint32_t words[PRUNUS_DESCRIPTOR_WORDS];
    prunus_address k[2] = {table->k[0], table->k[1]}, v = table->v;
    int result = check(table, head, PRUNUS_HDP_OPCODE);

    if (result == PRUNUS_OK && (job->rho < -127 || job->rho > 127 || job->delta > PRUNUS_HDP_DELTA_MAX
            || job->distance > 1u || job->drop > 1u || job->exact > 1u || job->dense > 1u))
        result = PRUNUS_BAD_ARGUMENT;
    memset(&descriptor, 0, sizeof descriptor);
    HEAD(descriptor, *head, PRUNUS_HDP_OPCODE);
    descriptor.rho = job->rho;
    descriptor.delta = job->delta;
    descriptor.tau_head = job->tau_head;
    descriptor.distance = job->distance;
    descriptor.drop = job->drop;
    descriptor.exact = job->exact;
    descriptor.dense = job->dense;
    if (result == PRUNUS_OK)
        result = place(table, INTEGERS, head->q, head->l_q, head->d, &descriptor.q_i);
    if (result == PRUNUS_OK)
        result = place(table, FRACTIONS, head->q, head->l_q, head->d, &descriptor.q_f);
    if (result == PRUNUS_OK && !head->same_kv) {
        result = place(table, INTEGERS, head->k, head->l_kv, head->d, &k[0]);
        if (result == PRUNUS_OK)
            result = place(table, FRACTIONS, head->k, head->l_kv, head->d, &k[1]);
        if (result == PRUNUS_OK)
            result = place(table, CODES, head->v, head->l_kv, head->d, &v);
    }
    descriptor.k_i = k[0];
    descriptor.k_f = k[1];
    descriptor.v = v;
    if (result == PRUNUS_OK)
        result = place_results(table, head, &descriptor.out, &descriptor.status);
    prunus_hdp_descriptor_pack(&descriptor, words);
    return add(table, result, used, words, k[0], k[1], v);
}

/* Planes of an engine that has one each, keys of some kind. */
static int place_heads(struct prunus_table *table, const struct prunus_head *head, enum kind keys,
                       prunus_address *q, prunus_address *k, prunus_address *v)
{
    int result = place(table, CODES, head->q, head->l_q, head->d, q);

    *k = table->k[0];
    *v = table->v;
    if (result == PRUNUS_OK && !head->same_kv) {
        result = place(table, keys, head->k, head->l_kv, head->d, k);
        if (result == PRUNUS_OK)
            result = place(table, CODES, head->v, head->l_kv, head->d, v);
    }
    return result;
}

int prunus_add_leopard(struct prunus_table *table, const struct prunus_leopard_job *job)
{
    const struct prunus_head *head = &job->head;
    const size_t used = table->used;
    struct prunus_leopard_descriptor descriptor;
    uint32_t words[PRUNUS_DESCRIPTOR_WORDS];
    int result = check(table, head, PRUNUS_LEOPARD_OPCODE);

    memset(&descriptor, 0, sizeof descriptor);
    HEAD(descriptor, *head, PRUNUS_LEOPARD_OPCODE);
    descriptor.threshold = job->threshold;
    if (result == PRUNUS_OK && (job->threshold < -score_limit(table->device)
            || job->threshold >= score_limit(table->device)))
        result = PRUNUS_BAD_ARGUMENT;
    if (result == PRUNUS_OK)
        result = place_heads(table, head, DIGITS, &descriptor.q, &descriptor.k, &descriptor.v);
    if (result == PRUNUS_OK)
        result = place_results(table, head, &descriptor.out, &descriptor.status);
    prunus_leopard_descriptor_pack(&descriptor, words);
    return add(table, result, used, words, descriptor.k, 0, descriptor.v);
}

int prunus_add_topk(struct prunus_table *table, const struct prunus_topk_job *job)
{
    const struct prunus_head *head = &job->head;
    const size_t used = table->used;
    struct prunus_topk_descriptor descriptor;
    uint32_t words[PRUNUS_DESCRIPTOR_WORDS];
    int result = check(table, head, PRUNUS_TOPK_OPCODE);

    memset(&descriptor, 0, sizeof descriptor);
    HEAD(descriptor, *head, PRUNUS_TOPK_OPCODE);
    descriptor.top_k = job->top_k;
    if (result == PRUNUS_OK && (!job->top_k || job->top_k > table->device->k_max))
        result = PRUNUS_BAD_ARGUMENT;
    if (result == PRUNUS_OK)
        result = place_heads(table, head, CODES, &descriptor.q, &descriptor.k, &descriptor.v);
    if (result == PRUNUS_OK)
        result = place_results(table, head, &descriptor.out, &descriptor.status);
    prunus_topk_descriptor_pack(&descriptor, words);
    return add(table, result, used, words, descriptor.k, 0, descriptor.v);
}

/* -- runs ------------------------------------------------------------------------------------- */

#define BIT(name) (PRUNUS_##name##_MASK << PRUNUS_##name##_SHIFT)

/* Clear what is pending. */
static void clear(const struct prunus *device)
{
    write(device, PRUNUS_REG_STATUS, BIT(STATUS_IRQ) | BIT(STATUS_ERROR));
}

/* Why nothing can start. The hardware would refuse, and many a processor traps on a refused write. */
static int idle(const struct prunus *device)
{
    const uint32_t status = prunus_read(device, PRUNUS_REG_STATUS);

    if (FIELD(status, STATUS_HALTED))
        return PRUNUS_HALTED;
    return FIELD(status, STATUS_BUSY) || FIELD(status, STATUS_ABORTING) ? PRUNUS_BUSY : PRUNUS_OK;
}

int prunus_set_window(const struct prunus *device, enum prunus_window window,
                      prunus_address address, size_t size)
{
    static const uint32_t bases[3] = {PRUNUS_REG_OPERANDS_BASE, PRUNUS_REG_RESULTS_BASE,
                                      PRUNUS_REG_RECORDS_BASE};
    static const uint32_t limits[3] = {PRUNUS_REG_OPERANDS_LIMIT, PRUNUS_REG_RESULTS_LIMIT,
                                       PRUNUS_REG_RECORDS_LIMIT};
    static const uint32_t bases_high[3] = {PRUNUS_REG_OPERANDS_BASE_HIGH,
                                           PRUNUS_REG_RESULTS_BASE_HIGH,
                                           PRUNUS_REG_RECORDS_BASE_HIGH};
    static const uint32_t limits_high[3] = {PRUNUS_REG_OPERANDS_LIMIT_HIGH,
                                            PRUNUS_REG_RESULTS_LIMIT_HIGH,
                                            PRUNUS_REG_RECORDS_LIMIT_HIGH};
    int result = idle(device);

    if (!size || address % PRUNUS_WINDOW_BYTES || size % PRUNUS_WINDOW_BYTES
            || !reaches(device, address, size) || (uint32_t)window > 2u)
        return PRUNUS_BAD_ARGUMENT;
    if (FIELD(prunus_read(device, PRUNUS_REG_LOCK), LOCK_LOCKED))
        return PRUNUS_LOCKED;
    if (result == PRUNUS_OK) {
        write_address(device, bases[window], bases_high[window], address);
        write_address(device, limits[window], limits_high[window],
                      (prunus_address)(address + (size - 1u)));
    }
    return result;
}

void prunus_lock_windows(const struct prunus *device)
{
    write(device, PRUNUS_REG_LOCK, BIT(LOCK_LOCKED));
}

void prunus_set_timeout(const struct prunus *device, uint32_t cycles)
{
    write(device, PRUNUS_REG_TIMEOUT, cycles);
}

int prunus_abort(const struct prunus *device, uint32_t looks)
{
    uint32_t n;

    write(device, PRUNUS_REG_CONTROL, BIT(CONTROL_ABORT));
    for (n = 0u; !looks || n < looks; n++) {
        if (!FIELD(prunus_read(device, PRUNUS_REG_STATUS), STATUS_ABORTING)) {
            clear(device);
            return PRUNUS_OK;
        }
    }
    return PRUNUS_TIMEOUT;
}

void prunus_first_error(const struct prunus *device, struct prunus_error *error)
{
    const uint32_t value = prunus_read(device, PRUNUS_REG_ERROR);

    error->cause = FIELD(value, ERROR_CAUSE);
    error->response = FIELD(value, ERROR_RESPONSE);
    error->job = FIELD(value, ERROR_JOB);
    error->address = prunus_read(device, PRUNUS_REG_ERROR_ADDRESS);
    if (device->address_bits > 32u)
        error->address |= (prunus_address)prunus_read(device, PRUNUS_REG_ERROR_ADDRESS_HIGH) << 32;
}

int prunus_start(const struct prunus *device, const struct prunus_table *table)
{
    const struct prunus_port *port = &device->port;
    int result = idle(device);

    if (!table->count || table->count > PRUNUS_COUNT_MAX)
        return PRUNUS_BAD_ARGUMENT;
    if (result != PRUNUS_OK)
        return result;
    if (port->flush)
        port->flush(port->context, table->data, table->used);
    clear(device);
    write_address(device, PRUNUS_REG_TABLE, PRUNUS_REG_TABLE_HIGH, table->address);
    write(device, PRUNUS_REG_IRQ_ENABLE, port->wait ? BIT(IRQ_ENABLE_DONE) : 0u);
    write(device, PRUNUS_REG_DOORBELL, table->count);
    return PRUNUS_OK;
}

int prunus_wait(const struct prunus *device, const struct prunus_table *table, uint32_t looks)
{
    const struct prunus_port *port = &device->port;
    uint32_t status, n;

    for (n = 0u; !looks || n < looks; n++) {
        if (port->wait)
            port->wait(port->context);
        status = prunus_read(device, PRUNUS_REG_STATUS);
        if (FIELD(status, STATUS_IRQ)) {
            clear(device);
            if (port->invalidate)
                port->invalidate(port->context, table->data, table->used);
            if (FIELD(status, STATUS_HALTED))
                return PRUNUS_HALTED;
            return FIELD(status, STATUS_WRITE_ERROR) ? PRUNUS_WRITE_ERROR : PRUNUS_OK;
        }
    }
    return PRUNUS_TIMEOUT;
}

/* -- results ---------------------------------------------------------------------------------- */

/* What the descriptor of a job says of its results. */
struct results {
    uint32_t l_q, d;
    const uint8_t *out, *status;
};

static int results_of(const struct prunus_table *table, uint32_t n, struct results *results)
{
    const uint32_t bytes = table->device->descriptor_bytes;
    uint32_t words[PRUNUS_DESCRIPTOR_WORDS] = {0};
    struct prunus_hdp_descriptor hdp;
    struct prunus_leopard_descriptor leopard;
    struct prunus_topk_descriptor topk;
    prunus_address out, status;

    if (n >= table->count)
        return PRUNUS_BAD_ARGUMENT;
    load_words(table->data + (size_t)n * bytes, words, bytes);
    if (table->device->engine == PRUNUS_HDP_OPCODE) {
        prunus_hdp_descriptor_unpack(words, &hdp);
        results->l_q = hdp.l_q;
        results->d = hdp.d;
        out = hdp.out;
        status = hdp.status;
    } else if (table->device->engine == PRUNUS_LEOPARD_OPCODE) {
        prunus_leopard_descriptor_unpack(words, &leopard);
        results->l_q = leopard.l_q;
        results->d = leopard.d;
        out = leopard.out;
        status = leopard.status;
    } else {
        prunus_topk_descriptor_unpack(words, &topk);
        results->l_q = topk.l_q;
        results->d = topk.d;
        out = topk.out;
        status = topk.status;
    }
    results->out = table->data + (size_t)(out - table->address);
    results->status = table->data + (size_t)(status - table->address);
    return PRUNUS_OK;
}

int prunus_record(const struct prunus_table *table, uint32_t n, uint32_t *words)
{
    struct results results;
    struct prunus_hdp_record record;    /* these words are the same for all engines */
    int result = results_of(table, n, &results);

    if (result != PRUNUS_OK)
        return result;
    load_words(results.status, words, PRUNUS_STATUS_BYTES);
    prunus_hdp_record_unpack(words, &record);
    return record.done == 1u ? PRUNUS_OK : PRUNUS_NO_RECORD;
}

int prunus_output(const struct prunus_table *table, uint32_t n, int32_t *out)
{
    const uint32_t bytes = table->device->out_bits / 8u;
    const uint32_t top = (uint32_t)1 << (table->device->out_bits - 1u);
    struct results results;
    uint32_t i, j, word;
    int result = results_of(table, n, &results);

    if (result != PRUNUS_OK)
        return result;
    for (i = 0u; i < results.l_q; i++) {
        const uint8_t *row = results.out + (size_t)i * out_row_bytes(table->device, results.d);

        for (j = 0u; j < results.d; j++) {
            word = load(row + j * bytes, bytes);
            *out++ = (int32_t)((int64_t)(word ^ top) - (int64_t)top);
        }
    }
    return PRUNUS_OK;
}
