// SPDX-License-Identifier: Apache-2.0
//
// Strace's calls as system calls.
#include "trace/import/strace_calls.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <string_view>

#include "base/codec.h"
#include "trace/import/strace_names.h"
#include "trace/import/strace_signatures.h"

namespace reel::trace {
namespace {

using Kind = StraceValue::Kind;

// "WIFEXITED(s) && WEXITSTATUS(s) == 7", "WIFSIGNALED(s) && WTERMSIG(s) == SIGKILL && WCOREDUMP(s)" ...
bool status_of(std::string_view text, uint32_t& status) {
  size_t equals = text.find(" == ");
  uint32_t number = 0;
  if (equals != std::string_view::npos) {
    std::string_view value = text.substr(equals + 4);
    std::optional<uint64_t> known = strace_number(value.substr(0, value.find(' ')));
    if (!known) return false;
    number = static_cast<uint32_t>(*known);
  }
  if (text.starts_with("WIFEXITED(s)"))
    status = number << 8;
  else if (text.starts_with("WIFSIGNALED(s)"))
    status = number | (text.find("WCOREDUMP") != std::string_view::npos ? 0x80 : 0);
  else if (text.starts_with("WIFSTOPPED(s)"))
    status = number << 8 | 0x7f;
  else if (text.starts_with("WIFCONTINUED(s)"))
    status = 0xffff;
  else
    return false;
  return true;
}

class Fetching {
 public:
  Fetching(const StraceCall& call, FetchedCall& to, std::string& why) : call_(call), to_(to), why_(why) {}

  StraceTaken run() {
    const StraceSignature* signature = strace_signature(call_.name);
    if (!signature) return StraceTaken::ignored;
    to_.shape = shape_of(signature->number);
    if (!to_.shape) return StraceTaken::ignored;
    to_.result = call_.result;
    to_.enter_ns = call_.enter_ns;
    to_.exit_ns = call_.enter_ns + call_.duration_ns;
    const char* letters = signature->arguments;
    for (size_t i = 0; letters[i] != 0; ++i) {
      bool optional = letters[i] >= 'A' && letters[i] <= 'Z';
      if (i >= call_.arguments.size()) {
        if (optional) break;
        return missing(i, "is missing");
      }
      if (!argument(i, optional ? static_cast<char>(letters[i] - 'A' + 'a') : letters[i]))
        return missing(i, why_.empty() ? "has no known value" : why_);
    }
    return StraceTaken::yes;
  }

 private:
  StraceTaken missing(size_t i, const std::string& what) {
    why_ = call_.name + ": argument " + std::to_string(i + 1) + " " + what;
    return StraceTaken::no;
  }

  bool argument(size_t i, char letter) {
    const StraceValue& value = call_.arguments[i].value;
    bool second = to_.shape->path2 == static_cast<int8_t>(i);
    switch (letter) {
      case 'n':
        to_.arguments[i] = value.number;
        return value.is_number();
      case 'p':
      case 'x':
        if (value.is_null()) return true;
        if (value.kind != Kind::text) return call_.failed();  // an address that led nowhere
        if (value.abridged) why_ = "is abridged";
        (second ? to_.path2 : to_.path) = value.text;
        return !value.abridged;
      case 'a':
        for (const StraceField& item : value.items) {
          to_.argv += item.value.text + (item.value.abridged ? "..." : "");
          to_.argv += '\0';
        }
        return true;
      case 'v':
        return vector(value);
      case 'o':
        return offset(i, value);
      case 'c':
        return clone_flags();
      case 'i':
        return ioctl_structure(value);
      case 's':
        return socket_address(value);
      case 'w':
        to_.has_blob = value.kind == Kind::text && !value.abridged && value.text.size() <= sizeof to_.blob;
        if (to_.has_blob) memcpy(to_.blob, value.text.data(), value.text.size());
        return true;
      case 'b':
        return structure(i, value);
      default:
        return true;
    }
  }

  // All parts together. Of an abridged list only what was done is known.
  bool vector(const StraceValue& value) {
    if (value.kind != Kind::list) return call_.failed();
    for (const StraceField& part : value.items) {
      const StraceValue* length = part.value.field("iov_len");
      if (!length || !length->is_number()) return false;
      to_.vector_bytes += length->number;
    }
    if (value.abridged) why_ = "is abridged (strace -v shows all of it)";
    return !value.abridged;
  }

  bool offset(size_t i, const StraceValue& value) {
    if (value.is_null()) return true;
    to_.arguments[i] = 1;  // there is one
    if (value.kind != Kind::list || value.items.size() != 1 || !value.items[0].value.is_number()) return call_.failed();
    uint64_t number = value.items[0].value.number;
    if (to_.shape->blob2 == static_cast<int8_t>(i)) {
      to_.blob2 = number;
      to_.has_blob2 = true;
    } else {
      put(0, number);
    }
    return true;
  }

  // `child_stack=NULL, flags=CLONE_VM|SIGCHLD, ...`
  bool clone_flags() {
    for (const StraceField& field : call_.arguments) {
      if (field.key != "flags") continue;
      to_.arguments[0] = field.value.number;
      return field.value.is_number();
    }
    return false;
  }

  // Only a UNIX socket's name is wanted; one that is abstract is told as @"...".
  bool socket_address(const StraceValue& value) {
    const StraceValue* name = value.field("sun_path");
    if (!name || name->kind != Kind::text) return true;
    to_.path = name->text;
    store_le(to_.blob, uint16_t{AF_UNIX});
    return to_.has_blob = true;
  }

  bool ioctl_structure(const StraceValue& value) {
    if (to_.arguments[1] == FICLONE) {
      to_.arguments[2] = value.number;
      return value.is_number();
    }
    if (to_.arguments[1] != FICLONERANGE) return true;
    return put_field(value, "src_fd", 0) && put_field(value, "src_offset", 8) && put_field(value, "src_length", 16) &&
           put_field(value, "dest_offset", 24);
  }

  bool structure(size_t i, const StraceValue& value) {
    to_.arguments[i] = value.is_null() ? 0 : 1;
    switch (to_.shape->number) {
      case SYS_pipe:
      case SYS_pipe2:
      case SYS_socketpair:
        return call_.failed() || two_descriptors(value);
      case SYS_openat2:
        return call_.failed() ||
               (put_field(value, "flags", 0) && put_optional(value, "mode", 8) && put_optional(value, "resolve", 16));
      case SYS_fcntl:
        return fcntl_argument(i, value);
      case SYS_wait4:
        return wait_status(value);
      case SYS_waitid:
        return call_.failed() || value.is_null() ||
               (put_optional(value, "si_pid", 12) && put_optional(value, "si_status", 24));
      case SYS_utimensat:
        return times(value, "tv_nsec", i);
      case SYS_utimes:
      case SYS_futimesat:
        return times(value, "tv_usec", i);
      case SYS_utime:
        return value.is_null() || (put_field(value, "actime", 0) && put_field(value, "modtime", 8));
      case SYS_clone3:
        return put_field(value, "flags", 0);
      case SYS_io_setup:
        if (value.kind == Kind::list && value.items.size() == 1) put(0, value.items[0].value.number);
        return true;
      default:
        return false;
    }
  }

  bool two_descriptors(const StraceValue& value) {
    if (value.kind != Kind::list || value.items.size() != 2) return false;
    for (int k = 0; k < 2; ++k) {
      if (!value.items[k].value.is_number()) return false;
      store_le(to_.blob + 4 * k, static_cast<uint32_t>(value.items[k].value.number));
    }
    return to_.has_blob = true;
  }

  bool fcntl_argument(size_t i, const StraceValue& value) {
    if (value.kind != Kind::structure) {
      to_.arguments[i] = value.number;
      return value.is_number() || call_.failed();
    }
    const StraceValue* type = value.field("l_type");
    if (!type) return true;  // F_GETOWN_EX and its like: nothing of it is kept
    if (!type->is_number()) return false;
    put(0, 0);
    store_le(to_.blob, static_cast<uint16_t>(type->number));
    return put_field(value, "l_start", 8) && put_field(value, "l_len", 16);
  }

  bool wait_status(const StraceValue& value) {
    if (call_.result <= 0 || value.is_null()) return true;
    if (value.kind != Kind::list || value.items.size() != 1 || value.items[0].value.items.size() != 1) return false;
    uint32_t status = 0;
    if (!status_of(value.items[0].value.items[0].value.text, status)) return false;
    store_le(to_.blob, status);
    return to_.has_blob = true;
  }

  // [{tv_sec=1, tv_nsec=2}, UTIME_OMIT]
  bool times(const StraceValue& value, const char* part, size_t i) {
    if (value.is_null()) return true;
    if (value.kind != Kind::list || value.items.size() != 2) return call_.failed();
    to_.arguments[i] = 1;
    for (size_t k = 0; k < 2; ++k) {
      const StraceValue& time = value.items[k].value;
      uint64_t seconds = 0, rest = time.number;
      if (time.kind == Kind::structure) {
        const StraceValue *whole = time.field("tv_sec"), *fraction = time.field(part);
        if (!whole || !fraction || !whole->is_number() || !fraction->is_number()) return false;
        seconds = whole->number;
        rest = fraction->number;
      } else if (!time.is_number()) {
        return false;
      }
      put(16 * k, seconds);
      put(16 * k + 8, rest);
    }
    return true;
  }

  void put(size_t offset, uint64_t number) {
    store_le(to_.blob + offset, number);
    to_.has_blob = true;
  }
  bool put_field(const StraceValue& value, const char* name, size_t offset) {
    const StraceValue* field = value.field(name);
    if (!field || !field->is_number()) return false;
    bool half = offset % 8 == 4 || std::string_view(name) == "src_fd" || std::string_view(name) == "si_status";
    if (half)
      store_le(to_.blob + offset, static_cast<uint32_t>(field->number));
    else
      store_le(to_.blob + offset, field->number);
    return to_.has_blob = true;
  }
  bool put_optional(const StraceValue& value, const char* name, size_t offset) {
    return !value.field(name) || put_field(value, name, offset);
  }

  const StraceCall& call_;
  FetchedCall& to_;
  std::string& why_;
};

}  // namespace

bool is_recorded_in_strace(const std::string& name) {
  return strace_signature(name) != nullptr;
}

StraceTaken fetch_from_strace(const StraceCall& call, FetchedCall& fetched, std::string& why) {
  fetched = FetchedCall{};
  why.clear();
  return Fetching(call, fetched, why).run();
}

const std::string* strace_leads(const StraceCall& call, const CallShape& shape, bool second) {
  int8_t place = second ? shape.dirfd2 : shape.dirfd;
  if (place == kNoArg && !second) place = 0;
  if (place < 0 || static_cast<size_t>(place) >= call.arguments.size()) return nullptr;
  const StraceValue& value = call.arguments[static_cast<size_t>(place)].value;
  return value.leads && !value.deleted ? &*value.leads : nullptr;
}

}  // namespace reel::trace
