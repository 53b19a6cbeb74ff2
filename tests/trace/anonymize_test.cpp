// SPDX-License-Identifier: Apache-2.0
//
// An anonymous trace has the shape of the original and none of its names.
#include "trace/names/anonymize.h"

#include <gtest/gtest.h>

#include <set>

#include "log/log.h"
#include "support/files.h"
#include "synthetic.h"

namespace reel::trace {
namespace {

constexpr const char* kSecrets[] = {"alice", "secret", "project", "payroll", "tomb", "user.pin", "hostname9"};

AnonymizeOptions with_key(const std::string& key, Treat paths = Treat::hash) {
  AnonymizeOptions options{key, Policy::nobody()};
  options.policy.paths = paths;
  return options;
}
const AnonymizeOptions kHash = with_key("key"), kExtensions = with_key("key", Treat::extension), kK = with_key("k"),
                       kL = with_key("l");

void make_original(const std::string& dir) {
  Synthetic trace(dir);
  trace.fact("host", "hostname9");
  trace.fact("command", "tomb /home/alice/secret.tar.gz");
  trace.fact("cwd", "/home/alice");
  trace.fact("part.1.host", "hostname9");
  trace.fact("part.1.command", "tomb /home/alice/secret.tar.gz");
  trace.fact("part.1.threads", "3 5");
  trace.fact("mpi.machine.1", "hostname9");
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

Trace anonymous(const test::TempDir& dir, const std::string& name, const AnonymizeOptions& options) {
  Status done = anonymize(Env::posix(), dir.at("original"), dir.at(name), options);
  EXPECT_TRUE(done) << done.error().text();
  return *load(Env::posix(), dir.at(name));
}

TEST(Anonymize, NoNameIsLeftAnywhereInTheLog) {
  test::TempDir dir;
  make_original(dir.at("original"));
  anonymous(dir, "copy", kHash);
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
  test::TempDir dir;
  make_original(dir.at("original"));
  Trace original = *load(Env::posix(), dir.at("original"));
  Trace copy = anonymous(dir, "copy", kExtensions);
  ASSERT_EQ(copy.events.size(), original.events.size());
  for (size_t i = 0; i < copy.events.size(); ++i) {
    const Event &a = original.events[i], &b = copy.events[i];
    EXPECT_EQ(a.op, b.op);
    EXPECT_EQ(a.enter_ns, b.enter_ns);
    EXPECT_EQ(a.result, b.result);
    EXPECT_EQ(a.fd, b.fd);
    EXPECT_EQ(copy.string(b.path), anonymous_path(original.string(a.path), kExtensions));
  }
  EXPECT_TRUE(copy.string(copy.events[0].path).ends_with(".tar.gz"));
  // The tail that the call named is the tail still, component by component.
  const Event& stat = copy.events[2];
  std::string whole = copy.string(stat.path), tail = whole.substr(whole.size() - stat.relative);
  EXPECT_EQ(tail, anonymous_path("project/payroll", kExtensions));
  EXPECT_NE(copy.events[4].arg, 4711u);
  EXPECT_EQ(copy.events[4].arg2, ~0u) << "leave it as it is";
  EXPECT_EQ(copy.facts["anonymized"], "yes");
  EXPECT_EQ(copy.losses.size(), 1u);
  EXPECT_EQ(copy.losses[0].events, 3u);
}

TEST(Anonymize, OnlyTheKeyDecides) {
  EXPECT_EQ(anonymous_path("/a/b", kK), anonymous_path("/a/b", kK));
  EXPECT_NE(anonymous_path("/a/b", kK), anonymous_path("/a/b", kL));
  std::string path = anonymous_path("/a/b/../a", kK);
  EXPECT_EQ(path.substr(0, path.find('/', 1)), path.substr(path.rfind('/'))) << "one name, one word";
  EXPECT_EQ(anonymous_path("/", kK), "/");
  EXPECT_EQ(anonymous_path("/dev/null", kK), "/dev/null");
  EXPECT_NE(*random_key(), *random_key());
}

TEST(Policy, ReadsWhatItWrites) {
  Policy policy = *parse_policy("paths=hash,args=drop,env=drop,uid=map,host=drop", Policy());
  EXPECT_EQ(policy.paths, Treat::hash);
  EXPECT_EQ(policy.args, Treat::drop);
  EXPECT_EQ(policy.ids, Treat::hash);
  EXPECT_EQ(policy.programs, Treat::keep) << "as in the base";
  EXPECT_EQ(*parse_policy(policy.text(), Policy::nobody()), policy);
  EXPECT_EQ(parse_policy("paths=extension", Policy::nobody())->xattrs, Treat::hash);
  for (const char* bad : {"", "paths", "paths=", "paths=map", "args=extension", "env=keep", "colour=hash",
                          "paths=hash,", "paths=hash,,args=drop"})
    EXPECT_TRUE(parse_policy(bad, Policy()).is(Code::invalid)) << bad;
}

TEST(Policy, EachFieldIsTreatedByItself) {
  test::TempDir dir;
  make_original(dir.at("original"));
  Trace dropped = anonymous(
      dir, "dropped", {"key", *parse_policy("paths=drop,args=drop,programs=drop,xattrs=drop,uid=drop,host=drop", {})});
  for (size_t i = 1; i < dropped.strings.size(); ++i) ADD_FAILURE() << dropped.strings[i];
  EXPECT_EQ(dropped.facts.count("host"), 0u);
  EXPECT_EQ(dropped.facts.count("command"), 0u);
  for (const char* key : {"part.1.host", "part.1.command", "mpi.machine.1"}) EXPECT_EQ(dropped.facts.count(key), 0u);
  EXPECT_EQ(dropped.facts["part.1.threads"], "3 5");
  EXPECT_EQ(dropped.threads[0].uid, ~0u);
  EXPECT_EQ(dropped.events.size(), load(Env::posix(), dir.at("original"))->events.size()) << "calls stay";
  EXPECT_EQ(dropped.facts["anonymized"], "yes");

  Trace some = anonymous(dir, "some", {"key", *parse_policy("args=hash,host=drop", {})});
  EXPECT_EQ(some.string(some.events[0].path), "/home/alice/secret.tar.gz");
  EXPECT_NE(some.facts["command"], "tomb /home/alice/secret.tar.gz");
  EXPECT_EQ(some.facts["policy"], "paths=keep,args=hash,programs=keep,xattrs=keep,uid=keep,host=drop");
  EXPECT_EQ(some.facts.count("part.1.host") + some.facts.count("mpi.machine.1"), 0u);
  EXPECT_NE(some.facts["part.1.command"], "tomb /home/alice/secret.tar.gz");
  EXPECT_EQ(some.facts.count("anonymized"), 0u) << "it names somebody";
  EXPECT_EQ(some.events[4].arg, 4711u);
}

}  // namespace
}  // namespace reel::trace
