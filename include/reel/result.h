// SPDX-License-Identifier: Apache-2.0
//
// Errors are values. A function that can fail returns Result<T> (or Status when there is nothing to
// return); the caller must look at it. `Code` is short and is what code reacts to; the text is for
// people and grows outward: every level adds what it was doing with `.with(...)`.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace reel {

enum class Code {
  io,           // the operating system refused for a reason that has no code of its own here
  not_found,    // no such object or entry (ENOENT, ESTALE)
  exists,       // something is already there (EEXIST, ENOTEMPTY)
  permission,   // EACCES, EPERM
  no_space,     // ENOSPC, EDQUOT
  unsupported,  // this file system, kernel or build cannot do it
  invalid,      // the caller's argument is wrong
  corrupt,      // bytes at rest are not what was written
  conflict,     // identity mismatch: not this source, not this target
  busy,         // another instance holds it
  newer,        // written by a newer version of Reel
  timeout,      // the time given ran out
  cancelled,    // asked to stop
  too_many,     // more deletions than were allowed
  gap,          // something may have been missed, and a scan is not allowed
};

// One pointer; moving is free, success never allocates one. Not copyable: an error has one owner.
class Error {
 public:
  Error(Code code, std::string text, int sys_errno = 0)
      : body_(std::make_unique<Body>(Body{code, sys_errno, std::move(text)})) {}

  // From errno, after a failed system call: picks the Code, appends strerror to the text.
  static Error from_errno(int sys_errno, const std::string& what);

  Code code() const { return body_->code; }
  int sys_errno() const { return body_->sys_errno; }  // 0 when no system call was involved
  const std::string& text() const { return body_->text; }

  // "outer: inner". Returns *this by value so that it can end a return statement.
  Error with(const std::string& outer) && {
    body_->text = outer + ": " + body_->text;
    return std::move(*this);
  }
  Error clone() const { return Error(code(), text(), sys_errno()); }

 private:
  struct Body {
    Code code;
    int sys_errno;
    std::string text;
  };
  std::unique_ptr<Body> body_;
};

struct Ok {};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit on purpose
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }
  T& operator*() & { return *std::get_if<0>(&state_); }
  const T& operator*() const& { return *std::get_if<0>(&state_); }
  T&& operator*() && { return std::move(*std::get_if<0>(&state_)); }
  T* operator->() { return std::get_if<0>(&state_); }
  const T* operator->() const { return std::get_if<0>(&state_); }
  Error& error() & { return *std::get_if<1>(&state_); }
  const Error& error() const& { return *std::get_if<1>(&state_); }
  Error&& error() && { return std::move(*std::get_if<1>(&state_)); }
  // True when this failed with exactly this code.
  bool is(Code code) const { return !has_value() && error().code() == code; }

 private:
  std::variant<T, Error> state_;
};

using Status = Result<Ok>;
inline Status ok() {
  return Ok{};
}

// Whether it failed, and of what, without the value.
template <class T>
Status status_of(const Result<T>& result) {
  return result ? ok() : Status(result.error().clone());
}

// A deliberate drop. Greppable, and the reason is part of the call.
template <class T>
void ignore(const Result<T>&, const char* /*reason*/) {}

#define REEL_CONCAT2(a, b) a##b
#define REEL_CONCAT(a, b) REEL_CONCAT2(a, b)

// TRY(expr): return the error of a failed Result from this function; drop the value.
#define TRY(expr)                                          \
  do {                                                     \
    auto&& try_result = (expr);                            \
    if (!try_result) return std::move(try_result).error(); \
  } while (0)

// TRY_ASSIGN(auto x, expr): the value, or return the error.
// NOLINTBEGIN(bugprone-macro-parentheses): what is declared cannot stand in parentheses.
#define TRY_ASSIGN(lhs, expr) TRY_ASSIGN_(REEL_CONCAT(try_value_, __LINE__), lhs, expr)
#define TRY_ASSIGN_(tmp, lhs, expr)        \
  auto tmp = (expr);                       \
  if (!tmp) return std::move(tmp).error(); \
  lhs = *std::move(tmp)
// NOLINTEND(bugprone-macro-parentheses)

}  // namespace reel
