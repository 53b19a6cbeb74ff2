// SPDX-License-Identifier: Apache-2.0
//
// recorded:DIR: the changelogs of a Lustre that somebody recorded (DIR/mdtN.raw), and the tree as it
// was at their end (DIR/after.jsonl, DIR/tree).
#include <sys/stat.h>

#include <cerrno>

#include "service/origin/origin_kinds.h"
#include "source/recorded.h"
#include "tree/recorded/recorded_tree.h"

namespace reel::service {
namespace {

// All records are in the log from the start, and no more come.
class RecordedInflow final : public Inflow {
 public:
  RecordedInflow(std::vector<std::string> streams, log::Position end)
      : streams_(std::move(streams)), end_(std::move(end)) {}

  const std::vector<std::string>& streams() const override { return streams_; }
  uint64_t last(const std::string& stream) const override { return end_.at(stream); }
  uint64_t released(const std::string& stream) const override { return end_.at(stream); }
  Result<log::Position> barrier() override { return end_; }
  Status health() override { return ok(); }

 private:
  const std::vector<std::string> streams_;
  const log::Position end_;
};

class RecordedOrigin final : public Origin {
 public:
  RecordedOrigin(std::string dir, Fid root, OriginOptions options)
      : dir_(std::move(dir)), root_(root), options_(std::move(options)) {}

  const std::string& path() const override { return dir_; }
  Result<SourceIdentity> identify() override {
    struct stat tree;
    if (::stat((dir_ + "/tree").c_str(), &tree) != 0)
      return Error::from_errno(errno, "recorded tree " + dir_ + "/tree");
    return SourceIdentity{root_, "recorded Lustre", ""};
  }
  Result<std::unique_ptr<mirror::SourceTree>> open_tree(Locator) override {
    TRY_ASSIGN(std::unique_ptr<mirror::RecordedTree> tree,
               mirror::RecordedTree::open(dir_ + "/after.jsonl", dir_ + "/tree"));
    return std::unique_ptr<mirror::SourceTree>(std::move(tree));
  }
  Result<std::vector<std::string>> streams() override { return source::recorded_streams(dir_); }
  Result<std::unique_ptr<Inflow>> fill(const std::string& log_dir) override {
    TRY_ASSIGN(std::vector<std::string> names, streams());
    log::Position end;
    for (const std::string& name : names) {
      TRY_ASSIGN(std::unique_ptr<log::Writer> writer, log::Writer::open(Env::posix(), log_dir, name));
      TRY_ASSIGN(std::vector<std::string> problems, source::take_recording(dir_, name, *writer));
      if (options_.note)
        for (const std::string& problem : problems) options_.note(problem + "; everything is scanned");
      end.set(name, writer->last_index());
    }
    return std::unique_ptr<Inflow>(std::make_unique<RecordedInflow>(std::move(names), std::move(end)));
  }
  bool is_recorded() const override { return true; }

 private:
  const std::string dir_;
  const Fid root_;
  const OriginOptions options_;
};

}  // namespace

Result<std::unique_ptr<Origin>> open_recorded_origin(const std::string& dir, const OriginOptions& options) {
  TRY(source::recorded_streams(dir));
  TRY_ASSIGN(std::unique_ptr<mirror::RecordedTree> tree,
             mirror::RecordedTree::open(dir + "/after.jsonl", dir + "/tree"));
  return std::unique_ptr<Origin>(std::make_unique<RecordedOrigin>(dir, tree->root(), options));
}

}  // namespace reel::service
