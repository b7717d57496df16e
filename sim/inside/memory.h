// SPDX-License-Identifier: Apache-2.0
// What main program and Python know of the memory; sim/inside/native.py has the same structures.
#pragma once

#include <cstdint>

// Bytes of the contents from `first` on lie at `address` of the bus.
struct Place {
    uint64_t address, size, first;
};
// Reads, or writes, that touch these addresses are answered so.
struct Fault {
    uint64_t first, end, response, write;
};
// Addresses that bursts may go to; without any of a kind they may go anywhere.
struct Fence {
    uint64_t first, end, write;
};
// An answer with an error, by chance: of a beat that was read, or of a burst that was written.
struct Drawn {
    uint64_t address, size, response, write;
};
struct State {
    uint64_t read, written;             // bytes
    uint64_t cycles;                    // rising edges of the clock
    uint64_t outside, outside_at;       // whether a write met no contents, and the first address
    uint64_t silent;                    // a bit for each of AR, R, AW, W, B: it does not move
    uint64_t broken;                    // a rule of the bus
};
using Broken = void (*)(const char*);

// For the main program.
struct Clock {
    uint64_t half = 0, next = ~0ull;    // steps of simulated time
};
extern Clock main_clock;
void tick();                            // the clock changes
