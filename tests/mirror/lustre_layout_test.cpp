// SPDX-License-Identifier: Apache-2.0
//
// Layouts as a real Lustre had them, what of them another one is asked for, and bytes that are no layout.
#include "tree/lustre_layout.h"

#include <gtest/gtest.h>

#include <random>

#include "base/codec.h"

namespace reel::mirror {
namespace {

std::string bytes(std::string_view hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    out += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  return out;
}
std::string hex(std::string_view data) {
  std::string out;
  char text[3];
  for (unsigned char byte : data) out += (std::snprintf(text, sizeof text, "%02x", byte), text);
  return out;
}
std::string portable(std::string_view layout_hex) {
  Result<std::string> out = portable_layout(bytes(layout_hex));
  return out ? hex(*out) : out.error().text();
}

// Of the recorded tour (default_1mdt/a_tour) and of lustre_rsync's source: one stripe; PFL, the first component of one
// stripe, the second of two; DoM; two mirrors, the second up to date.
constexpr const char* kOneStripe =
    "d00bd10b010000001a000000000000000204000002000000000040000100ffff"
    "010400c0020000000e000000000000000000000001000000";
constexpr const char* kPfl =
    "d00bd60b08010000030000000000020000000000000000000000000000000000"
    "010000001000000000000000000000000000100000000000"
    "800000003800000000000000000000000000000000000000"
    "020000001000000000001000000000"
    "00ffffffffffffffffb80000005000000000000000000000000000000000000000"
    "d00bd10b0100000000000000000000000000000000000000000010000100ffff"
    "01040080020000000e000000000000000000000000000000"
    "d00bd10b0100000000000000000000000000000000000000000040000200ffff"
    "010400c0020000000d000000000000000000000001000000"
    "01040080020000000f000000000000000000000000000000";
constexpr const char* kDom =
    "d00bd60bc0000000020000000000020000000000000000000000000000000000"
    "010000001000000000000000000000000000010000000000"
    "800000002000000000000000000000000000000000000000"
    "020000000000000000000100000000"
    "00ffffffffffffffffa00000002000000000000000000000000000000000000000"
    "d00bd10b0001000000000000000000000000000000000000000001000000ffff"
    "d00bd10b0100000000000000000000000000000000000000000040000100ffff";
constexpr const char* kMirrored =
    "d00bd60bf0000000050000000100020001000000000000000000000000000000"
    "010001001000000000000000000000"
    "00ffffffffffffffff800000003800000000000000000000000000000000000000"
    "020002001000000000000000000000"
    "00ffffffffffffffffb80000003800000000000000000000000000000000000000"
    "d00bd10b0100000000000000000000000000000000000000000040000100ffff"
    "010400800200000010000000000000000000000000000000"
    "d00bd10b0100000000000000000000000000000000000000000040000100ffff"
    "010400c0020000000f000000000000000000000001000000";

TEST(LustreLayout, ObjectsAndOwnersOfAPlainOneStayBehind) {
  EXPECT_EQ(portable(kOneStripe), "d00bd10b0100000000000000000000000000000000000000000040000100ffff");
  // What an older client gives in place of "any OST" would ask for the first one.
  std::string at_first = bytes(kOneStripe);
  store_le<uint16_t>(at_first.data() + 30, 0);
  EXPECT_EQ(portable(hex(at_first)), portable(kOneStripe));
}

TEST(LustreLayout, PoolsStayBehind) {
  std::string pool = bytes(kOneStripe).substr(0, 32) + std::string("flash\0\0\0\0\0\0\0\0\0\0\0", 16);
  for (uint32_t magic : {0x0bd30bd0u, 0x0bd50bd0u}) {
    store_le(pool.data(), magic);
    EXPECT_EQ(portable(hex(pool)), portable(kOneStripe));
  }
}

TEST(LustreLayout, ComponentsKeepExtentsAndStripes) {
  EXPECT_EQ(portable(kPfl),
            "d00bd60bc0000000000000000000020000000000000000000000000000000000"
            "000000000000000000000000000000000000100000000000"
            "800000002000000000000000000000000000000000000000"
            "000000000000000000001000000000"
            "00ffffffffffffffffa00000002000000000000000000000000000000000000000"
            "d00bd10b0100000000000000000000000000000000000000000010000100ffff"
            "d00bd10b0100000000000000000000000000000000000000000040000200ffff");
}

TEST(LustreLayout, DataOnMdtAndExtensionsAreKept) {
  std::string out = *portable_layout(bytes(kDom));
  EXPECT_EQ(load_le<uint32_t>(out.data() + 128 + 4), 0x100u);
  std::string extending = bytes(kPfl);
  store_le<uint32_t>(extending.data(), 0x0bd80bd0);
  store_le<uint32_t>(extending.data() + 32 + 48 + 4, 0x50);  // initialised, extension
  out = *portable_layout(extending);
  EXPECT_EQ(load_le<uint32_t>(out.data()), 0x0bd60bd0u);
  EXPECT_EQ(load_le<uint32_t>(out.data() + 32 + 48 + 4), 0x40u);
}

TEST(LustreLayout, OfMirrorsOneThatIsUpToDateIsKept) {
  std::string mirrored = bytes(kMirrored);
  std::string out = *portable_layout(mirrored);
  EXPECT_EQ(load_le<uint16_t>(out.data() + 14), 1u);  // components
  EXPECT_EQ(load_le<uint16_t>(out.data() + 16), 0u);  // mirrors more than one
  // The first is stale; the second, told by its stripe size, is taken.
  store_le<uint32_t>(mirrored.data() + 32 + 4, 0x11);
  store_le<uint32_t>(mirrored.data() + 184 + 24, 0x100000);
  out = *portable_layout(mirrored);
  EXPECT_EQ(load_le<uint16_t>(out.data() + 14), 1u);
  EXPECT_EQ(load_le<uint32_t>(out.data() + 80 + 24), 0x100000u);
  store_le<uint32_t>(mirrored.data() + 80 + 4, 0x11);
  EXPECT_TRUE(portable_layout(mirrored).is(Code::unsupported));
}

TEST(LustreLayout, ReleasedIsAStateAndNotAWish) {
  std::string released = bytes(kOneStripe).substr(0, 32);
  store_le<uint32_t>(released.data() + 4, 0x80000001);
  EXPECT_TRUE(is_released_layout(released));
  EXPECT_EQ(hex(*portable_layout(released)), portable(kOneStripe));
  std::string composite = bytes(kPfl);
  EXPECT_FALSE(is_released_layout(composite));
  store_le<uint32_t>(composite.data() + 128 + 4, 0x80000001);
  EXPECT_TRUE(is_released_layout(composite));
  EXPECT_EQ(hex(*portable_layout(composite)), portable(kPfl));
  EXPECT_FALSE(is_released_layout(bytes(kOneStripe)));
  EXPECT_FALSE(is_released_layout(""));
}

TEST(LustreLayout, WhatIsNotKnownIsRefused) {
  std::string foreign = bytes("d00bd70b0400000001000000000000007465737400000000000000000000000000000000");
  EXPECT_TRUE(portable_layout(foreign).is(Code::unsupported));
  EXPECT_FALSE(is_released_layout(foreign));
  std::string other = bytes(kOneStripe);
  store_le<uint32_t>(other.data() + 4, 0x801);
  EXPECT_TRUE(portable_layout(other).is(Code::unsupported));
  store_le<uint32_t>(other.data(), 0x12345678);
  EXPECT_TRUE(portable_layout(other).is(Code::unsupported));
  EXPECT_TRUE(portable_layout("").is(Code::corrupt));
}

// Whatever the bytes: an error, or something that asks for the same when it is asked of again.
void expect_sane(const std::string& layout) {
  std::string copy(layout);  // of just this size, so that a read beyond it is seen
  copy.shrink_to_fit();
  (void)is_released_layout(copy);
  Result<std::string> out = portable_layout(copy);
  if (!out) {
    EXPECT_TRUE(out.is(Code::corrupt) || out.is(Code::unsupported)) << out.error().text();
    return;
  }
  EXPECT_FALSE(is_released_layout(*out));
  Result<std::string> again = portable_layout(*out);
  ASSERT_TRUE(again) << hex(layout);
  EXPECT_EQ(hex(*again), hex(*out));
}

TEST(LustreLayout, EveryTruncationAndEveryByteChanged) {
  for (const char* text : {kOneStripe, kPfl, kDom, kMirrored}) {
    const std::string layout = bytes(text);
    for (size_t size = 0; size <= layout.size(); ++size) expect_sane(layout.substr(0, size));
    for (size_t at = 0; at < layout.size(); ++at)
      for (int value = 0; value < 256; ++value) {
        std::string changed = layout;
        changed[at] = static_cast<char>(value);
        expect_sane(changed);
      }
  }
}

TEST(LustreLayout, RandomDamage) {
  const char* given = std::getenv("REEL_SIM_SEED");
  unsigned seed = given ? static_cast<unsigned>(std::stoul(given)) : std::random_device{}();
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 20000; ++round) {
    constexpr const char* kAll[] = {kOneStripe, kPfl, kDom, kMirrored};
    std::string layout = bytes(kAll[random() % 4]);
    for (auto n = random() % 6; n > 0; --n) layout[random() % layout.size()] = static_cast<char>(random());
    if (random() % 4 == 0) layout.resize(random() % (layout.size() + 100), static_cast<char>(random()));
    expect_sane(layout);
  }
}

}  // namespace
}  // namespace reel::mirror
