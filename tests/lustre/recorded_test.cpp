// SPDX-License-Identifier: Apache-2.0
//
// The model repeats the recorded probe of a real MDT (fixtures probe/default.steps.tsv: one operation, and
// the records it gave) and must give the same types and flags, step by step.
//
// Not repeated, with the reason: appends #1 and later and what follows until the next clear (when a client
// gives up a cached handle is its own affair); `cp` (its open flags are the program's).
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <sstream>

#include "log/text/lustre_wire.h"
#include "model_mdt/model_fs.h"

namespace reel::model {
namespace {

using Op = std::function<void(ModelFs&)>;

Op opened(const std::string& name, uint32_t flags, bool writes) {
  return [=](ModelFs& fs) {
    Handle handle;
    ASSERT_EQ(fs.open(name, flags, handle), 0) << name;
    if (writes) fs.write(handle);
    fs.close(handle);
  };
}
Op set(const std::string& name, uint16_t valid) {
  return [=](ModelFs& fs) { ASSERT_EQ(fs.setattr(name, valid), 0) << name; };
}
void clear(ModelFs& fs) {
  ASSERT_EQ(fs.log(0).clear(1, fs.log(0).current_index()), 0);
}

// In the order of the recording; the same words may come several times.
std::vector<std::pair<std::string, Op>> steps() {
  auto acl = [](const char* name) { return [=](ModelFs& fs) { fs.set_acl(name); }; };
  Op utime_f = set("f", 0x7), utime_g = set("g", 0x7);
  return {{"create f", opened("f", 0x42, false)},
          {"utime f (right after create, no clear)", utime_f},
          {"sleep 2 + utime f", utime_f},
          {"changelog_clear to current", clear},
          {"utime f", utime_f},
          {"utime f again", utime_f},
          {"changelog_clear", clear},
          {"overwrite f (same size)", opened("f", 0x2, true)},
          {"overwrite f again", opened("f", 0x2, true)},
          {"changelog_clear", clear},
          {"chmod f", set("f", 0x14)},
          {"utime f (after a SATTR since the clear)", utime_f},
          {"changelog_clear", clear},
          {"rename f g", [](ModelFs& fs) { ASSERT_EQ(fs.rename("f", "g"), 0); }},
          {"utime g (after a RENME since the clear)", utime_g},
          {"overwrite g", opened("g", 0x2, true)},
          {"changelog_clear", clear},
          {"link g h", [](ModelFs& fs) { ASSERT_EQ(fs.link("g", "h"), 0); }},
          {"utime g (after a HLINK since the clear)", utime_g},
          {"mkdir d", [](ModelFs& fs) { ASSERT_EQ(fs.mkdir("d"), 0); }},
          {"changelog_clear", clear},
          {"utime d", set("d", 0x7)},
          {"create in d (does it give MTIME of d?)", opened("d/x", 0x42, false)},
          {"symlink s", [](ModelFs& fs) { ASSERT_EQ(fs.symlink("s"), 0); }},
          {"changelog_clear", clear},
          {"utime -h s", set("s", 0x7)},
          {"setfacl access ACL on g (1st)", acl("g")},
          {"setfacl again", acl("g")},
          {"changelog_clear", clear},
          {"setfacl after clear", acl("g")},
          {"setfacl -b", acl("g")},
          {"setfacl default on d", [](ModelFs& fs) { fs.setxattr("d", "system.posix_acl_default"); }},
          {"setfacl access on d", acl("d")},
          {"changelog_clear", clear},
          {"append #0 (open/write/close) to g", opened("g", 0x402, true)}};
}

// "MTIME 0x6 ; CLOSE 0x2": of a line's last column, "-" when there is none.
std::string recorded(const std::string& column) {
  std::istringstream words(column);
  std::string word, text;
  bool first = true;
  while (words >> word) {
    if (word == ";") {
      first = true;
    } else if (first && word != "-") {
      std::string flags;
      words >> flags;
      text += (text.empty() ? "" : " ; ") + word.substr(2) + " " + flags;
      first = false;
    }
  }
  return text.empty() ? "-" : text;
}

std::string modelled(const ModelLog& log, uint64_t after) {
  std::ostringstream text;
  for (const EntryPtr& entry : log.entries()) {
    if (entry->index <= after) continue;
    Record record;
    if (!log::decode_lustre(entry->raw.data(), entry->raw.size(), record)) std::abort();
    text << (text.tellp() > 0 ? " ; " : "") << *type_name(record.type) << " 0x" << std::hex
         << (record.flags & kFlagPayload);
  }
  return text.str().empty() ? "-" : text.str();
}

TEST(ModelRecorded, ProbeWithTheDefaultMask) {
  const char* given = std::getenv("REEL_FIXTURES");
  std::string path = given ? std::string(given) : std::string(REEL_SOURCE_DIR) + "/../shared/fixtures";
  std::ifstream in(path + "/lustre/probe/default.steps.tsv");
  if (!in) in.open(std::string(REEL_SOURCE_DIR) + "/../../shared/fixtures/lustre/probe/default.steps.tsv");
  if (!in) GTEST_SKIP() << path << "/lustre is not there (REEL_FIXTURES)";
  ModelFs fs(1, 1);
  fs.log(0).register_user("", std::nullopt);
  std::string line;
  for (const auto& [what, op] : steps()) {
    ASSERT_TRUE(std::getline(in, line));
    ASSERT_EQ(line.substr(0, line.find('\t')), what);
    uint64_t before = fs.log(0).current_index();
    op(fs);
    EXPECT_EQ(modelled(fs.log(0), before), recorded(line.substr(line.rfind('\t') + 1))) << what;
  }
}

}  // namespace
}  // namespace reel::model
