// SPDX-License-Identifier: Apache-2.0
#include "replay/plan/passing.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <tuple>

#include "trace/ops.h"

namespace reel::replay {
namespace {

// One processor less than all is enough for who wants to go on.
double share_taken(double computing, double processors) {
  return std::clamp(computing - (processors - 1), 0.0, 1.0);
}

// What each of so many gets who want a processor.
double share_got(double wanting, double processors) {
  return wanting <= processors ? 1 : processors / wanting;
}

// While all processors compute, who does so for a part of the time would have for the rest of it, too.
uint64_t contended_in_gap(const Contention& contention, const Step& step, uint32_t thread, uint64_t enter_ns) {
  if (step.sees) return step.unseen_ns;
  if (step.cpu_ns >= step.gap_ns) return 0;  // or not measured
  // Others waited for the same, perhaps by spinning: that they used processors shows nothing.
  if (step.base.count != 0) return 0;
  if (step.queued_ns != ~0ull) return std::min(step.queued_ns, step.gap_ns - step.cpu_ns);
  double off = 1 - static_cast<double>(step.cpu_ns) / static_cast<double>(step.gap_ns);
  uint64_t full = contention.within(thread, enter_ns - std::min(enter_ns, step.gap_ns), enter_ns);
  return static_cast<uint64_t>(static_cast<double>(full) * off);
}

// Waits in MPI's calls for a message or a meeting, by what is alike: machine, op, kind, size (a power of two).
using Like = std::tuple<uint32_t, trace::Op, uint64_t, int>;

std::optional<Like> like(const Contention& contention, uint32_t thread, const Step& step, const trace::Event& event) {
  bool is_collective = event.op == trace::Op::mpi_collective;
  uint32_t machine = contention.machine_of(thread);
  if (!step.waits || machine == 0 || (!is_collective && event.op != trace::Op::mpi_recv)) return std::nullopt;
  return Like{machine, event.op, is_collective ? event.mode : 0, std::bit_width(event.length)};
}

// On a machine with more ranks than processors, who polls may be kept from seeing that he can go on by those who
// compute or poll beside him, in their calls, too, of which nobody knows how much was computing. That is no property
// of the message: nothing takes longer than the quickest quarter of its like.
void level(const trace::Trace& trace, const Contention& contention, Plan& plan) {
  std::map<Like, std::vector<uint64_t>> passed;
  std::map<uint32_t, double> ranks;  // by machine
  for (uint32_t thread = 1; thread <= plan.threads.size(); ++thread) {
    const std::vector<Step>& steps = plan.threads[thread - 1];
    ranks[contention.machine_of(thread)] +=
        std::any_of(steps.begin(), steps.end(), [](const Step& step) { return step.skip == Skip::message; });
  }
  auto of_each = [&](auto&& visit) {
    for (uint32_t thread = 1; thread <= plan.threads.size(); ++thread)
      for (Step& step : plan.threads[thread - 1])
        if (auto alike = like(contention, thread, step, trace.events[step.event])) visit(step, *alike);
  };
  of_each([&](Step& step, const Like& alike) { passed[alike].push_back(step.passing_ns); });
  std::map<Like, uint64_t> usual;
  for (auto& [alike, all] : passed) {
    auto quarter = all.begin() + static_cast<ptrdiff_t>(all.size() / 4);
    std::nth_element(all.begin(), quarter, all.end());
    usual[alike] = *quarter;
  }
  of_each([&](Step& step, const Like& alike) {
    uint32_t machine = std::get<0>(alike);
    if (ranks[machine] > contention.processors_of(machine)) step.passing_ns = std::min(step.passing_ns, usual[alike]);
  });
}

}  // namespace

Contention::Contention(const trace::Trace& trace) : machine_of_(trace.threads.size() + 1) {
  auto fact = [&](const std::string& key) {
    auto found = trace.facts.find(key);
    return found == trace.facts.end() ? std::string() : found->second;
  };
  machines_.emplace_back();  // 0: not known
  uint64_t parts = std::strtoull(fact("merged").c_str(), nullptr, 10);
  for (uint64_t part = 0; part < std::min<uint64_t>(parts, trace.threads.size()); ++part) {
    std::string prefix = "part." + std::to_string(part) + ".";
    uint32_t first = 0, last = 0;
    if (std::sscanf(fact(prefix + "threads").c_str(), "%u %u", &first, &last) != 2) continue;
    std::string machine = fact(prefix + "machine");
    add(machine.empty() ? prefix : machine, fact(prefix + "cpus"), first, last);
  }
  if (parts == 0) add("", fact("cpus"), 1, static_cast<uint32_t>(trace.threads.size()));
  for (const trace::Event& event : trace.events)
    if (event.duration_ns != 0 && event.thread < machine_of_.size()) add(event);
  for (Machine& machine : machines_) {
    machine.computing.add_up([&](double level) { return share_taken(level, machine.processors); });
    machine.wanting.add_up([&](double level) { return share_got(level, machine.processors); });
  }
}

// Becoming another program, and making a process, is computing, of which no recorder tells how much.
void Contention::add(const trace::Event& event) {
  Machine& machine = machines_[machine_of_[event.thread]];
  if (event.op == trace::Op::exec || event.op == trace::Op::fork) machine.wanting.add(event, 1);
  if (event.op != trace::Op::compute) return;
  auto part = [&](uint64_t ns) {
    return std::min(1.0, static_cast<double>(ns) / static_cast<double>(event.duration_ns));
  };
  machine.computing.add(event, part(event.arg));
  machine.wanting.add(event, part(event.arg + (event.mode == 1 ? event.arg2 : 0)));
}

void Contention::Line::add(const trace::Event& event, double level) {
  changes.push_back({event.enter_ns, level, 0});
  changes.push_back({event.exit_ns(), -level, 0});
}

template <class Share>
void Contention::Line::add_up(Share share) {
  std::sort(changes.begin(), changes.end(), [](const Change& a, const Change& b) { return a.at < b.at; });
  double level = 0, sum = 0;
  uint64_t last = 0;
  for (Change& change : changes) {
    sum += static_cast<double>(change.at - last) * share(level);
    level += change.level;
    last = change.at;
    change.level = level;
    change.sum_ns = sum;
  }
}

template <class Share>
double Contention::Line::until(uint64_t time, Share share) const {
  auto next = std::upper_bound(changes.begin(), changes.end(), time,
                               [](uint64_t wanted, const Change& change) { return wanted < change.at; });
  if (next == changes.begin()) return 0;
  const Change& before = *std::prev(next);
  return before.sum_ns + static_cast<double>(time - before.at) * share(before.level);
}

void Contention::add(const std::string& machine, const std::string& processors, uint32_t first, uint32_t last) {
  uint64_t count = std::strtoull(processors.c_str(), nullptr, 10);
  if (count == 0) return;
  auto [number, is_new] = numbers_.try_emplace(machine, static_cast<uint32_t>(machines_.size()));
  if (is_new) machines_.push_back({static_cast<double>(count), {}, {}});
  for (uint64_t thread = first; thread <= last && thread < machine_of_.size(); ++thread)
    machine_of_[thread] = number->second;
}

uint64_t Contention::within(uint32_t thread, uint64_t begin, uint64_t end) const {
  uint32_t number = machine_of_[thread];
  if (number == 0 || end <= begin) return 0;
  const Machine& machine = machines_[number];
  auto share = [&](double level) { return share_taken(level, machine.processors); };
  double full = machine.computing.until(end, share) - machine.computing.until(begin, share);
  return std::min(end - begin, static_cast<uint64_t>(full));
}

uint64_t Contention::had(uint32_t thread, uint64_t begin, uint64_t end) const {
  uint32_t number = machine_of_[thread];
  if (number == 0 || end <= begin) return end - std::min(begin, end);
  const Machine& machine = machines_[number];
  auto share = [&](double level) { return share_got(level, machine.processors); };
  double got = machine.wanting.until(end, share) - machine.wanting.until(begin, share);
  return std::min(end - begin, static_cast<uint64_t>(got));
}

void find_passing(const trace::Trace& trace, Plan& plan) {
  Contention contention(trace);
  for (uint32_t thread = 1; thread <= plan.threads.size(); ++thread) {
    for (Step& step : plan.threads[thread - 1]) {
      const trace::Event& event = trace.events[step.event];
      step.contended_ns = contended_in_gap(contention, step, thread, event.enter_ns);
      if (step.skip == Skip::none || step.arrival) continue;
      uint64_t from = event.enter_ns, exit = event.exit_ns();
      if (step.waits) {
        for (uint32_t i = 0; i < step.need_count; ++i)
          from = std::max(from, plan.recorded_ns(trace, plan.needs[step.needs + i]));
        if (step.fed_by.count != 0) from = std::max(from, plan.recorded_ns(trace, step.fed_by));
        if (step.awaits != 0) from = std::max(from, plan.groups[step.awaits - 1].last_ns);
      }
      // Who slept in memory does so in a replay, and is woken by the same means: that takes what it takes there.
      bool woken = from > event.enter_ns && trace::family_of(event.op) == trace::Family::memory;
      if (exit <= from || woken) continue;
      bool computes = event.op == trace::Op::exec || event.op == trace::Op::fork;
      step.passing_ns = computes ? contention.had(thread, from, exit)
                                 : exit - from - (step.waits ? contention.within(thread, from, exit) : 0);
    }
  }
  level(trace, contention, plan);
}

}  // namespace reel::replay
