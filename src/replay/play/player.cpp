// SPDX-License-Identifier: Apache-2.0
//
// Threads of a replay.
#include "replay/play/player.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <unordered_map>

#include "replay/play/caller.h"
#include "replay/play/own_cost.h"
#include "replay/play/pacing.h"
#include "replay/play/progress.h"

namespace reel::replay {
namespace {

using trace::Event;
using trace::Op;

constexpr size_t kStack = 256u << 10;

void on_wake(int) {}

class Player {
 public:
  Player(const trace::Trace& trace, const Plan& plan, World& world, const PlayOptions& options, Team& team,
         Board& board, const std::atomic<bool>& asked)
      : trace_(trace),
        plan_(plan),
        world_(world),
        options_(options),
        team_(team),
        board_(board),
        stop_(board.stop()),
        asked_(asked) {
    for (const trace::Thread& thread : trace.threads) mappings_.try_emplace(thread.process);
  }

  Result<Played> run() {
    struct sigaction wake {};
    wake.sa_handler = on_wake;  // without SA_RESTART: calls that wait end
    ::sigaction(SIGUSR2, &wake, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
    mode_t mask = ::umask(0);
    played_.begin_ns = team_.start_ns();
    wait_until(played_.begin_ns, stop_);
    for (uint32_t thread : plan_.first)
      if (team_.plays(thread)) start(thread, played_.begin_ns);
    watch();
    ::umask(mask);
    played_.threads.resize(plan_.threads.size());
    for (uint32_t i = 0; i < plan_.threads.size(); ++i)
      if (team_.plays(i + 1))
        played_.threads[i].assign(board_.samples(i + 1), board_.samples(i + 1) + plan_.threads[i].size());
    if (failed_ != 0) return Error::from_errno(failed_, "replay: make a thread");
    return std::move(played_);
  }

 private:
  struct Start {
    Player* player;
    uint32_t thread;
    uint64_t born_ns;
  };

  // What a thread has taken too long, and makes up for in the next gaps.
  struct Debt {
    uint64_t late = 0;  // the last gap
    uint64_t own = 0;   // what playing its calls cost beyond the calls
  };

  void start(uint32_t thread, uint64_t born_ns) {
    auto begin = std::make_unique<Start>(Start{this, thread, born_ns});
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    ::pthread_attr_setstacksize(&attributes, kStack);
    ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    alive_.fetch_add(1);
    pthread_t id;
    int error = ::pthread_create(&id, &attributes, &Player::enter, begin.get());
    ::pthread_attr_destroy(&attributes);
    if (error == 0) {
      static_cast<void>(begin.release());  // the thread has it
      return;
    }
    alive_.fetch_sub(1);
    failed_ = error;
    stop_all();
  }

  static void* enter(void* argument) {
    std::unique_ptr<Start> begin(static_cast<Start*>(argument));
    Player& player = *begin->player;
    ::prctl(PR_SET_TIMERSLACK, 1UL);
    {
      std::lock_guard lock(player.mutex_);
      player.live_.insert(::pthread_self());
    }
    player.play_thread(begin->thread, begin->born_ns);
    {
      std::lock_guard lock(player.mutex_);
      player.live_.erase(::pthread_self());
    }
    player.alive_.fetch_sub(1);  // nothing of the player may be used behind this
    return nullptr;
  }

  void play_thread(uint32_t number, uint64_t born_ns) {
    Caller caller(trace_, plan_, world_, mappings_.at(trace_.threads[number - 1].process));
    const std::vector<Step>& steps = plan_.threads[number - 1];
    Sample* samples = board_.samples(number);
    uint64_t last = born_ns;
    Debt debt;
    for (uint32_t i = 0; i < steps.size() && !stop_.load(std::memory_order_relaxed); ++i) {
      const Step& step = steps[i];
      // The gap before the first of its polls is the program's own; those behind are part of the polling.
      bool polls_on = step.until != 0 && i > 0 && steps[i - 1].until == step.until;
      if (!polls_on || !are_over(steps[step.until - 1])) get_ready(step, last, debt);
      if (stop_.load(std::memory_order_relaxed)) break;  // its time has not come
      if (step.until != 0 && are_over(steps[step.until - 1])) {
        wait_for_needs(step);  // others know that who has passed it has waited
        last = now_ns();
        samples[i] = {last, last, trace_.events[step.event].result, true};
        pass(number, i, step, last);
        continue;
      }
      Sample& sample = samples[i];
      sample.enter_ns = now_ns();
      make(step, caller, sample);
      if (stop_.load(std::memory_order_relaxed)) break;
      last = sample.exit_ns;
      if (step.arrives_at != 0) {
        board_.meeting(step.arrives_at).arrive(last, 1);
        team_.arrived(step.arrives_at, last);
      }
      pass(number, i, step, last);
    }
    board_.progress(number).wake_all();
  }

  // All that comes before the call: the gap, and what it waits for.
  void get_ready(const Step& step, uint64_t last, Debt& debt) {
    bool waits_first = step.base.count != 0 || step.sees;
    // Who needs something only for the call computes before he waits for it: that takes a processor from others.
    if (!waits_first) pace(step, last, debt);
    if (!step.waits) {
      if (options_.pace == Pace::gaps && step.before_ns != 0) burn(scaled(step.before_ns), stop_);
      bool looks_again = step.tick_ns != 0 && !are_over(step);
      wait_for_needs(step);
      if (looks_again) wait_for_tick(step, last);
    }
    if (waits_first) pace(step, last, debt);
  }

  void pass(uint32_t thread, uint32_t step_number, const Step& step, uint64_t now) {
    board_.progress(thread).set(step_number + 1, step.releases);
    if (step.releases) team_.over(thread, step_number + 1, now);
  }

  void make(const Step& step, Caller& caller, Sample& sample) {
    const Event& event = trace_.events[step.event];
    if (step.effect_count != 0) caller.effects(step);
    if (step.starts != 0) start(step.starts, sample.enter_ns);
    if (step.skip == Skip::none) {
      sample.result = caller.play(step);
      sample.exit_ns = now_ns();
      return;
    }
    sample.result = event.result;
    if (step.waits) wait_for_needs(step);
    if (options_.pace != Pace::none && !step.arrival) spend(step, event, sample.enter_ns);
    sample.exit_ns = now_ns();
  }

  // MPI's calls poll, so here they do, too; and who spun takes a processor from the others again.
  void wait_for_needs(const Step& step) {
    uint64_t poll = step.spins ? ~0ull : step.skip == Skip::message ? kPoll : 0;
    for (uint32_t i = 0; i < step.need_count; ++i) {
      const Need& need = plan_.needs[step.needs + i];
      board_.progress(need.thread).wait_for(need.count, poll, stop_);
    }
    if (step.waits && step.fed_by.count != 0)
      board_.progress(step.fed_by.thread).wait_for(step.fed_by.count, poll, stop_);
    if (step.awaits != 0)
      board_.meeting(step.awaits).arrived.wait_for(plan_.groups[step.awaits - 1].arrivals, poll, stop_);
  }

  bool are_over(const Step& step) const {
    for (uint32_t i = 0; i < step.need_count; ++i) {
      const Need& need = plan_.needs[step.needs + i];
      if (board_.progress(need.thread).count() < need.count) return false;
    }
    return true;
  }

  // To the microsecond, where giving way costs no more than that.
  void rest_until(uint64_t ns) {
    if (static_cast<unsigned>(alive_.load(std::memory_order_relaxed)) > processors_)
      sleep_until(ns, stop_);
    else
      wait_until(ns, stop_);
  }

  // Who polls sees what it waits for when it looks the next time.
  void wait_for_tick(const Step& step, uint64_t last_look) {
    uint64_t tick = std::max<uint64_t>(scaled(step.tick_ns), 1), now = now_ns();
    rest_until(last_look + (now - last_look + tick - 1) / tick * tick);
  }

  uint64_t done_ns(const Need& need) const { return board_.samples(need.thread)[need.count - 1].exit_ns; }
  uint64_t scaled(uint64_t ns) const { return static_cast<uint64_t>(static_cast<double>(ns) * options_.scale); }

  // Until it is time for the step.
  void pace(const Step& step, uint64_t last, Debt& debt) {
    if (options_.pace == Pace::none) return;
    if (options_.pace == Pace::timed) {
      wait_until(played_.begin_ns + scaled(trace_.events[step.event].enter_ns - plan_.begin_ns), stop_);
      return;
    }
    uint64_t base = step.sees              ? now_ns()
                    : step.base.count != 0 ? std::max(last + scaled(step.before_ns), done_ns(step.base))
                                           : last;
    uint64_t gap = scaled(step.gap_ns - step.contended_ns);
    debt.own = std::min(debt.own + own_ns_, kMostDebt);
    uint64_t paid = std::min(debt.own, gap);
    debt.own -= paid;
    uint64_t due = base + gap - paid;
    due = due > last + debt.late ? due - debt.late : last;
    uint64_t now = now_ns();
    if (step.cpu_ns == ~0ull) {  // not measured: taken for computing, but not for longer than it was
      spin_until(due, stop_);
      debt.late = 0;
      return;
    }
    uint64_t cpu = std::min(scaled(step.cpu_ns), gap);
    // Computing takes as long as it takes on this machine now: there is no debt from it.
    if (cpu * 10 >= gap * 9) {
      if (now < due) burn_until(due, now, cpu, stop_);
      debt.late = 0;
      return;
    }
    if (now < due) {
      if (cpu > 0) burn(std::min(cpu, due - now), stop_);
      rest_until(due);
    }
    now = now_ns();
    debt.late = now > due ? std::min<uint64_t>(now - due, kMostDebt) : 0;
  }

  // The time of a call that is not made.
  void spend(const Step& step, const Event& event, uint64_t enter_ns) {
    if (step.starts != 0 && event.op != Op::fork) return;  // vfork: its end is caused again
    uint64_t begin = enter_ns;
    if (step.waits) {
      for (uint32_t i = 0; i < step.need_count; ++i) begin = std::max(begin, done_ns(plan_.needs[step.needs + i]));
      if (step.fed_by.count != 0) begin = std::max(begin, done_ns(step.fed_by));
      if (step.awaits != 0) begin = std::max(begin, board_.meeting(step.awaits).last_ns.load());
    }
    uint64_t until = begin + scaled(step.passing_ns), now = now_ns();
    if (until <= now) return;
    if (event.op == Op::exec || event.op == Op::fork)
      burn(until - now, stop_);
    else if (until - now <= kNoBreak)
      spin_until(until, stop_);
    else if (step.skip == Skip::message)  // it polls
      wait_until(until, stop_);
    else
      rest_until(until);
  }

  // Until all threads have ended. Watches that something goes on.
  void watch() {
    uint64_t longest = 0;
    for (const Event& event : trace_.events) longest = std::max(longest, event.duration_ns);
    for (const auto& steps : plan_.threads)
      for (const Step& step : steps) longest = std::max(longest, step.gap_ns);
    uint64_t patience =
        options_.stall_s * 1'000'000'000 + (options_.pace == Pace::none ? longest : 2 * scaled(longest));
    uint64_t last_sum = ~0ull, since = now_ns(), nap = 50'000;
    while (alive_.load() != 0) {
      timespec rest{0, static_cast<long>(nap)};
      ::nanosleep(&rest, nullptr);
      nap = std::min<uint64_t>(nap * 2, 20'000'000);
      if (asked_.load(std::memory_order_relaxed) && !stop_) {
        played_.stopped = true;
        stop_all();
      }
      if (stop_) wake_everybody();
      uint64_t sum = board_.steps_done() + team_.steps_elsewhere(), now = now_ns();
      if (sum != last_sum) {
        last_sum = sum;
        since = now;
      } else if (!stop_ && now - since > patience) {
        played_.stalled = where();
        stop_all();
      }
    }
  }

  void stop_all() {
    stop_ = true;
    team_.stop();
  }

  void wake_everybody() {
    board_.wake_everybody();
    std::lock_guard lock(mutex_);
    for (pthread_t thread : live_) ::pthread_kill(thread, SIGUSR2);
  }

  // The calls that threads are at.
  std::string where() const {
    std::string text;
    int named = 0;
    for (size_t i = 0; i < plan_.threads.size() && named < 10; ++i) {
      uint32_t count = board_.progress(static_cast<uint32_t>(i) + 1).count();
      if (!team_.plays(static_cast<uint32_t>(i) + 1) || count == 0 || count >= plan_.threads[i].size()) continue;
      const Event& event = trace_.events[plan_.threads[i][count].event];
      const char* name = trace::op_name(event.op);
      text += (named++ > 0 ? ", " : "") + std::string("thread ") + std::to_string(i + 1) + " at its call " +
              std::to_string(count + 1) + " (" + (name ? name : "?") + ", record " + std::to_string(event.index) + ")";
    }
    return text.empty() ? "before any thread's second call" : text;
  }

  static constexpr uint64_t kMostDebt = 2'000'000;
  static constexpr uint64_t kPoll = 300'000;
  // Who gives way for so little gives somebody who computes milliseconds.
  static constexpr uint64_t kNoBreak = 5'000;

  const trace::Trace& trace_;
  const Plan& plan_;
  World& world_;
  const PlayOptions& options_;
  Team& team_;
  Board& board_;
  std::atomic<bool>& stop_;  // the board's
  const std::atomic<bool>& asked_;
  std::unordered_map<uint32_t, Mappings> mappings_;  // by process
  const unsigned processors_ = std::thread::hardware_concurrency();
  const uint64_t own_ns_ = options_.pace == Pace::gaps ? cost_of_playing(world_) : 0;  // of a call
  std::atomic<int> alive_{0}, failed_{0};
  std::mutex mutex_;
  std::set<pthread_t> live_;
  Played played_;
};

}  // namespace

Result<Played> play(const trace::Trace& trace, const Plan& plan, World& world, const PlayOptions& options, Team& team,
                    const std::atomic<bool>& stop) {
  TRY_ASSIGN(Board * board, team.begin(trace, plan));
  Result<Played> played = Player(trace, plan, world, options, team, *board, stop).run();
  TRY(team.agree(status_of(played)));
  TRY(team.end(plan, *played));
  played->end_ns = played->begin_ns;
  for (const auto& samples : played->threads)
    for (const Sample& sample : samples) played->end_ns = std::max(played->end_ns, sample.exit_ns);
  return played;
}

}  // namespace reel::replay
