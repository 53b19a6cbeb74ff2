// SPDX-License-Identifier: Apache-2.0
//
// The model repeats the steps of the recorded tour (default_1mdt/a_tour: a program's or a command's, one after the
// other) and must leave the same types and flags of records at MDT0000, step by step.
//
// When a client gives up a cached handle is its own affair: "hold" and "give" say it as it was. Not repeated, with
// the reason: cp, sed, install, dd onto files with layouts (which calls they make is theirs); lfs setstripe, migrate
// -c, mirror, swap_layouts (the model has LYOUT and FLRW, not layouts); what is done on MDT0001
// (recorded_records_test); what changes nothing.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <sstream>

#include "log/recordings.h"
#include "log/text/lustre_wire.h"
#include "model_mdt/model_fs.h"

namespace reel::model {
namespace {

// What the step was called, and the same for the model; numbers are hexadecimal.
const std::pair<const char*, const char*> kSteps[] = {
    {"mkdir TOP", "mkdir T"},
    {"open(O_CREAT|O_EXCL|O_WRONLY) f1; close (no write)", "open f1 c2"},
    {"create f2 + write 100 bytes + close", "write f2 42"},
    {"overwrite f2 in place, same size (open O_WRONLY, pwrite, close)", "write f2 2"},
    {"overwrite f2 in place again after 1.1s (mtime second changes)", "write f2 2"},
    {"append 50 bytes to f2 (O_APPEND)", "write f2 402"},
    {"overwrite 10 bytes in the middle of f2 + fsync", "hold f2 3"},
    {"open f2 O_RDWR, no write, close", "give; hold f2 3"},
    {"open f2 O_RDONLY, read, close", "open f2 1"},
    {"stat f2", "give"},
    {"open(f2,O_WRONLY|O_TRUNC); write 30; close", "hold f2 202"},
    {"open(f2,O_WRONLY|O_TRUNC) on nonempty; close without write", "give; hold f2 202"},
    {"truncate(path) f2 to 1000", "give; attr f2 e"},
    {"truncate(path) f2 to 1000 (same size)", "attr f2 e"},
    {"truncate(path) f2 to 10", "attr f2 e"},
    {"ftruncate f2 to 77 via fd", "attr f2 e; write f2 3"},
    {"mmap MAP_SHARED write f2 + msync + close", "write f2 3"},
    {"fallocate -l 1M f2", "hold f2 43"},
    {"chmod f2 0600", "give; attr f2 14"},
    {"chmod f2 0600 (no change)", "attr f2 14"},
    {"chown f2 1000:1000", "attr f2 e4"},
    {"chgrp f2 1001", "attr f2 c4"},
    {"utime f2 explicit ns (atime+mtime)", "attr f2 7"},
    {"utime f2 now", "attr f2 7"},
    {"touch -a f2", "open f2 42; attr f2 5"},
    {"touch -m f2", "open f2 42; attr f2 6"},
    {"touch newfile", "open newfile 42; attr newfile 7"},
    {"chmod+write by same fd: open, fchmod, pwrite, close", "attr f2 14; write f2 3"},
    {"setxattr user.k=v1", "xattr f2"},
    {"setxattr user.k=v2 (replace)", "xattr f2"},
    {"setxattr user.k=v2 (same value)", "xattr f2"},
    {"setxattr trusted.t", "xattr f2"},
    {"setxattr security.s", "xattr f2"},
    {"getxattr user.k", "getxattr f2"},
    {"removexattr user.k", "xattr f2"},
    {"setfacl -m u:1234:rw f2", "acl f2"},
    {"setfacl -b f2", "acl f2"},
    {"setfacl -d -m u:1234:rwx .", "xattr ."},
    {"setfacl -k .", "xattr ."},
    {"chattr +i f2", "attr f2 200"},
    {"chattr -i f2", "attr f2 200"},
    {"chattr +a f2", "attr f2 200"},
    {"chattr -a f2", "attr f2 200"},
    {"lfs project -p 42 f2", "attr f2 200"},
    {"mkdir d1", "mkdir d1"},
    {"mkdir d2", "mkdir d2"},
    {"mkdir d1/sub", "mkdir d1/sub"},
    {"chmod d1", "attr d1 14"},
    {"setxattr on dir d1", "xattr d1"},
    {"link f2 -> l1", "link f2 l1"},
    {"link f2 -> d1/l2", "link f2 d1/l2"},
    {"unlink l1 (not last)", "unlink l1"},
    {"unlink f1 (last)", "unlink f1"},
    {"symlink relative", "symlink s1"},
    {"symlink dangling long", "symlink s2"},
    {"lchown s1", "attr s1 64"},
    {"utime s1 nofollow", "attr s1 7"},
    {"link symlink s1 -> s1hl", "link s1 s1hl"},
    {"unlink symlink s2", "unlink s2"},
    {"mkfifo", "node fifo"},
    {"mknod c 1 3", "node chr"},
    {"mknod b 7 0", "node blk"},
    {"bind unix socket", "node sock"},
    {"mknod regular S_IFREG", "regular reg"},
    {"unlink fifo", "unlink fifo"},
    {"rename r1 -> R1 (same dir)", "quiet; regular r1; loud; rename r1 R1"},
    {"rename R1 -> d1/R1 (cross dir)", "rename R1 d1/R1"},
    {"rename r2 -> r3 (overwrite, last link of r3)", "quiet; regular r2; regular r3; loud; rename r2 r3"},
    {"rename r5 -> r4 (overwrite, r4 inode still linked as r4b)",
     "quiet; regular r5; regular r4; link r4 r4b; loud; rename r5 r4"},
    {"rename same name r4->r4", "rename r4 r4"},
    {"rename dir e1 -> e2 (overwrite empty dir)", "quiet; mkdir e1; mkdir e2; loud; rename e1 e2"},
    {"rename dir e2 -> d2/e2 (cross dir)", "rename e2 d2/e2"},
    {"rmdir e3", "quiet; mkdir e3; loud; rmdir e3"},
    {"create, open, write, unlink while open, write, close", "hold w1 43; unlink w1; give"},
    {"create, write, rename while open, write, close", "hold w2 43; rename w2 w3; give"},
    {"echo shell > sh1", "write sh1 242"},
    {"echo more >> sh1", "write sh1 442"},
    {"cat sh1 > sh2", "write sh2 242"},
    {"lfs hsm_set --exists sh1", "hsm sh1 280; open sh1 2"},
    {"lfs hsm_set --archived sh1", "hsm sh1 280; open sh1 2"},
    {"lfs hsm_set --dirty sh1", "hsm sh1 680; open sh1 2"},
    {"lfs hsm_clear --dirty sh1", "hsm sh1 280; open sh1 2"},
    {"mkdir mig; echo 1 > mig/a; ln mig/a mig/ahl; mkdir mig/s; echo 2 > mig/s/b",
     "mkdir mig; write mig/a 242; link mig/a mig/ahl; mkdir mig/s; write mig/s/b 242"},
    {"lfs migrate -m 1 mig", "migrate mig"},
    {"lfs setdirstripe -D -c 2 d2", "xattr d2"},
};

class Tour {
 public:
  Tour() { fs.log(0).register_user("", std::nullopt); }

  void run(const std::string& commands) {
    std::istringstream list(commands);
    for (std::string command; std::getline(list, command, ';');) {
      std::istringstream words(command);
      std::string verb, name, more;
      words >> verb >> name >> more;
      int error = run(verb, name.empty() ? "" : name == "." || name == "T" ? "T" : "T/" + name, more);
      EXPECT_EQ(error, 0) << command;
    }
  }
  // Of records behind `after`, but those that were made in quiet.
  std::string made(uint64_t after) {
    std::string text;
    for (const EntryPtr& entry : fs.log(0).entries())
      if (entry->index > after && !quiet_.count(entry->index)) text += told(entry->raw);
    return text;
  }
  static std::string told(std::string_view raw) {
    Record record;
    if (!log::decode_lustre(raw.data(), raw.size(), record)) std::abort();
    char flags[16];
    std::snprintf(flags, sizeof flags, " 0x%x; ", static_cast<unsigned>(record.flags & kFlagPayload));
    return std::string(type_name(record.type).value_or("?")) + flags;
  }

  ModelFs fs{2, 1};

 private:
  int run(const std::string& verb, const std::string& path, const std::string& more) {
    if (verb == "mkdir") return fs.mkdir(path, 0);
    if (verb == "symlink") return fs.symlink(path);
    if (verb == "node" || verb == "regular") return fs.mknod(path, verb == "regular");
    if (verb == "unlink") return fs.unlink(path);
    if (verb == "rmdir") return fs.rmdir(path);
    if (verb == "link") return fs.link(path, "T/" + more);
    if (verb == "rename") return fs.rename(path, "T/" + more);
    if (verb == "migrate") return fs.migrate(path, 1);
    if (verb == "xattr") return fs.setxattr(path, "user.k");
    if (verb == "getxattr") return fs.getxattr(path, "user.k");
    if (verb == "acl") return fs.set_acl(path);
    if (verb == "quiet") return before_ = fs.log(0).current_index(), 0;
    if (verb == "loud") {
      while (before_ < fs.log(0).current_index()) quiet_.insert(++before_);
      return 0;
    }
    if (verb == "give") return fs.close(held_), 0;
    uint32_t number = static_cast<uint32_t>(std::stoul(more, nullptr, 16));
    if (verb == "attr") return fs.setattr(path, static_cast<uint16_t>(number));
    if (verb == "hsm") return fs.hsm(path, static_cast<uint16_t>(number));
    Handle handle;
    if (int error = fs.open(path, number, handle)) return error;
    if (verb == "write") fs.write(handle);
    if (verb == "hold")
      held_ = handle;
    else
      fs.close(handle);
    return 0;
  }

  Handle held_;
  std::set<uint64_t> quiet_;
  uint64_t before_ = 0;
};

TEST(ModelRecorded, StepsOfTheTour) {
  std::filesystem::path dir = recordings::full_set() / "default_1mdt/a_tour";
  if (!std::filesystem::exists(dir / "steps.tsv")) GTEST_SKIP() << dir << " is not there (REEL_FIXTURES)";
  const std::string raw = recordings::slurp(dir / "mdt0.raw");
  std::map<uint64_t, std::string> told;  // by index
  for (size_t at = 0; at < raw.size();) {
    Record record;
    size_t used = *log::decode_lustre(raw.data() + at, raw.size() - at, record);
    told[record.index] = Tour::told({raw.data() + at, used});
    at += used;
  }
  Tour tour;
  std::istringstream lines(recordings::slurp(dir / "steps.tsv"));
  size_t next = 0;
  for (std::string line; std::getline(lines, line) && next < std::size(kSteps);) {
    if (line.substr(line.rfind('\t') + 1) != kSteps[next].first) continue;
    std::istringstream numbers(line);
    uint64_t first = 0, last = 0, before = tour.fs.log(0).current_index();
    numbers >> first >> last;
    std::string wanted;
    while (first < last) wanted += told[++first];
    tour.run(kSteps[next].second);
    EXPECT_EQ(tour.made(before), wanted) << kSteps[next].first;
    ++next;
  }
  EXPECT_EQ(next, std::size(kSteps)) << "not found: " << kSteps[std::min(next, std::size(kSteps) - 1)].first;
}

}  // namespace
}  // namespace reel::model
