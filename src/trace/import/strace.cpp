// SPDX-License-Identifier: Apache-2.0
//
// Importing strace's output: lines to calls, calls to steps with their files, steps through the assembler.
#include "trace/import/strace.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "trace/collect/assemble/assembler.h"
#include "trace/import/strace_calls.h"
#include "trace/import/strace_steps.h"
#include "trace/recording/command.h"

namespace reel::trace {
namespace {

constexpr const char* kBlind =
    "what strace was told to leave out, users and groups, the umask, hard links and other attributes from before that "
    "no call told, times below strace's microseconds, stores through mmap, what io_uring and aio do behind their "
    "submission";
constexpr const char* kNoDirectory = "/?cwd";
constexpr size_t kHandOver = 50'000;

class Import {
 public:
  Import(Writer& writer, const StraceOptions& options) : writer_(writer), options_(options) {}

  Result<StraceImported> run(std::string_view text) {
    lines_ = parse_strace_lines(text, [this](StraceCall&& call) { take(std::move(call)); });
    if (steps_.empty())
      return Error(Code::corrupt, "no call of strace with a time in it; record with strace -f -ttt -T -y -o FILE");
    order_steps(steps_, clock_back_);
    find_owners(steps_);
    std::string cwd = first_directory();
    StraceObjects objects(steps_, cwd);
    Assembler assembler(writer_, objects, Filter{}, 0);
    assembler.begin(steps_.front().pid, cwd);
    TRY(facts(cwd));
    TRY(links(objects));
    size_t since = 0;
    for (const StraceStep& step : steps_) {
      TRY(play(assembler, objects, step));
      if (++since % kHandOver == 0) TRY(assembler.hand_over());
    }
    TRY(assembler.finish());
    TRY(losses(objects));
    return std::move(imported_);
  }

 private:
  void take(StraceCall&& call) {
    FetchedCall fetched;
    std::string why;
    if (!call.is_end()) {
      if (call.name == "execve" && command_.empty() && call.arguments.size() > 1)
        command_ = command_of(call.arguments[1].value);
      StraceTaken taken = fetch_from_strace(call, fetched, why);
      if (taken == StraceTaken::no) argument_problems_.push_back({call.exit_line, why});
      if (taken != StraceTaken::yes) return;
      if (call.returned && !call.has_duration) ++without_duration_;
    }
    steps_.push_back(step_of(std::move(call), std::move(fetched)));
  }

  static std::string command_of(const StraceValue& arguments) {
    std::vector<std::string> words;
    for (const StraceField& word : arguments.items)
      words.push_back(word.value.text + (word.value.abridged ? "..." : ""));
    return words.empty() ? "" : shell_quoted(words);
  }

  // Of the first process: as the first of its calls that tells it, unless it had gone elsewhere by then.
  std::string first_directory() const {
    int32_t first = steps_.front().pid;
    for (const StraceStep& step : steps_) {
      if (step.is_end || step.pid != first) continue;
      if (step.call.shape->op == Op::chdir) break;
      bool by_cwd =
          step.call.shape->dirfd >= 0 && static_cast<int32_t>(step.call.arguments[step.call.shape->dirfd]) == AT_FDCWD;
      if (by_cwd && !step.leads.empty()) return step.leads;
    }
    return options_.cwd.empty() ? kNoDirectory : options_.cwd;
  }

  Status facts(const std::string& cwd) {
    const StraceStep &first = steps_.front(), &last = steps_.back();
    TRY(writer_.fact("format", "1"));
    TRY(writer_.fact("recorder", "import"));
    TRY(writer_.fact("imported", "strace"));
    TRY(writer_.fact("blind", kBlind));
    if (!command_.empty()) TRY(writer_.fact("command", command_));
    if (cwd != kNoDirectory) TRY(writer_.fact("cwd", cwd));
    TRY(writer_.fact("start", std::to_string(first.call.enter_ns)));
    for (const StraceStep& step : steps_) {
      if (!step.is_end || step.tid != first.pid) continue;
      TRY(writer_.fact("exit", std::to_string(step.by_signal ? 128 + step.status : step.status)));
      TRY(writer_.fact("end", std::to_string(last.call.exit_ns)));
      break;
    }
    return ok();
  }

  Status links(const StraceObjects& objects) {
    for (const auto& [name, text] : objects.symlinks()) {
      FileState state;
      TRY_ASSIGN(state.path, writer_.string(StringKind::path, name));
      TRY_ASSIGN(state.link_text, writer_.string(StringKind::link_text, text));
      state.kind = FileKind::symlink;
      state.mode = 0777;
      state.uid = state.gid = ~0u;
      TRY(writer_.file(state));
    }
    return ok();
  }

  static Origin origin_of(const StraceStep& step) {
    Origin origin;
    origin.pid = step.pid;
    origin.tid = step.tid;
    origin.parent = step.parent;
    origin.uid = origin.gid = ~0u;
    origin.made_ns = step.call.enter_ns;
    origin.begins = step.begins;
    return origin;
  }

  Status play(Assembler& assembler, const StraceObjects& objects, const StraceStep& step) {
    if (step.is_end)
      return step.tid == step.pid ? assembler.process_ended(step.pid, step.by_signal ? step.status : 0) : ok();
    Raw raw;
    if (!to_raw(step.call, raw)) return ok();
    bool is_exit = raw.op() == Op::exit || raw.op() == Op::exit_thread;
    if (!step.returned && !is_exit) return ok();
    if (step.call.result <= -512 && step.call.result >= -516) return ok();  // begun again: one call of the program
    TRY_ASSIGN(uint32_t thread, assembler.thread(origin_of(step)));
    if (raw.op() == Op::clone_thread && raw.event.result > 0) TRY(new_thread(assembler, step, raw));
    tell_places(assembler, thread, step, raw);
    wire::Object nothing{};
    if (step.object != 0) raw.object = objects.object(step);
    if (step.creates) raw.before = nothing;
    ++imported_.calls;
    return assembler.take(thread, raw);
  }

  // Before its maker's call is taken, so that this can name it.
  static Status new_thread(Assembler& assembler, const StraceStep& maker, const Raw& raw) {
    Origin origin = origin_of(maker);
    origin.tid = static_cast<int32_t>(raw.event.result);
    origin.parent = maker.tid;
    origin.begins = true;
    TRY(assembler.thread(origin));
    return ok();
  }

  static void tell_places(Assembler& assembler, uint32_t thread, const StraceStep& step, const Raw& raw) {
    const CallShape& shape = *step.call.shape;
    auto tell = [&](int8_t dirfd, int32_t number, const std::string& leads) {
      if (leads.empty()) return;
      if (dirfd >= 0 && number == AT_FDCWD)
        assembler.is_in_directory(thread, leads);
      else if (number >= 0)
        assembler.leads_to(thread, number, leads.starts_with('/') ? leads : "");
    };
    tell(shape.dirfd, raw.event.fd, step.leads);
    tell(shape.dirfd2, raw.event.fd2, step.leads2);
  }

  Status losses(const StraceObjects& objects) {
    std::vector<StraceProblem> all = lines_.problems;
    all.insert(all.end(), argument_problems_.begin(), argument_problems_.end());
    std::stable_sort(all.begin(), all.end(),
                     [](const StraceProblem& a, const StraceProblem& b) { return a.line < b.line; });
    for (const StraceProblem& problem : all)
      imported_.problems.push_back("line " + std::to_string(problem.line) + ": " + problem.why);
    if (!all.empty())
      TRY(loss(all.size(), std::to_string(all.size()) + " lines of strace's output were not understood, the first: " +
                               imported_.problems.front()));
    // What is missing of other things than calls.
    std::string blind = kBlind;
    if (without_duration_ != 0)
      blind += ", the duration of " + std::to_string(without_duration_) + " calls (strace -T)";
    if (clock_back_ != 0) blind += ", times: the clock was set back " + std::to_string(clock_back_) + " times";
    if (objects.unsure() != 0)
      blind += ", whether " + std::to_string(objects.unsure()) +
               " files that an open may have made were there before (they count as made)";
    return writer_.fact("blind", blind);
  }

  Status loss(uint64_t events, const std::string& reason) {
    return writer_.loss({steps_.back().call.exit_ns, 0, events, reason});
  }

  Writer& writer_;
  const StraceOptions& options_;
  StraceLines lines_;
  std::vector<StraceStep> steps_;
  std::vector<StraceProblem> argument_problems_;
  StraceImported imported_;
  std::string command_;
  uint64_t without_duration_ = 0, clock_back_ = 0;
};

}  // namespace

Result<StraceImported> import_strace(Writer& writer, std::string_view text, const StraceOptions& options) {
  return Import(writer, options).run(text);
}

}  // namespace reel::trace
