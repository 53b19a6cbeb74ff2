// SPDX-License-Identifier: Apache-2.0
//
// From strace's lines to calls.
#include "trace/import/strace_lines.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <unordered_map>

#include "trace/import/strace_calls.h"
#include "trace/import/strace_names.h"

namespace reel::trace {
namespace {

constexpr std::string_view kUnfinished = "<unfinished ...>";
constexpr uint64_t kSecond = 1'000'000'000;

// "1700000000.123456": seconds and up to nine digits.
bool parse_time(std::string_view text, uint64_t& ns) {
  size_t dot = text.find('.');
  if (dot == std::string_view::npos || dot == 0 || text.size() - dot < 2 || text.size() - dot > 10) return false;
  uint64_t seconds = 0, part = 0;
  auto whole = std::from_chars(text.data(), text.data() + dot, seconds);
  auto rest = std::from_chars(text.data() + dot + 1, text.data() + text.size(), part);
  if (whole.ec != std::errc() || whole.ptr != text.data() + dot || rest.ec != std::errc() ||
      rest.ptr != text.data() + text.size() || seconds > 1ull << 33)
    return false;
  for (size_t digits = text.size() - dot - 1; digits < 9; ++digits) part *= 10;
  ns = seconds * kSecond + part;
  return true;
}

bool parse_int(std::string_view text, int32_t& number) {
  int32_t value = 0;
  auto got = std::from_chars(text.data(), text.data() + text.size(), value);
  if (got.ec != std::errc() || got.ptr != text.data() + text.size() || value <= 0) return false;
  number = value;
  return true;
}

std::string_view token(std::string_view& text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  size_t end = std::min(text.find(' '), text.size());
  std::string_view first = text.substr(0, end);
  text.remove_prefix(end);
  while (text.starts_with(' ')) text.remove_prefix(1);
  return first;
}

// What stands before the call: whose, and when.
struct Head {
  int32_t tid = 0;  // 0: the line does not say
  uint64_t time_ns = 0;
};

bool parse_head(std::string_view& line, Head& head) {
  if (line.starts_with("[pid ")) {
    size_t end = line.find(']');
    if (end == std::string_view::npos) return false;
    std::string_view number = line.substr(5, end - 5);
    while (number.starts_with(' ')) number.remove_prefix(1);
    if (!parse_int(number, head.tid)) return false;
    line.remove_prefix(end + 1);
  } else {
    std::string_view rest = line;
    std::string_view first = token(rest);
    if (parse_int(first, head.tid)) line = rest;
  }
  return parse_time(token(line), head.time_ns);
}

class Joiner {
 public:
  Joiner(StraceLines& to, const std::function<void(StraceCall&&)>& take) : to_(to), take_(take) {}

  void run(std::string_view text) {
    find_first_tid(text);
    each_line(
        text, [this](std::string_view line, size_t number) { take(line, number); },
        [this](int32_t tid) { alive_.insert(tid); });
    for (const auto& [tid, half] : halves_) {
      if (half.name == "exit_group" || half.name == "exit") continue;
      problem(half.line, "the call " + half.name + " has no end in the file");
    }
  }

 private:
  // The first part of a call that others came between.
  struct Half {
    std::string text;  // from the name on
    std::string name;
    size_t line = 0;
    uint64_t time_ns = 0;
  };

  // On a terminal "strace: Process 12 attached" comes in the middle of a line, too; the rest of that is on the next.
  template <class Take, class Attached>
  static void each_line(std::string_view text, Take take, Attached attached) {
    size_t number = 1, first = 0;
    std::string begun;
    std::vector<int32_t> in_line;
    for (size_t at = 0; at < text.size(); ++number) {
      size_t end = std::min(text.find('\n', at), text.size());
      std::string_view line = text.substr(at, end - at);
      at = end + 1;
      if (line.ends_with('\r')) line.remove_suffix(1);
      size_t cut = 0;
      if (int32_t tid = attached_at_end(line, cut)) {
        if (cut == 0) {
          attached(tid);
          continue;
        }
        if (begun.empty()) first = number;
        begun += line.substr(0, cut);
        in_line.push_back(tid);
        continue;
      }
      if (begun.empty()) {
        if (!line.empty()) take(line, number);
        continue;
      }
      begun += line;
      take(begun, first);  // its beginning was printed before anybody was attached
      begun.clear();
      for (int32_t tid : in_line) attached(tid);
      in_line.clear();
    }
    if (!begun.empty()) take(begun, first);
  }

  static int32_t attached_at_end(std::string_view line, size_t& cut) {
    constexpr std::string_view kBegin = "strace: Process ", kEnd = " attached";
    cut = line.rfind(kBegin);
    if (cut == std::string_view::npos || !line.ends_with(kEnd)) return 0;
    line.remove_prefix(cut + kBegin.size());
    line.remove_suffix(std::min(kEnd.size(), line.size()));
    int32_t tid = 0;
    return parse_int(line, tid) ? tid : 0;
  }

  // On a terminal strace says whose a line is only while there are several. The first thread is the one with a
  // number that no other was announced by.
  void find_first_tid(std::string_view text) {
    std::set<int32_t> announced;
    bool any_bare = false;
    auto look = [&](std::string_view line, size_t) {
      Head head;
      if (first_tid_ != 0 || !parse_head(line, head)) return;
      if (head.tid == 0) any_bare = true;
      if (head.tid != 0 && announced.count(head.tid) == 0) first_tid_ = head.tid;
    };
    each_line(text, look, [&](int32_t tid) { announced.insert(tid); });
    if (first_tid_ == 0) first_tid_ = any_bare ? 1 : 0;
    if (first_tid_ != 0) alive_.insert(first_tid_);
  }

  void problem(size_t line, std::string why) { to_.problems.push_back({line, std::move(why)}); }

  void take(std::string_view line, size_t number) {
    if (line.starts_with("strace: Process ")) return;  // detached
    ++to_.lines;
    Head head;
    if (!parse_head(line, head)) return problem(number, "no time of -ttt before the call");
    if (head.tid == 0) {
      if (alive_.size() != 1) return problem(number, "whose call it is does not follow (use -o FILE, or -f)");
      head.tid = *alive_.begin();
    }
    alive_.insert(head.tid);
    if (line.starts_with("--- ")) return;  // a signal has come: what it does is in the calls
    if (line.starts_with("+++ ")) return ended(line, head, number);
    if (line.starts_with("<... ")) return resumed(line, head, number);
    size_t open = line.find('(');
    std::string name(line.substr(0, open));
    bool is_name =
        !name.empty() && name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
    if (open == std::string_view::npos || !is_name) return problem(number, "not a call");
    size_t cut = line.rfind(kUnfinished);
    if (cut != std::string_view::npos && cut + kUnfinished.size() == line.size()) {
      if (halves_.count(head.tid) != 0) problem(halves_[head.tid].line, "the call has no end in the file");
      halves_[head.tid] = {std::string(line.substr(0, cut)), name, number, head.time_ns};
      return;
    }
    call(line, name, head.tid, head.time_ns, number, number);
  }

  // "+++ exited with 0 +++", "+++ killed by SIGKILL (core dumped) +++", "+++ superseded by execve in pid 7 +++"
  void ended(std::string_view line, const Head& head, size_t number) {
    constexpr std::string_view kExited = "+++ exited with ", kKilled = "+++ killed by ",
                               kSuperseded = "+++ superseded by execve in pid ";
    std::string_view rest = line;
    StraceCall end;
    end.tid = head.tid;
    end.enter_ns = head.time_ns;
    end.enter_line = end.exit_line = number;
    if (line.starts_with(kSuperseded)) {
      rest.remove_prefix(kSuperseded.size());
      int32_t other = 0;
      if (!parse_int(token(rest), other)) return problem(number, "not an end");
      auto half = halves_.find(other);
      if (half != halves_.end()) {
        halves_[head.tid] = half->second;
        halves_.erase(other);
      }
      alive_.erase(other);
      return;
    }
    if (line.starts_with(kExited)) {
      rest.remove_prefix(kExited.size());
      std::string_view status = token(rest);
      auto got = std::from_chars(status.data(), status.data() + status.size(), end.status);
      if (got.ec != std::errc()) return problem(number, "not an end");
    } else if (line.starts_with(kKilled)) {
      rest.remove_prefix(kKilled.size());
      end.status = strace_signal(token(rest));
      end.by_signal = true;
      if (end.status == 0) return problem(number, "a signal that is not known");
    } else {
      return problem(number, "not an end");
    }
    alive_.erase(head.tid);
    auto half = halves_.find(head.tid);  // it ended within a call
    if (half != halves_.end()) {
      Half last = std::move(half->second);
      halves_.erase(half);
      if (last.name.starts_with("exit"))
        call(last.text + ") = ?", last.name, head.tid, last.time_ns, last.line, last.line);
    }
    take_(std::move(end));
  }

  // "<... read resumed>"data", 4) = 4 <0.1>"
  void resumed(std::string_view line, const Head& head, size_t number) {
    size_t end = line.find(" resumed>");
    auto half = halves_.find(head.tid);
    if (end == std::string_view::npos || half == halves_.end())
      return problem(number, "the call that goes on here has no beginning in the file");
    Half first = std::move(half->second);
    halves_.erase(half);
    if (line.substr(5, end - 5) != first.name) return problem(number, "another call goes on here than had begun");
    std::string whole = first.text + std::string(line.substr(end + 9));
    call(whole, first.name, head.tid, first.time_ns, first.line, number);
  }

  void call(std::string_view text, const std::string& name, int32_t tid, uint64_t time_ns, size_t first, size_t last) {
    StraceCall call;
    call.name = name;
    call.tid = tid;
    call.enter_line = first;
    call.exit_line = last;
    call.enter_ns = time_ns;
    size_t at = name.size() + 1;
    // One that never returned: "read(0,  <unfinished ...>) = ?"
    std::string without;
    if (size_t cut = text.find(kUnfinished); cut != std::string_view::npos && text.substr(cut + 16).starts_with(")")) {
      without = std::string(text.substr(0, cut));
      while (without.ends_with(' ') || without.ends_with(',')) without.pop_back();
      text = without += text.substr(cut + kUnfinished.size());
    }
    // Other calls have arguments of all kinds, and none is needed.
    if (!is_recorded_in_strace(name) && text.find(") ") != std::string_view::npos) return;
    if (!parse_strace_arguments(text, at, call.arguments)) return problem(last, "the arguments of " + name);
    if (!result(text.substr(at), call)) return problem(last, "the result of " + name);
    take_(std::move(call));
  }

  // " = 3</etc/passwd> <0.000012>", " = -1 ENOENT (No such file or directory) <...>", " = ? ERESTARTSYS (...)", " = ?"
  static bool result(std::string_view text, StraceCall& call) {
    while (text.starts_with(' ')) text.remove_prefix(1);
    if (!text.starts_with("= ")) return false;
    text.remove_prefix(2);
    while (text.ends_with(' ')) text.remove_suffix(1);
    size_t open = text.rfind('<');
    if (open != std::string_view::npos && open > 0 && text[open - 1] == ' ' && text.ends_with('>')) {
      uint64_t ns = 0;
      if (parse_time(text.substr(open + 1, text.size() - open - 2), ns)) {
        call.duration_ns = ns;
        call.has_duration = true;
        text = text.substr(0, open - 1);
      }
    }
    while (text.ends_with(' ')) text.remove_suffix(1);
    if (text.starts_with("?")) {
      text.remove_prefix(1);
      int number = strace_errno(token(text));
      call.returned = number != 0;
      call.result = -number;
      return true;
    }
    if (text.starts_with("-1 ")) {
      text.remove_prefix(3);
      int number = strace_errno(token(text));
      call.result = -number;
      return number != 0;
    }
    size_t at = 0;
    if (!parse_strace_result(text, at, call.result_value)) return false;
    std::string_view words = text.substr(at);  // what it means, in words
    if (!words.empty() && !(words.starts_with(" (") && words.ends_with(')'))) return false;
    call.result = static_cast<int64_t>(call.result_value.number);
    return call.result >= 0 || call.result < -4095;
  }

  StraceLines& to_;
  const std::function<void(StraceCall&&)>& take_;
  std::unordered_map<int32_t, Half> halves_;  // by tid
  std::set<int32_t> alive_;
  int32_t first_tid_ = 0;
};

}  // namespace

StraceLines parse_strace_lines(std::string_view text, const std::function<void(StraceCall&&)>& take) {
  StraceLines lines;
  Joiner(lines, take).run(text);
  std::stable_sort(lines.problems.begin(), lines.problems.end(),
                   [](const StraceProblem& a, const StraceProblem& b) { return a.line < b.line; });
  return lines;
}

}  // namespace reel::trace
