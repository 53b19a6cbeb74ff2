// SPDX-License-Identifier: Apache-2.0
//
// An anonymous trace has the shape of the original and none of its names.
#include "trace/anonymize.h"

#include <gtest/gtest.h>

#include <set>

#include "log/log.h"
#include "synthetic.h"
#include "temp_dir.h"

namespace reel::trace {
namespace {

constexpr const char* kSecrets[] = {"alice", "secret", "project", "payroll", "tomb", "user.pin", "hostname9"};

void make_original(const std::string& dir) {
  Synthetic trace(dir);
  trace.fact("host", "hostname9");
  trace.fact("command", "tomb /home/alice/secret.tar.gz");
  trace.fact("cwd", "/home/alice");
  trace.fact("fs.1", "254:0 ext4 /home/alice");
  trace.file("/home/alice/secret.tar.gz", FileKind::file, 77);
  uint32_t thread = trace.process();
  Descriptor fd = trace.open(thread, "/home/alice/secret.tar.gz", 0, 0, 3);
  trace.on_fd(thread, Op::read, fd, 0, 4096, 77);
  Event relative = Synthetic::make(thread, Op::stat, -2);
  relative.path = trace.path("/home/alice/project/payroll");
  relative.relative = sizeof "project/payroll" - 1;
  relative.fd = {kAtCwd, 0};
  trace.call(relative);
  Event xattr = Synthetic::make(thread, Op::getxattr, 3);
  xattr.path = trace.path("/home/alice");
  xattr.path2 = trace.string(StringKind::xattr_name, "user.pin");
  trace.call(xattr);
  Event chown = Synthetic::make(thread, Op::chown, 0);
  chown.path = xattr.path;
  chown.arg = 4711;
  chown.arg2 = ~0u;
  trace.call(chown);
  EXPECT_TRUE(trace.writer().loss({Synthetic::kStart, thread, 3, "alice became tomb"}));
  trace.finish();
}

Trace anonymous(const TempDir& dir, const std::string& name, const AnonymizeOptions& options) {
  Status done = anonymize(Env::posix(), dir.at("original"), dir.at(name), options);
  EXPECT_TRUE(done) << done.error().text();
  return *load(Env::posix(), dir.at(name));
}

TEST(Anonymize, NoNameIsLeftAnywhereInTheLog) {
  TempDir dir;
  make_original(dir.at("original"));
  anonymous(dir, "copy", {"key", false});
  auto reader = log::Reader::open(Env::posix(), dir.at("copy"), kStream);
  ASSERT_TRUE(reader);
  Record record;
  int records = 0;
  for (Result<bool> more = (*reader)->next(record); more && *more; more = (*reader)->next(record), ++records)
    for (const char* secret : kSecrets)
      EXPECT_EQ(std::string(record.name).find(secret), std::string::npos) << record.name;
  EXPECT_GT(records, 15);
}

TEST(Anonymize, TheShapeStays) {
  TempDir dir;
  make_original(dir.at("original"));
  Trace original = *load(Env::posix(), dir.at("original"));
  Trace copy = anonymous(dir, "copy", {"key", true});
  ASSERT_EQ(copy.events.size(), original.events.size());
  for (size_t i = 0; i < copy.events.size(); ++i) {
    const Event &a = original.events[i], &b = copy.events[i];
    EXPECT_EQ(a.op, b.op);
    EXPECT_EQ(a.enter_ns, b.enter_ns);
    EXPECT_EQ(a.result, b.result);
    EXPECT_EQ(a.fd, b.fd);
    EXPECT_EQ(copy.string(b.path), anonymous_path(original.string(a.path), {"key", true}));
  }
  EXPECT_TRUE(copy.string(copy.events[0].path).ends_with(".tar.gz"));
  // The tail that the call named is the tail still, component by component.
  const Event& stat = copy.events[2];
  std::string whole = copy.string(stat.path), tail = whole.substr(whole.size() - stat.relative);
  EXPECT_EQ(tail, anonymous_path("project/payroll", {"key", true}));
  EXPECT_NE(copy.events[4].arg, 4711u);
  EXPECT_EQ(copy.events[4].arg2, ~0u) << "leave it as it is";
  EXPECT_EQ(copy.facts["anonymized"], "yes");
  EXPECT_EQ(copy.losses.size(), 1u);
  EXPECT_EQ(copy.losses[0].events, 3u);
}

TEST(Anonymize, OnlyTheKeyDecides) {
  EXPECT_EQ(anonymous_path("/a/b", {"k", false}), anonymous_path("/a/b", {"k", false}));
  EXPECT_NE(anonymous_path("/a/b", {"k", false}), anonymous_path("/a/b", {"l", false}));
  std::string path = anonymous_path("/a/b/../a", {"k", false});
  EXPECT_EQ(path.substr(0, path.find('/', 1)), path.substr(path.rfind('/'))) << "one name, one word";
  EXPECT_EQ(anonymous_path("/", {"k", false}), "/");
  EXPECT_EQ(anonymous_path("/dev/null", {"k", false}), "/dev/null");
  EXPECT_NE(*random_key(), *random_key());
}

}  // namespace
}  // namespace reel::trace
