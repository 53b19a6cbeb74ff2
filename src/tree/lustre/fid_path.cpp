// SPDX-License-Identifier: Apache-2.0
#include "tree/lustre/fid_path.h"

#include <algorithm>

namespace reel::mirror {
namespace {

class Search {
 public:
  Search(PosixSource& source, const Fid& fid) : source_(source), fid_(fid) {}

  // `attributes`: of the object, when they are known; they say when the search is over.
  Result<std::vector<std::string>> run(const std::optional<Attributes>& attributes) {
    if (attributes) {
      ino_ = attributes->ino;
      names_left_ = attributes->type == FileType::directory ? 1 : attributes->nlink;
    }
    source_.set_locator([this](const Fid& fid) { return place_of(fid); });
    Status searched = search();
    source_.set_locator(nullptr);
    TRY(std::move(searched));
    std::sort(found_.begin(), found_.end());
    return std::move(found_);
  }

 private:
  struct Dir {
    Fid fid;
    std::string path;
  };

  Status search() {
    std::vector<Dir> waiting{{source_.root(), ""}};
    if (fid_ == source_.root()) add("");
    while (!waiting.empty() && names_left_ > 0) {
      Dir dir = std::move(waiting.back());
      waiting.pop_back();
      Status listed = source_.list(
          dir.fid,
          [&](const SourceEntry& entry) -> Status {
            std::string path = dir.path.empty() ? "" : dir.path + "/";
            path += entry.name;
            if (entry.fid == fid_) add(path);
            if (entry.attributes.type == FileType::directory) {
              if (!source_.by_handle()) places_.emplace(entry.fid, std::pair(dir.fid, std::string(entry.name)));
              waiting.push_back({entry.fid, std::move(path)});
            }
            return ok();
          },
          [this](std::string_view, const Attributes& attributes) { return guess(attributes); });
      // What this process may not read it cannot search.
      if (!listed && !listed.is(Code::not_found) && !listed.is(Code::permission))
        return std::move(listed).error().with(printable(dir.path));
    }
    return ok();
  }

  // Spares the question for the FIDs of files that are not it.
  std::optional<Fid> guess(const Attributes& attributes) const {
    if (attributes.type == FileType::directory || !ino_ || attributes.ino == *ino_) return std::nullopt;
    return Fid();
  }

  std::optional<std::pair<Fid, std::string>> place_of(const Fid& fid) const {
    auto place = places_.find(fid);
    if (place == places_.end()) return std::nullopt;
    return place->second;
  }

  void add(const std::string& path) {
    found_.push_back(path);
    names_left_--;
  }

  PosixSource& source_;
  const Fid fid_;
  std::optional<uint64_t> ino_;
  uint64_t names_left_ = UINT64_MAX;
  std::vector<std::string> found_;
  std::unordered_map<Fid, std::pair<Fid, std::string>> places_;
};

}  // namespace

Result<std::vector<std::string>> find_paths(PosixSource& source, const Fid& fid) {
  std::optional<Attributes> attributes;
  if (source.by_handle()) {
    TRY_ASSIGN(attributes, source.stat(fid));
    if (attributes->type == FileType::directory) {
      Result<std::string> path = source.directory_path(fid);
      if (path) return std::vector<std::string>{*path};
    }
  }
  TRY_ASSIGN(std::vector<std::string> found, Search(source, fid).run(attributes));
  if (found.empty()) return Error(Code::not_found, "no name below the root");
  return found;
}

}  // namespace reel::mirror
