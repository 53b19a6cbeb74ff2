// SPDX-License-Identifier: Apache-2.0
#include "tree/lustre_layout.h"

#include <cstdio>
#include <optional>
#include <vector>

#include "base/codec.h"

namespace reel::mirror {
namespace {

enum Magic : uint32_t {
  kPlain = 0x0bd10bd0,
  kWithPool = 0x0bd30bd0,   // plain, and 16 bytes with the name of a pool
  kOnOsts = 0x0bd50bd0,     // as with a pool, and the OSTs are given
  kComposite = 0x0bd60bd0,  // components, each with an extent and a layout of its own
  kForeign = 0x0bd70bd0,
  kExtending = 0x0bd80bd0,  // composite, as servers keep one with extensions; asked for as any
};

// One plain layout. What follows (a pool, objects of 24 bytes) is left out here.
constexpr size_t kPatternAt = 4, kStripeSizeAt = 24, kStripeCountAt = 28, kFirstOstAt = 30;
constexpr size_t kPlainSize = 32;
constexpr uint16_t kAnyOst = 0xffff;

constexpr uint32_t kRaid0 = 0x1, kOnMdt = 0x100, kOverstriped = 0x200;
constexpr uint32_t kHole = 0x40000000, kReleased = 0x80000000;  // states of a file, not wishes for one

// A composite: a head, then as many entries, then their layouts.
constexpr size_t kCompositeSizeAt = 4, kEntryCountAt = 14, kHeadSize = 32;
constexpr size_t kIdAt = 0, kFlagsAt = 4, kExtentAt = 8, kOffsetAt = 24, kSizeAt = 28, kEntrySize = 48;
constexpr size_t kExtentSize = 16;
constexpr uint32_t kMirrorOfId = 0x7fff0000;
constexpr uint32_t kStale = 0x1, kExtension = 0x40, kParity = 0x80;

Error damaged(const char* what) {
  return {Code::corrupt, std::string("a Lustre layout that ") + what};
}

Error unknown(const char* what, uint32_t value) {
  char text[80];
  std::snprintf(text, sizeof text, "a Lustre layout with the %s 0x%x, which cannot be carried over", what, value);
  return {Code::unsupported, text};
}

struct Component {
  uint32_t id = 0, flags = 0;
  std::string_view extent, layout;
};

Result<std::string> portable_plain(std::string_view layout) {
  if (layout.size() < kPlainSize) return damaged("is cut off");
  auto magic = load_le<uint32_t>(layout.data());
  if (magic != kPlain && magic != kWithPool && magic != kOnOsts) return unknown("magic number", magic);
  uint32_t pattern = load_le<uint32_t>(layout.data() + kPatternAt) & ~(kHole | kReleased);
  uint32_t base = pattern & ~kOverstriped;
  if (base != 0 && base != kRaid0 && base != kOnMdt) return unknown("pattern", pattern);
  std::string out(kPlainSize, '\0');
  store_le<uint32_t>(out.data(), kPlain);
  store_le<uint32_t>(out.data() + kPatternAt, pattern);
  store_le(out.data() + kStripeSizeAt, load_le<uint32_t>(layout.data() + kStripeSizeAt));
  store_le(out.data() + kStripeCountAt, load_le<uint16_t>(layout.data() + kStripeCountAt));
  store_le(out.data() + kFirstOstAt, kAnyOst);
  return out;
}

Result<std::vector<Component>> components_of(std::string_view layout) {
  if (layout.size() < kHeadSize) return damaged("is cut off");
  size_t size = load_le<uint32_t>(layout.data() + kCompositeSizeAt);
  size_t count = load_le<uint16_t>(layout.data() + kEntryCountAt);
  if (size > layout.size() || kHeadSize + count * kEntrySize > size) return damaged("is cut off");
  if (count == 0) return damaged("has no components");
  std::vector<Component> found;
  for (size_t i = 0; i < count; ++i) {
    const char* entry = layout.data() + kHeadSize + i * kEntrySize;
    size_t offset = load_le<uint32_t>(entry + kOffsetAt);
    size_t length = load_le<uint32_t>(entry + kSizeAt);
    if (offset > size || length > size - offset) return damaged("has a component that lies outside of it");
    found.push_back({load_le<uint32_t>(entry + kIdAt), load_le<uint32_t>(entry + kFlagsAt),
                     std::string_view(entry + kExtentAt, kExtentSize), layout.substr(offset, length)});
  }
  return found;
}

// The first mirror that has the contents.
Result<std::vector<Component>> up_to_date(const std::vector<Component>& all) {
  std::vector<uint32_t> bad;
  auto is_bad = [&](uint32_t mirror) {
    for (uint32_t each : bad)
      if (each == mirror) return true;
    return false;
  };
  for (const Component& each : all)
    if (each.flags & (kStale | kParity)) bad.push_back(each.id & kMirrorOfId);
  std::optional<uint32_t> chosen;
  std::vector<Component> found;
  for (const Component& each : all) {
    uint32_t mirror = each.id & kMirrorOfId;
    if (is_bad(mirror) || (chosen && *chosen != mirror)) continue;
    chosen = mirror;
    found.push_back(each);
  }
  if (found.empty()) return Error(Code::unsupported, "a Lustre layout none of whose mirrors is up to date");
  return found;
}

Result<std::string> portable_composite(std::string_view layout) {
  TRY_ASSIGN(std::vector<Component> all, components_of(layout));
  TRY_ASSIGN(std::vector<Component> kept, up_to_date(all));
  size_t at = kHeadSize + kept.size() * kEntrySize;  // of the next component's layout
  std::string out(at, '\0');
  for (size_t i = 0; i < kept.size(); ++i) {
    TRY_ASSIGN(std::string plain, portable_plain(kept[i].layout));
    char* entry = out.data() + kHeadSize + i * kEntrySize;
    store_le(entry + kFlagsAt, kept[i].flags & kExtension);
    kept[i].extent.copy(entry + kExtentAt, kExtentSize);
    store_le(entry + kOffsetAt, static_cast<uint32_t>(at));
    store_le(entry + kSizeAt, static_cast<uint32_t>(plain.size()));
    out += plain;
    at += plain.size();
  }
  store_le<uint32_t>(out.data(), kComposite);
  store_le(out.data() + kCompositeSizeAt, static_cast<uint32_t>(at));
  store_le(out.data() + kEntryCountAt, static_cast<uint16_t>(kept.size()));
  return out;
}

}  // namespace

Result<std::string> portable_layout(std::string_view layout) {
  if (layout.size() < sizeof(uint32_t)) return damaged("is cut off");
  auto magic = load_le<uint32_t>(layout.data());
  if (magic == kComposite || magic == kExtending) return portable_composite(layout);
  if (magic == kForeign)
    return Error(Code::unsupported, "a foreign Lustre layout, whose contents are in another system");
  return portable_plain(layout);
}

bool is_released_layout(std::string_view layout) {
  if (layout.size() < kPlainSize) return false;
  auto magic = load_le<uint32_t>(layout.data());
  auto released = [](std::string_view plain) {
    return plain.size() >= kPlainSize && (load_le<uint32_t>(plain.data() + kPatternAt) & kReleased) != 0;
  };
  if (magic != kComposite && magic != kExtending) return magic != kForeign && released(layout);
  Result<std::vector<Component>> components = components_of(layout);
  if (!components) return false;
  for (const Component& each : *components)
    if (released(each.layout)) return true;
  return false;
}

}  // namespace reel::mirror
