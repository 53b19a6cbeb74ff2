// SPDX-License-Identifier: Apache-2.0
//
// A recording of a real Lustre (tests/log/recordings.h says where they lie), and a mirror that is fed
// with its records: in any order between its MDTs, cut anywhere, delivered more than once.
#pragma once

#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "mirror/engine.h"
#include "mirror/scratch.h"
#include "tree/posix/posix_target.h"
#include "tree/recorded/recorded_tree.h"

namespace reel::recorded {

struct Stream {
  std::string name;  // "mdt0"
  std::string raw;
  std::vector<Record> records;  // views into raw
};

struct Recording {
  std::string name;  // "full_2mdt/a_tour"
  std::string dir;   // of the fixture
  std::vector<Stream> streams;
  std::string manifest;  // its text
  std::vector<mirror::ManifestEntry> entries;
  std::vector<std::string> sums;  // SHA-256 of each, empty when there is none
  bool has_contents = false;      // a final tree; without, contents of the right size are made

  size_t record_count() const;
};

// The full set where it is installed, else those of the corpus.
const std::vector<Recording>& recordings();
// Makes DIR/after.jsonl and DIR/tree of it.
void lay_out(const Recording& recording, const std::string& dir);

// What differs between the manifest and the tree at `path`, one text each; empty: nothing.
std::vector<std::string> compare_with_manifest(const Recording& recording, const std::string& path);
// The same of FIDs: what the index says is at each path.
std::vector<std::string> compare_fids(const Recording& recording, const mirror::Index& index, const Fid& root);

// A store in memory that outlives the engine.
std::unique_ptr<mirror::Store> memory_store(std::map<std::string, std::string>& rows);

// Feeds as many records of each stream as `visible` says.
class RecordedFeed final : public mirror::Feed {
 public:
  explicit RecordedFeed(const Recording& recording);

  const std::vector<std::string>& streams() const override { return names_; }
  Result<bool> next(Record& record, size_t& stream) override;
  Status start_after(const log::Position& position) override;
  log::Position last() override;

  std::vector<size_t> visible;       // records of each stream that are there
  std::mt19937_64* order = nullptr;  // set: any order between the streams; else by turns
  bool twice = false;                // each record comes two times
  bool from_the_start = false;       // start_after() is not listened to

 private:
  const Recording& recording_;
  std::vector<std::string> names_;
  std::vector<size_t> next_;
  size_t turn_ = 0;
  bool repeated_ = false;
};

// A mirror of a recording, first of an empty top directory ("before"), then of the final tree.
class Mirror {
 public:
  // `base`: a directory to work in.
  Mirror(const Recording& recording, const std::string& base);

  void show_final() { now_ = final_.get(); }
  void show(mirror::SourceTree& tree) { now_ = &tree; }
  mirror::SourceTree& final_tree() { return *final_; }
  // A new engine on what the store and the target have.
  void restart();
  // Steps until it is settled; "" or what went wrong.
  std::string settle();
  // One step; "" or what went wrong.
  std::string step();

  std::vector<std::string> differences();
  RecordedFeed feed;
  std::function<void()> at_barrier;  // called when the engine takes one
  const std::string& target() const { return target_path_; }
  mirror::Engine& engine() { return *engine_; }
  uint64_t directories_scanned = 0;  // after show_final()
  uint64_t lookups = 0, stats = 0;   // asked of the source

 private:
  friend class SwitchedTree;
  const Recording& recording_;
  std::string target_path_;
  std::unique_ptr<mirror::RecordedTree> before_, final_;
  mirror::SourceTree* now_ = nullptr;
  std::unique_ptr<mirror::SourceTree> tree_;
  std::map<std::string, std::string> rows_;
  std::unique_ptr<mirror::Store> store_;
  Pool pool_{0};
  std::unique_ptr<mirror::Engine> engine_;
  int64_t now_s_ = 1000000;
};

}  // namespace reel::recorded
