// SPDX-License-Identifier: Apache-2.0
//
// Taking a recorder's event apart. A recorder may have died in the middle of one, so nothing is
// believed without a look at the sizes.
#include "trace/collect/raw.h"

#include <cstring>

#include "base/codec.h"

namespace reel::trace {
namespace {

bool take_part(Raw& raw, uint16_t tag, std::string_view bytes) {
  auto object = [&bytes](std::optional<wire::Object>& to) {
    if (bytes.size() != sizeof(wire::Object)) return false;
    to = load_le<wire::Object>(bytes.data());
    return true;
  };
  switch (tag) {
    case wire::kPartPath:
      raw.path = bytes;
      return true;
    case wire::kPartPath2:
      raw.path2 = bytes;
      return true;
    case wire::kPartData:
      raw.data = bytes;
      return true;
    case wire::kPartArgs:
      if (bytes.size() != 16) return false;
      raw.arg = load_le<uint64_t>(bytes.data());
      raw.arg2 = load_le<uint64_t>(bytes.data() + 8);
      return true;
    case wire::kPartCpu:
      if (bytes.size() != 8) return false;
      raw.cpu_ns = load_le<uint64_t>(bytes.data());
      return true;
    case wire::kPartObject:
      return object(raw.object);
    case wire::kPartObject2:
      return object(raw.object2);
    case wire::kPartBefore:
      return object(raw.before);
    default:
      return false;
  }
}

}  // namespace

std::optional<Raw> parse_raw(std::string_view bytes) {
  Raw raw;
  if (bytes.size() < sizeof(wire::Event)) return std::nullopt;
  raw.event = load_le<wire::Event>(bytes.data());
  bytes.remove_prefix(sizeof(wire::Event));
  for (unsigned i = 0; i < raw.event.parts; ++i) {
    if (bytes.size() < sizeof(wire::Part)) return std::nullopt;
    auto part = load_le<wire::Part>(bytes.data());
    bytes.remove_prefix(sizeof part);
    size_t padded = (size_t{part.bytes} + 7) & ~size_t{7};
    if (bytes.size() < padded || !take_part(raw, part.tag, bytes.substr(0, part.bytes)))
      return std::nullopt;
    bytes.remove_prefix(padded);
  }
  return raw;
}

}  // namespace reel::trace
