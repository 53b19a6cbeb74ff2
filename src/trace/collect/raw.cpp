// SPDX-License-Identifier: Apache-2.0
//
// Taking a recorder's event apart. A recorder may have died in the middle of one, so nothing is
// believed without a look at the sizes.
#include "trace/collect/raw.h"

#include "base/codec.h"

namespace reel::trace {
namespace {

// Parts in the order of their bits; `failed` once one was longer than what is there.
class Parts {
 public:
  Parts(std::string_view bytes, uint16_t has) : bytes_(bytes), has_(has) {}

  template <class T>
  bool take(wire::Part part, T& to) {
    if ((has_ & part) == 0) return false;
    has_ = static_cast<uint16_t>(has_ & ~part);
    std::string_view bytes = next(sizeof(T));
    if (failed_) return false;
    to = load_le<T>(bytes.data());
    return true;
  }
  void object(wire::Part part, std::optional<wire::Object>& to) {
    wire::Object object;
    if (take(part, object)) to = object;
  }
  void text(wire::Part part, std::string_view& to) {
    wire::Text head;
    if (take(part, head)) to = next(head.bytes);
  }
  bool all_taken() const { return !failed_ && has_ == 0 && bytes_.empty(); }

 private:
  std::string_view next(size_t size) {
    size_t whole = (size + 7) & ~size_t{7};
    failed_ = failed_ || bytes_.size() < whole;
    if (failed_) return {};
    std::string_view taken = bytes_.substr(0, size);
    bytes_.remove_prefix(whole);
    return taken;
  }

  std::string_view bytes_;
  uint16_t has_;
  bool failed_ = false;
};

struct Pair32 {
  uint32_t first, second;
};
struct Pair64 {
  uint64_t first, second;
};

}  // namespace

std::optional<Raw> parse_raw(std::string_view bytes) {
  Raw raw;
  if (bytes.size() < sizeof(wire::Event)) return std::nullopt;
  auto head = load_le<wire::Event>(bytes.data());
  Parts parts(bytes.substr(sizeof head), head.has);
  RawEvent& event = raw.event;
  event.op = head.op;
  event.enter_ns = head.enter;
  event.fd = head.fd;
  parts.take(wire::kLength, event.length);
  event.result = static_cast<int64_t>(event.length);
  parts.take(wire::kResult, event.result);
  parts.take(wire::kOffset, event.offset);
  uint64_t duration = head.duration;
  parts.take(wire::kDuration, duration);
  event.exit_ns = event.enter_ns + duration;
  Pair32 two{static_cast<uint32_t>(-1), 0};
  parts.take(wire::kFd2, two);
  event.fd2 = static_cast<int32_t>(two.first);
  Pair32 bits{0, 0};
  parts.take(wire::kFlags, bits);
  event.flags = bits.first;
  event.mode = bits.second;
  Pair64 args{0, 0};
  parts.take(wire::kArgs, args);
  raw.arg = args.first;
  raw.arg2 = args.second;
  Pair64 gap{0, 0};
  if (parts.take(wire::kCpu, gap)) {
    raw.cpu_ns = gap.first;
    raw.queued_ns = gap.second;
  }
  parts.object(wire::kObject, raw.object);
  parts.object(wire::kBefore, raw.before);
  parts.text(wire::kPath, raw.path);
  parts.text(wire::kPath2, raw.path2);
  parts.text(wire::kData, raw.data);
  if (!parts.all_taken()) return std::nullopt;
  return raw;
}

}  // namespace reel::trace
