// SPDX-License-Identifier: Apache-2.0
// The main program of a Verilator simulation for cocotb, with a clock that costs no Python.
//
// It does in every step of time what cocotb's own does (share/lib/verilator/verilator.cpp). The
// clock of memory.h is one more cause for a step. It changes behind callbacks of time and before
// the evaluation, so what waits for an edge sees the values of before.

#include <algorithm>
#include <cstring>
#include <memory>

#include "Vtop.h"
#include "verilated.h"
#include "verilated_vpi.h"

#if VM_COVERAGE
#include "verilated_cov.h"
#endif
#if VM_TRACE
#if VM_TRACE_FST
#include "verilated_fst_c.h"
using Trace = VerilatedFstC;
#else
#include "verilated_vcd_c.h"
using Trace = VerilatedVcdC;
#endif
static Trace* trace = nullptr;
#endif

#include "memory.h"

static vluint64_t now = 0;

double sc_time_stamp() { return now; }

extern "C" void vlog_startup_routines_bootstrap(void);

static void settle() {
    while (VerilatedVpi::callValueCbs()) {}
}

static void wrap_up() {
    VerilatedVpi::callCbs(cbEndOfSimulation);
#if VM_TRACE
    if (trace) trace->close();
#endif
#if VM_COVERAGE
    VerilatedCov::write();
#endif
}

static void step(Vtop& top) {
    do {
        do {
            top.eval_step();
            VerilatedVpi::clearEvalNeeded();
            VerilatedVpi::doInertialPuts();
            settle();
        } while (VerilatedVpi::evalNeeded());
        VerilatedVpi::callCbs(cbReadWriteSynch);
        VerilatedVpi::doInertialPuts();
        settle();
    } while (VerilatedVpi::evalNeeded());
    top.eval_end_step();
    VerilatedVpi::callCbs(cbReadOnlySynch);
#if VM_TRACE
    if (trace) trace->dump(now);
#endif
}

int main(int argc, char** argv) {
    Verilated::commandArgs(argc, argv);
    std::unique_ptr<Vtop> top(new Vtop(""));
    Verilated::fatalOnVpiError(false);      // or else system tasks would fail
#if VM_TRACE
    Verilated::traceEverOn(true);
    for (int n = 1; n + 1 < argc; n++) {
        if (strcmp(argv[n], "--trace-file") == 0) {
            trace = new Trace;
            top->trace(trace, 99);
            trace->open(argv[n + 1]);
        }
    }
#endif
    vlog_startup_routines_bootstrap();
    Verilated::addExitCb([](void*) { wrap_up(); }, nullptr);
    VerilatedVpi::callCbs(cbStartOfSimulation);
    settle();
    while (!Verilated::gotFinish()) {
        step(*top);
        const vluint64_t wanted = VerilatedVpi::cbNextDeadline();
        now = std::min<vluint64_t>(wanted, main_clock.next);
        if (now == ~0ull) break;        // nothing will ever happen
        VerilatedVpi::callCbs(cbNextSimTime);
        settle();
        if (now == wanted) {
            VerilatedVpi::callTimedCbs();
            settle();
        }
        if (now == main_clock.next) {
            tick();
            settle();
        }
    }
    top->final();
    wrap_up();
    return Verilated::threadContextp()->errorCount() > 0;
}
