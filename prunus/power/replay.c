// SPDX-License-Identifier: Apache-2.0
// Gates, cycle by cycle: inputs from a record, outputs held against it, and what moves is counted.
//
// A cycle begins with all nets settled. The clock rises: flip-flops and memories take what is at
// their inputs, if their clock gate lets it through. Then inputs are as they were recorded before
// the next edge, gates are evaluated level by level, and outputs are compared. prunus/power/replay.py
// writes evaluate() in front of this file, from the functions of the cells.

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t bit;

typedef struct {
    int32_t words, width, address_bits, clocked;
    const int32_t *address;         // nets
    int32_t first, enable, reset;
    const bit *reset_value;
    uint64_t reads, idle;           // cycles of a clocked port, with enable and without
    bit *wanted;                    // what it holds after the edge
    bit *contents;
} ReadPort;

typedef struct {
    int32_t words, width, address_bits, uniform;
    const int32_t *address, *data, *enable;
    bit *contents;                  // words times width
    uint64_t writes, changed;       // cycles with a bit written; bits that became others
    uint64_t both, none;            // cycles in which it was read as well, and nothing was done
    int32_t first_read, reads;      // its ports
    float read_weight, write_weight;    // energy of an access, for the trace alone
} Memory;

typedef struct {
    int32_t count, first;
    const int32_t *data, *enable;
    // By flip-flop. State d + 2 q: how often at a rising edge of its clock and at the falling one
    // behind it; changes of D while the clock was high, and in cycles without a clock.
    uint32_t *rise[4], *fall[4], *moved_high, *moved_low;
    bit *before, *clocked;
} Bank;

// What a net goes to, and when its gate answers: for glitches.
typedef struct {
    const int64_t *first;           // by net: of its sinks; one more at the end
    const int32_t *gate;            // number of a gate, or -1 - n for port n of the memories
    const int32_t *rise_ps, *fall_ps;
    const int32_t *gate_net;        // by gate: its output,
    const uint64_t *truth;          // its function, by the values of its inputs as a number,
    const int64_t *gate_inputs;     // and where its inputs lie in
    const int32_t *input_net;
    const int32_t *start_ps;        // by net: after an edge of the clock
    const int32_t *port_ps;         // by port of the memories: from an address to its data
    int32_t *pending_ps, *next, *last;  // by net: when it changes, -1 for never; its list
    int32_t *head;                  // by time
    int32_t horizon_ps;
    uint64_t events, swallowed;     // changes, and those that others came before
} Delays;

typedef struct {
    int32_t nets, steps, banks, memories, read_ports, input_bits, output_bits, stride, gates;
    bit *now, *before;
    uint32_t *toggles;
    const float *weights;           // energy of a change of a net, for the trace alone
    const int32_t *step_kind, *step_first, *step_count;
    const int32_t *const *step_inputs;
    Bank *bank;
    Memory *memory;
    ReadPort *port;
    const int32_t *gate;            // nets that clock gates look at
    uint32_t *gate_open;            // cycles in which one lets the clock through
    const int32_t *input_net, *input_at, *output_net, *output_at;   // bits of a row of the record
    uint64_t compared, differing, different_cycle;
    int32_t different_output;
    double *trace;                  // by cycle; null for none
    float clock_weight, cycle_weight;   // of a flip-flop that is clocked, and of every cycle
    uint64_t cycle, compare_from;
    int32_t counting;
    Delays *delays;                 // null: all that is evaluated changes at once
    int32_t sources;                // nets in front of those of gates
    bit *wanted;
} Design;

static void read_word(const ReadPort *port, const bit *now, bit *to) {
    uint32_t address = 0;
    for (int n = 0; n < port->address_bits; n++) address |= (uint32_t)now[port->address[n]] << n;
    if (address < (uint32_t)port->words)
        memcpy(to, port->contents + (size_t)address * port->width, port->width);
    else
        memset(to, 0, port->width);
}

static void settle(Design *design) {
    bit *now = design->now;
    for (int n = 0; n < design->steps; n++) {
        if (design->step_kind[n] < 0) {
            const ReadPort *port = &design->port[design->step_first[n]];
            read_word(port, now, now + port->first);
        } else {
            evaluate(design->step_kind[n], now, now + design->step_first[n],
                     design->step_count[n], design->step_inputs[n]);
        }
    }
}

// Memories at the rising edge; what they will show is put aside.
static double clock_memories(Design *design) {
    const bit *now = design->now;
    double energy = 0;
    for (int n = 0; n < design->memories; n++) {
        Memory *memory = &design->memory[n];
        int read = 0;
        for (int p = memory->first_read; p < memory->first_read + memory->reads; p++) {
            ReadPort *port = &design->port[p];
            if (!port->clocked) continue;
            if (now[port->enable]) {
                read_word(port, now, port->wanted);
                read = 1;
                energy += memory->read_weight;
                if (design->counting) port->reads++;
            } else if (design->counting) {
                port->idle++;
            }
            if (now[port->reset]) memcpy(port->wanted, port->reset_value, port->width);
        }
        uint32_t address = 0;
        int written = 0;
        for (int b = 0; b < memory->address_bits; b++)
            address |= (uint32_t)now[memory->address[b]] << b;
        if (address < (uint32_t)memory->words) {
            bit *word = memory->contents + (size_t)address * memory->width;
            if (!memory->uniform || now[memory->enable[0]]) {
                for (int b = 0; b < memory->width; b++) {
                    if (!now[memory->enable[b]]) continue;
                    const bit value = now[memory->data[b]];
                    if (design->counting) memory->changed += word[b] ^ value;
                    word[b] = value;
                    written = 1;
                }
            }
        }
        if (design->counting) {
            memory->writes += written;
            memory->both += written && read;
            memory->none += !written && !read;
        }
        energy += written * (double)memory->write_weight;
    }
    return energy;
}

static double clock_flops(Design *design) {
    bit *now = design->now;
    uint64_t clocked = 0;
    for (int n = 0; n < design->banks; n++) {
        Bank *bank = &design->bank[n];
        const int count = bank->count;
        bit *q = now + bank->first;
        for (int i = 0; i < count; i++) {
            const bit d = now[bank->data[i]], state = d | q[i] << 1, on = now[bank->enable[i]];
            if (design->counting) {
                const bit was = bank->clocked[i], moved = d ^ bank->before[i];
                for (int s = 0; s < 4; s++) {
                    const bit here = state == s;
                    bank->rise[s][i] += here & on;
                    bank->fall[s][i] += here & was;
                }
                bank->moved_high[i] += moved & was;
                bank->moved_low[i] += moved & (was ^ 1);
                clocked += on;
            }
            bank->before[i] = d;
            bank->clocked[i] = on;
        }
        // All have looked before the first changes: one may feed another.
    }
    for (int n = 0; n < design->banks; n++) {
        Bank *bank = &design->bank[n];
        bit *q = now + bank->first;
        for (int i = 0; i < bank->count; i++) q[i] = bank->clocked[i] ? bank->before[i] : q[i];
    }
    for (int n = 0; n < design->gates; n++)
        if (design->counting) design->gate_open[n] += design->before[design->gate[n]];
    return clocked * (double)design->clock_weight;
}

static void take_inputs(Design *design, const uint8_t *row) {
    for (int n = 0; n < design->input_bits; n++)
        design->now[design->input_net[n]] =
            row[design->input_at[n] >> 3] >> (design->input_at[n] & 7) & 1;
}

static void compare(Design *design, const uint8_t *row) {
    if (design->cycle < design->compare_from) return;
    for (int n = 0; n < design->output_bits; n++) {
        const bit wanted = row[design->output_at[n] >> 3] >> (design->output_at[n] & 7) & 1;
        if (design->now[design->output_net[n]] != wanted) {
            if (!design->differing) {
                design->different_cycle = design->cycle;
                design->different_output = n;
            }
            design->differing++;
        }
    }
    design->compared += design->output_bits;
}

static double count(Design *design) {
    const bit *now = design->now, *before = design->before;
    const int nets = design->nets;
    for (int n = 0; n < nets; n++) design->toggles[n] += now[n] ^ before[n];
    if (!design->trace) return 0;
    double energy = 0;
    for (int n = 0; n < nets; n++) energy += (now[n] ^ before[n]) * design->weights[n];
    return energy;
}

// -- glitches -------------------------------------------------------------------------------------
static void unlink_net(Delays *delays, int net) {
    const int next = delays->next[net], last = delays->last[net];
    if (last >= 0) delays->next[last] = next;
    else delays->head[delays->pending_ps[net]] = next;
    if (next >= 0) delays->last[next] = last;
    delays->pending_ps[net] = -1;
}

// A net shall have a value at a time. A change that is under way and leads elsewhere is swallowed.
static void wish(Design *design, int net, bit value, int at) {
    Delays *delays = design->delays;
    if (delays->pending_ps[net] >= 0) {
        if (value == design->now[net]) {
            unlink_net(delays, net);
            if (design->counting) delays->swallowed++;
        }
        return;
    }
    if (value == design->now[net]) return;
    if (at >= delays->horizon_ps) at = delays->horizon_ps - 1;
    delays->pending_ps[net] = at;
    delays->last[net] = -1;
    delays->next[net] = delays->head[at];
    if (delays->head[at] >= 0) delays->last[delays->head[at]] = net;
    delays->head[at] = net;
}

static void tell(Design *design, int net, int at) {
    Delays *delays = design->delays;
    const bit *now = design->now;
    for (int64_t n = delays->first[net]; n < delays->first[net + 1]; n++) {
        const int gate = delays->gate[n];
        if (gate < 0) {
            const ReadPort *port = &design->port[-1 - gate];
            read_word(port, now, port->wanted);
            for (int b = 0; b < port->width; b++)
                wish(design, port->first + b, port->wanted[b], at + delays->port_ps[-1 - gate]);
            continue;
        }
        uint32_t state = 0;
        const int64_t inputs = delays->gate_inputs[gate];
        const int count = (int)(delays->gate_inputs[gate + 1] - inputs);
        for (int i = 0; i < count; i++)
            state |= (uint32_t)now[delays->input_net[inputs + i]] << i;
        const bit value = delays->truth[gate] >> state & 1;
        const int out = delays->gate_net[gate];
        wish(design, out, value, at + (value ? delays->rise_ps[n] : delays->fall_ps[n]));
    }
}

// Everything that moves after an edge, in order of time. What the clock and the record set is in
// `wanted`, the nets up to the first gate.
static double move(Design *design, const bit *wanted, int sources) {
    Delays *delays = design->delays;
    double energy = 0;
    int left = 0;
    for (int net = 0; net < sources; net++) wish(design, net, wanted[net], delays->start_ps[net]);
    for (int p = 0; p < design->read_ports; p++) {
        const ReadPort *port = &design->port[p];
        if (port->clocked) continue;    // a write may have changed what it shows
        read_word(port, design->now, port->wanted);
        for (int b = 0; b < port->width; b++)
            wish(design, port->first + b, port->wanted[b], delays->port_ps[p]);
    }
    for (int at = 0; at < delays->horizon_ps; at++) {
        while ((left = delays->head[at]) >= 0) {
            unlink_net(delays, left);
            design->now[left] ^= 1;
            if (design->counting) {
                design->toggles[left]++;
                delays->events++;
                if (design->trace) energy += design->weights[left];
            }
            tell(design, left, at);
        }
    }
    return energy;
}

// The nets of the first row, from the values of before it: nothing is counted or clocked.
void begin(Design *design, const uint8_t *row) {
    take_inputs(design, row);
    settle(design);
    compare(design, row);
    for (int n = 0; n < design->banks; n++) {
        const Bank *bank = &design->bank[n];
        for (int i = 0; i < bank->count; i++) bank->before[i] = design->now[bank->data[i]];
    }
    design->cycle = 1;
}

// The next rows, one for each edge. What moves in cycles from `from` up to `to` is counted.
void run(Design *design, const uint8_t *rows, uint64_t count_rows, uint64_t from, uint64_t to) {
    for (uint64_t n = 0; n < count_rows; n++, design->cycle++) {
        const uint8_t *row = rows + n * design->stride;
        design->counting = from <= design->cycle && design->cycle < to;
        memcpy(design->before, design->now, design->nets);
        double energy = design->cycle_weight + clock_memories(design);
        energy += clock_flops(design);
        for (int p = 0; p < design->read_ports; p++) {
            const ReadPort *port = &design->port[p];
            if (port->clocked) memcpy(design->now + port->first, port->wanted, port->width);
        }
        take_inputs(design, row);
        if (design->delays) {
            memcpy(design->wanted, design->now, design->sources);
            memcpy(design->now, design->before, design->sources);
            energy += move(design, design->wanted, design->sources);
        } else {
            settle(design);
            if (design->counting) energy += count(design);
        }
        compare(design, row);
        if (design->counting && design->trace) design->trace[design->cycle - from] = energy;
    }
}
