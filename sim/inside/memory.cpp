// SPDX-License-Identifier: Apache-2.0
// A memory behind the AXI4 port of a simulated coprocessor, and the rules of both its buses.
//
// The main program calls sample() before each rising edge of the clock, when the coprocessor has
// settled, and drive() at the falling edge. So the coprocessor sees what the memory drives as if
// the memory had registers of the same clock. Without pauses it is as fast as the memory of
// cocotbext-axi, cycle for cycle: an answer follows two cycles after its request, two bursts and
// two beats wait. Python sets it up through the functions at the end, sim/inside/native.py.

#include <algorithm>
#include <cinttypes>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <initializer_list>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "verilated.h"
#include "verilated_syms.h"
#include "vpi_user.h"

#include "memory.h"

namespace {

constexpr size_t WAITING = 2;           // bursts and beats that a channel keeps
constexpr size_t BEAT_BYTES = 128;      // of the widest bus
constexpr uint64_t PAGE = 4096;
constexpr uint64_t INCR = 1;
constexpr double LONG_STALL = 1.0 / 256;
constexpr uint64_t LONG_FROM = 16, LONG_TO = 64;
constexpr uint64_t HOLD_CYCLES = 600;   // held responses come if no other has for so long
constexpr uint64_t NEVER = ~0ull;
enum Response : uint8_t { OKAY = 0, SLVERR = 2, DECERR = 3 };
enum Side { AR, R, AW, W, B, SIDES };

std::string text(const char* format, ...) __attribute__((format(printf, 1, 2)));
std::string text(const char* format, ...) {
    char line[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    return line;
}

// A port of the top, where Verilator keeps it.
struct Port {
    uint8_t* at = nullptr;
    size_t bytes = 0;

    uint64_t get() const {
        uint64_t value = 0;
        memcpy(&value, at, std::min(bytes, sizeof value));
        return value;
    }
    void set(uint64_t value) const {
        if (!at) return;
        memset(at, 0, bytes);
        memcpy(at, &value, std::min(bytes, sizeof value));
    }
    std::string hex() const {
        std::string shown;
        for (size_t n = bytes; n-- > 0;) {
            const unsigned byte = at[n];
            if (!shown.empty()) shown += text("%02x", byte);
            else if (byte) shown += text("%x", byte);
        }
        return "0x" + (shown.empty() ? "0" : shown);
    }
};

// The first rule of a cycle that was broken.
struct Rule {
    std::string text;

    void say(const std::string& broken) {
        if (text.empty()) text = broken;
    }
};

std::string hex(const uint8_t* bytes, size_t count) {
    return Port{const_cast<uint8_t*>(bytes), count}.hex();
}

Port find(const std::string& top, const std::string& name) {
    const VerilatedScope* scope = Verilated::threadContextp()->scopeFind("TOP");
    VerilatedVar* found = scope ? scope->varFind(name.c_str()) : nullptr;
    if (!found) return {};
    const vpiHandle handle = vpi_handle_by_name(
        const_cast<PLI_BYTE8*>((top + "." + name).c_str()), nullptr);
    const size_t bits = vpi_get(vpiSize, handle);
    vpi_release_handle(handle);
    // As Verilator keeps values of so many bits.
    const size_t bytes = bits <= 8 ? 1 : bits <= 16 ? 2 : bits <= 32 ? 4 : (bits + 31) / 32 * 4;
    return {static_cast<uint8_t*>(found->datap()), bits > 32 && bits <= 64 ? 8 : bytes};
}

// A channel whose source keeps valid and payload until it is taken.
class Channel {
public:
    Port valid, ready;

    void open(const std::string& top, const std::string& name) {
        name_ = name;
        valid = find(top, name + "valid");
        ready = find(top, name + "ready");
        payload_.clear();
        for (const auto& [port, unused] : *Verilated::threadContextp()->scopeFind("TOP")->varsp()) {
            const std::string other = port;
            if (other.rfind(name, 0) == 0 && other != name + "valid" && other != name + "ready")
                payload_.push_back({other, find(top, other)});
        }
        size_t size = 0;
        for (auto& part : payload_) size += part.port.bytes;
        held_.assign(size, 0);
        waits_ = false;
    }
    void reset() { waits_ = false; }

    // Whether there is a transfer in this cycle; a broken rule is told in `rule`.
    bool step(Rule& rule) {
        if (!*valid.at) {
            if (waits_) rule.say(name_ + "valid fell before it was taken");
            waits_ = false;
            return false;
        }
        const bool taken = *ready.at;
        uint8_t* held = held_.data();
        if (waits_) {
            for (const auto& part : payload_) {
                if (memcmp(held, part.port.at, part.port.bytes)) {
                    rule.say(part.name + " changed from " + hex(held, part.port.bytes) + " to " +
                             part.port.hex() + " while it waited");
                    break;
                }
                held += part.port.bytes;
            }
        } else if (!taken) {
            for (const auto& part : payload_) {
                memcpy(held, part.port.at, part.port.bytes);
                held += part.port.bytes;
            }
        }
        waits_ = !taken;
        return taken;
    }

private:
    struct Part {
        std::string name;
        Port port;
    };
    std::string name_;
    std::vector<Part> payload_;
    std::vector<uint8_t> held_;
    bool waits_ = false;
};

// Pauses at random, one side of the bus at a time.
class Stalls {
public:
    void set(double probability, uint64_t seed) {
        probability_ = probability;
        seed_ = seed;
        restart();
    }
    void restart() {
        random_.seed(seed_);
        std::fill(until_, until_ + SIDES, 0);
        cycle_ = 0;
    }
    void step() {
        if (probability_ == 0) return;
        for (int side = 0; side < SIDES; side++) {
            if (chance(LONG_STALL))
                until_[side] = cycle_ + LONG_FROM + random_() % (LONG_TO - LONG_FROM + 1);
            paused_[side] = chance(probability_) || cycle_ < until_[side];
        }
        cycle_++;
    }
    bool operator[](Side side) const { return probability_ != 0 && paused_[side]; }

private:
    bool chance(double probability) { return (random_() >> 11) * 0x1p-53 < probability; }

    double probability_ = 0;
    uint64_t seed_ = 0, cycle_ = 0;
    uint64_t until_[SIDES] = {};
    bool paused_[SIDES] = {};
    std::mt19937_64 random_;
};

struct Burst {
    uint64_t id, address, length;
};
struct ReadBeat {
    uint64_t id;
    bool last;
    uint8_t response;
    uint8_t data[BEAT_BYTES];
};
struct WriteBeat {
    bool last;
    bool strobes[BEAT_BYTES];
    uint8_t data[BEAT_BYTES];
};
struct Answer {
    uint64_t id;
    uint8_t response;
};

// What the write channels may do: bursts as long as their addresses say.
class Bursts {
public:
    void reset() {
        lengths_.clear();
        ended_.clear();
        beats_ = 0;
    }
    void address(uint64_t length, Rule& rule) {
        lengths_.push_back(length);
        match(rule);
    }
    void data(bool last, Rule& rule) {
        beats_++;
        if (last) {
            ended_.push_back(beats_);
            beats_ = 0;
        } else if (!lengths_.empty() && ended_.empty() && beats_ >= lengths_.front()) {
            rule.say(text("m_axi_wlast is missing on beat %" PRIu64, beats_));
        }
        match(rule);
    }

private:
    void match(Rule& rule) {
        while (!lengths_.empty() && !ended_.empty()) {
            if (lengths_.front() != ended_.front())
                rule.say(text("m_axi_wlast came on beat %" PRIu64 " of %" PRIu64, ended_.front(),
                              lengths_.front()));
            lengths_.pop_front();
            ended_.pop_front();
        }
    }
    std::deque<uint64_t> lengths_, ended_;
    uint64_t beats_ = 0;
};

// What a port of a channel of addresses always says.
struct Constant {
    std::string name;
    Port port;
    uint64_t value;
};

class Memory {
public:
    State state{};
    uint8_t* bytes = nullptr;
    std::vector<Place> places;
    std::vector<Fault> faults;
    std::vector<Fence> fences;
    std::vector<Drawn> drawn;
    Stalls stalls;

    // The empty text if all ports are there.
    std::string open(const std::string& top, Broken broken) {
        broken_ = broken;
        rst_ = find(top, "rst");
        for (auto [side, name] : {std::pair{AR, "ar"}, {R, "r"}, {AW, "aw"}, {W, "w"}, {B, "b"}}) {
            channels_[side].open(top, std::string("m_axi_") + name);
            if (!channels_[side].valid.at || !channels_[side].ready.at)
                return std::string("there is no channel m_axi_") + name;
        }
        lite_.clear();
        for (const char* name : {"s_axil_r", "s_axil_b"}) {
            Channel channel;
            channel.open(top, name);
            if (channel.valid.at) lite_.push_back(channel);
        }
        const std::pair<Port*, const char*> ports[] = {
            {&araddr_, "araddr"}, {&arlen_, "arlen"}, {&arsize_, "arsize"},
            {&arburst_, "arburst"}, {&arid_, "arid"}, {&awaddr_, "awaddr"}, {&awlen_, "awlen"},
            {&awsize_, "awsize"}, {&awburst_, "awburst"}, {&awid_, "awid"}, {&wdata_, "wdata"},
            {&wstrb_, "wstrb"}, {&wlast_, "wlast"}, {&rdata_, "rdata"}, {&rresp_, "rresp"},
            {&rlast_, "rlast"}, {&rid_, "rid"}, {&bresp_, "bresp"}, {&bid_, "bid"}};
        for (auto [port, name] : ports) {
            *port = find(top, std::string("m_axi_") + name);
            if (!port->at) return std::string("there is no port m_axi_") + name;
        }
        if (rdata_.bytes > BEAT_BYTES) return "the bus is wider than the memory can be";
        for (auto& constants : constants_) constants.clear();
        reset();
        drive();
        opened_ = true;
        return "";
    }

    // From now on a port must have this value with each address. Whether there is such a port.
    bool expect(const std::string& top, const std::string& name, uint64_t value) {
        const Port port = find(top, name);
        if (port.at) constants_[name.rfind("m_axi_aw", 0) == 0].push_back({name, port, value});
        return port.at;
    }

    void hold(uint64_t count) {
        hold_ = count;
        held_back_ = count != 0;
        if (count) answers_wait_ = NEVER;   // else writes would stop at two responses
    }

    // From now on answers are errors by chance.
    void draw(double reads, double writes, uint64_t seed) {
        chances_[0] = reads;
        chances_[1] = writes;
        random_.seed(seed);
        drawn.clear();
    }

    // Before a rising edge of the clock.
    void sample() {
        if (!opened_) return;
        state.cycles++;
        if (*rst_.at) {
            reset();
            return;
        }
        stalls.step();
        Rule rule;
        for (auto& channel : lite_) channel.step(rule);
        const bool taken[SIDES] = {channels_[AR].step(rule), channels_[R].step(rule),
                                   channels_[AW].step(rule), channels_[W].step(rule),
                                   channels_[B].step(rule)};
        take(taken, rule);
        hold_back();
        answer(taken);
        ready_[AR] = addresses_[0].size() < WAITING && !paused(AR);
        ready_[AW] = addresses_[1].size() < WAITING && !paused(AW);
        ready_[W] = data_.size() < WAITING && !paused(W);
        write();
        read();
        if (!rule.text.empty()) tell(rule.text);
    }

    // After it.
    void drive() {
        if (!channels_[AR].ready.at) return;
        for (Side side : {AR, AW, W}) *channels_[side].ready.at = ready_[side];
        *channels_[R].valid.at = valid_[R];
        *channels_[B].valid.at = valid_[B];
        if (valid_[R]) {
            rid_.set(beat_.id);
            rresp_.set(beat_.response);
            rlast_.set(beat_.last);
            memcpy(rdata_.at, beat_.data, rdata_.bytes);
        }
        if (valid_[B]) {
            bid_.set(answered_.id);
            bresp_.set(answered_.response);
        }
    }

private:
    bool paused(Side side) const {
        return stalls[side] || state.silent >> side & 1 || (side == B && held_back_);
    }

    void reset() {
        for (auto& channel : channels_) channel.reset();
        for (auto& channel : lite_) channel.reset();
        bursts_.reset();
        for (auto& waiting : addresses_) waiting.clear();
        data_.clear();
        beats_.clear();
        answers_.clear();
        std::fill(ready_, ready_ + SIDES, false);
        std::fill(valid_, valid_ + SIDES, false);
        reading_ = writing_ = false;
    }

    void tell(const std::string& rule) {
        if (broken_ && !state.broken) broken_(rule.c_str());
        state.broken = 1;
    }

    // What the coprocessor sends in this cycle.
    void take(const bool* taken, Rule& rule) {
        if (taken[AR]) addresses_[0].push_back(address("ar", arid_, araddr_, arlen_, arsize_,
                                                       arburst_, rule));
        if (taken[AW]) {
            addresses_[1].push_back(address("aw", awid_, awaddr_, awlen_, awsize_, awburst_,
                                            rule));
            bursts_.address(addresses_[1].back().length, rule);
        }
        if (!taken[W]) return;
        WriteBeat beat;
        beat.last = *wlast_.at;
        memcpy(beat.data, wdata_.at, wdata_.bytes);
        for (size_t n = 0; n < wdata_.bytes; n++) beat.strobes[n] = wstrb_.at[n / 8] >> n % 8 & 1;
        if (memchr(beat.strobes, 0, wdata_.bytes))
            rule.say("m_axi_wstrb must be all ones, not " + wstrb_.hex());
        bursts_.data(beat.last, rule);
        data_.push_back(beat);
    }

    Burst address(const char* channel, const Port& id, const Port& addr, const Port& len,
                  const Port& size, const Port& burst, Rule& rule) {
        const uint64_t beat = rdata_.bytes, at = addr.get(), length = len.get() + 1;
        const auto what = [&] {
            return text("m_axi_%s 0x%" PRIx64 " of %" PRIu64 " beats: ", channel, at, length);
        };
        if (burst.get() != INCR)
            rule.say(what() + text("burst must be INCR, not %" PRIu64, burst.get()));
        if (1ull << size.get() != beat)
            rule.say(what() + text("size must be the whole beat, not %llu bytes",
                                   1ull << size.get()));
        if (at % beat) rule.say(what() + "the address must be a multiple of a beat");
        if (at / PAGE != (at + length * beat - 1) / PAGE)
            rule.say(what() + "crosses a boundary of 4 KB");
        for (const auto& constant : constants_[channel[1] == 'w'])
            if (constant.port.get() != constant.value)
                rule.say(what() + text("%s must be %" PRIu64 ", not %" PRIu64,
                                       constant.name.c_str(), constant.value,
                                       constant.port.get()));
        if (!fenced(at, length * beat, channel[1] == 'w'))
            rule.say(what() + "lies outside all windows");
        return {id.get(), at / beat * beat, length};
    }

    bool fenced(uint64_t address, uint64_t size, bool write) const {
        bool any = false;
        for (const auto& fence : fences) {
            if (fence.write != write) continue;
            any = true;
            if (fence.first <= address && address + size <= fence.end) return true;
        }
        return !any;
    }

    // Responses that are held back until there are enough, or until no more come.
    void hold_back() {
        if (!hold_) return;
        since_ = answers_.size() == seen_ ? since_ + 1 : 0;
        seen_ = answers_.size();
        if (!seen_) held_back_ = true;
        else if (seen_ >= hold_ || since_ > HOLD_CYCLES) held_back_ = false;
    }

    // What the coprocessor sees next on R and B.
    void answer(const bool* taken) {
        if (taken[R] || !valid_[R]) {
            valid_[R] = !beats_.empty() && !paused(R);
            if (valid_[R]) {
                beat_ = beats_.front();
                beats_.pop_front();
            }
        }
        if (taken[B] || !valid_[B]) {
            valid_[B] = !answers_.empty() && !paused(B);
            if (valid_[B]) {
                answered_ = answers_.front();
                answers_.pop_front();
            }
        }
    }

    // Where bytes lie in the contents; null if they do not, or not all.
    uint8_t* place(uint64_t address, uint64_t size) const {
        auto found = std::upper_bound(
            places.begin(), places.end(), address,
            [](uint64_t at, const Place& place) { return at < place.address; });
        if (found == places.begin()) return nullptr;
        found--;
        if (size > found->size || address - found->address > found->size - size) return nullptr;
        return bytes + found->first + (address - found->address);
    }

    uint8_t fault(uint64_t address, uint64_t size, bool write) const {
        for (const auto& fault : faults)
            if (fault.write == write && fault.first < address + size && address < fault.end)
                return fault.response;
        return OKAY;
    }

    uint8_t by_chance(uint64_t address, uint64_t size, bool write) {
        const double chance = chances_[write];
        if (chance == 0 || (random_() >> 11) * 0x1p-53 >= chance) return OKAY;
        const uint8_t response = random_() & 1 ? SLVERR : DECERR;
        drawn.push_back({address, size, response, write});
        return response;
    }

    void write() {
        const uint64_t size = wdata_.bytes;
        while (true) {
            if (!writing_) {
                if (addresses_[1].empty()) return;
                writing_ = true;
                write_ = addresses_[1].front();
                addresses_[1].pop_front();
                done_ = 0;
                response_ = OKAY;
            }
            for (; done_ < write_.length; done_++) {
                if (data_.empty()) return;
                const WriteBeat beat = data_.front();
                data_.pop_front();
                store(write_.address + done_ * size, beat);
            }
            if (answers_.size() >= answers_wait_) return;
            if (!response_) response_ = by_chance(write_.address, write_.length * size, true);
            answers_.push_back({write_.id, response_});
            writing_ = false;
        }
    }

    void store(uint64_t address, const WriteBeat& beat) {
        const uint64_t size = wdata_.bytes;
        state.written += size;
        uint8_t* at = place(address, size);
        if (!at) {
            if (!state.outside) state.outside_at = address;
            state.outside = 1;
            response_ = SLVERR;
            return;
        }
        if (const uint8_t wanted = fault(address, size, true)) response_ = wanted;
        for (size_t n = 0; n < size; n++)
            if (beat.strobes[n]) at[n] = beat.data[n];
    }

    void read() {
        const uint64_t size = rdata_.bytes;
        while (true) {
            if (!reading_) {
                if (addresses_[0].empty()) return;
                reading_ = true;
                read_ = addresses_[0].front();
                addresses_[0].pop_front();
                sent_ = 0;
            }
            if (beats_.size() >= WAITING) return;
            const uint64_t address = read_.address + sent_ * size;
            ReadBeat beat;
            beat.id = read_.id;
            beat.last = ++sent_ == read_.length;
            beat.response = fault(address, size, false);
            state.read += size;
            const uint8_t* at = place(address, size);
            if (!at) beat.response = SLVERR;
            if (!beat.response) beat.response = by_chance(address, size, false);
            if (at && !beat.response) memcpy(beat.data, at, size);
            else memset(beat.data, 0, size);
            beats_.push_back(beat);
            reading_ = !beat.last;
        }
    }

    Broken broken_ = nullptr;
    bool opened_ = false;
    Port rst_;
    Channel channels_[SIDES];
    std::vector<Channel> lite_;
    Port araddr_, arlen_, arsize_, arburst_, arid_, awaddr_, awlen_, awsize_, awburst_, awid_;
    Port wdata_, wstrb_, wlast_, rdata_, rresp_, rlast_, rid_, bresp_, bid_;
    Bursts bursts_;
    std::vector<Constant> constants_[2];    // of reads and of writes
    std::deque<Burst> addresses_[2];
    std::deque<WriteBeat> data_;
    std::deque<ReadBeat> beats_;
    std::deque<Answer> answers_;
    bool ready_[SIDES] = {}, valid_[SIDES] = {};
    bool reading_ = false, writing_ = false;
    Burst read_{}, write_{};
    ReadBeat beat_{};
    Answer answered_{};
    uint64_t sent_ = 0, done_ = 0;
    uint8_t response_ = OKAY;
    uint64_t hold_ = 0, since_ = 0, seen_ = 0, answers_wait_ = WAITING;
    bool held_back_ = false;
    double chances_[2] = {};
    std::mt19937_64 random_;
};

// A file of what the ports of the top hold before each rising edge: first a line "name bytes" for each
// and an empty one, then a record for each edge, the ports one behind the other as they are kept.
class Recorder {
public:
    // Whether the file can be written.
    bool open(const std::string& top, const char* path) {
        file_ = fopen(path, "wb");
        if (!file_) return false;
        for (const auto& [name, unused] : *Verilated::threadContextp()->scopeFind("TOP")->varsp()) {
            ports_.push_back(find(top, name));
            fprintf(file_, "%s %zu\n", name, ports_.back().bytes);
        }
        fputc('\n', file_);
        return true;
    }
    void sample() {
        if (!file_) return;
        for (const auto& port : ports_) fwrite(port.at, 1, port.bytes, file_);
    }
    void close() {
        if (file_) fclose(file_);
        file_ = nullptr;
    }
    ~Recorder() { close(); }

private:
    FILE* file_ = nullptr;
    std::vector<Port> ports_;
};

Memory memory;
Recorder recorder;
Port clk;

}  // namespace

Clock main_clock;

void tick() {
    main_clock.next += main_clock.half;
    const bool rises = !*clk.at;
    if (rises) {
        recorder.sample();
        memory.sample();
    } else {
        memory.drive();
    }
    *clk.at = rises;
}

// -- for Python -----------------------------------------------------------------------------------
extern "C" {

// Why there is no memory; null if there is one.
const char* prunus_memory(const char* top, Broken broken) {
    static std::string problem;
    problem = memory.open(top, broken);
    return problem.empty() ? nullptr : problem.c_str();
}

// Whether there is such a port.
bool prunus_expect(const char* top, const char* port, uint64_t value) {
    return memory.expect(top, port, value);
}

// The clock is low now and rises in half a period, which is so many steps of time.
void prunus_clock(const char* top, uint64_t now, uint64_t half) {
    clk = find(top, "clk");
    main_clock = {half, now + half};
}

// Whether the ports of the top are written to a file from now on.
bool prunus_record(const char* top, const char* path) { return recorder.open(top, path); }

State* prunus_state() { return &memory.state; }

void prunus_contents(uint8_t* bytes, const Place* places, uint64_t count) {
    memory.bytes = bytes;
    memory.places.assign(places, places + count);
    std::sort(memory.places.begin(), memory.places.end(),
              [](const Place& one, const Place& other) { return one.address < other.address; });
}

void prunus_faults(const Fault* faults, uint64_t count) {
    memory.faults.assign(faults, faults + count);
}

void prunus_fences(const Fence* fences, uint64_t count) {
    memory.fences.assign(fences, fences + count);
}

void prunus_draw(double reads, double writes, uint64_t seed) { memory.draw(reads, writes, seed); }

// So many answers were errors by chance; they are copied if there is room for all.
uint64_t prunus_drawn(Drawn* drawn, uint64_t room) {
    if (memory.drawn.size() <= room) std::copy(memory.drawn.begin(), memory.drawn.end(), drawn);
    return memory.drawn.size();
}

void prunus_stall(double probability, uint64_t seed) { memory.stalls.set(probability, seed); }

void prunus_restart() {
    memory.stalls.restart();
    memory.state.outside = 0;
}

void prunus_hold(uint64_t count) { memory.hold(count); }

}  // extern "C"
