// SPDX-License-Identifier: Apache-2.0
#include "service/origin/origin.h"

#include "base/kill_point.h"
#include "service/origin/origin_kinds.h"
#include "tree/posix/posix_source.h"

namespace reel::service {
namespace {

constexpr const char* kStream = "local";
constexpr const char* kRecorded = "recorded:";
constexpr const char* kLustre = "lustre:";

class LocalInflow final : public Inflow {
 public:
  LocalInflow(std::unique_ptr<log::Writer> writer, std::unique_ptr<source::Source> source)
      : writer_(std::move(writer)), source_(std::move(source)) {}

  const std::vector<std::string>& streams() const override { return streams_; }
  uint64_t last(const std::string&) const override { return writer_->last_index(); }
  uint64_t released(const std::string&) const override { return writer_->durable_index(); }
  Result<log::Position> barrier() override {
    TRY_ASSIGN(uint64_t index, source_->barrier());
    return log::Position(kStream, index);
  }
  Status health() override { return source_->health(); }

 private:
  const std::vector<std::string> streams_{kStream};
  std::unique_ptr<log::Writer> writer_;  // outlives the source, which writes to it
  std::unique_ptr<source::Source> source_;
};

// A directory of this machine.
class LocalOrigin final : public Origin {
 public:
  LocalOrigin(std::string path, OriginOptions options) : path_(std::move(path)), options_(std::move(options)) {}

  const std::string& path() const override { return path_; }
  Result<SourceIdentity> identify() override { return identify_source(path_); }
  Result<std::unique_ptr<mirror::SourceTree>> open_tree(Locator locator) override {
    mirror::PosixSource::Options options;
    options.hidden = options_.state_dir;
    options.recall = options_.recall;
    TRY_ASSIGN(std::unique_ptr<mirror::PosixSource> tree, mirror::PosixSource::open(path_, options));
    // Without handles (no privilege) objects are found by the names that the index has.
    tree->set_locator(std::move(locator));
    return std::unique_ptr<mirror::SourceTree>(std::move(tree));
  }
  Result<std::vector<std::string>> streams() override { return std::vector<std::string>{kStream}; }
  Result<std::unique_ptr<Inflow>> fill(const std::string& log_dir) override {
    log::WriterOptions log_options;
    log_options.segment_bytes = tuned("SEGMENT_BYTES", log_options.segment_bytes);
    TRY_ASSIGN(std::unique_ptr<log::Writer> writer, log::Writer::open(Env::posix(), log_dir, kStream, log_options));
    source::LocalOptions local;
    local.state_dir = options_.state_dir;
    local.hold_seconds = options_.hold_seconds;
    TRY_ASSIGN(std::unique_ptr<source::Source> source, source::watch_local(path_, *writer, local));
    return std::unique_ptr<Inflow>(std::make_unique<LocalInflow>(std::move(writer), std::move(source)));
  }

 private:
  const std::string path_;
  const OriginOptions options_;
};

}  // namespace

std::string kind_of_source(const std::string& source) {
  for (const char* kind : {kRecorded, kLustre})
    if (source.starts_with(kind)) return kind;
  return "";
}

Result<std::unique_ptr<Origin>> open_origin(const std::string& source, const OriginOptions& options) {
  std::string kind = kind_of_source(source);
  std::string path = source.substr(kind.size());
  if (kind == kRecorded) return open_recorded_origin(path, options);
  if (kind == kLustre) return open_lustre_origin(path, options);
  return std::unique_ptr<Origin>(std::make_unique<LocalOrigin>(path, options));
}

}  // namespace reel::service
