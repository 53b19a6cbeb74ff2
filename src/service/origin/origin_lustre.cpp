// SPDX-License-Identifier: Apache-2.0
//
// lustre:MOUNT: a mounted Lustre; its objects read by FID, its MDTs' changelogs followed.
#include <algorithm>

#include "service/origin/origin_kinds.h"
#include "source/lustre/lustre.h"
#include "tree/lustre/lustre_tree.h"

namespace reel::service {
namespace {

namespace lustre = source::lustre;

constexpr unsigned kQuestions = 64;  // with a round trip of 1 ms that is some 55,000 answers a second

class LustreInflow final : public Inflow {
 public:
  explicit LustreInflow(std::unique_ptr<lustre::LustreSource> source) : source_(std::move(source)) {
    for (const lustre::StreamState& state : source_->streams()) streams_.push_back(state.stream);
  }

  const std::vector<std::string>& streams() const override { return streams_; }
  uint64_t last(const std::string& stream) const override { return state(stream).last; }
  uint64_t released(const std::string& stream) const override { return state(stream).released; }
  Result<log::Position> barrier() override {
    TRY_ASSIGN(std::vector<lustre::StreamEnd> ends, source_->barrier());
    log::Position position;
    for (const lustre::StreamEnd& end : ends) position.set(end.stream, end.index);
    return position;
  }
  Status health() override { return source_->health(); }

 private:
  lustre::StreamState state(const std::string& stream) const {
    for (lustre::StreamState& each : source_->streams())
      if (each.stream == stream) return std::move(each);
    return {};
  }

  const std::unique_ptr<lustre::LustreSource> source_;
  std::vector<std::string> streams_;
};

std::string stream_of(const lustre::Mdt& mdt) {
  return "mdt" + std::to_string(mdt.index());
}

class LustreOrigin final : public Origin {
 public:
  LustreOrigin(std::string mount, OriginOptions options) : mount_(std::move(mount)), options_(std::move(options)) {}

  const std::string& path() const override { return mount_; }
  Result<SourceIdentity> identify() override { return identify_source(mount_); }
  Result<std::unique_ptr<mirror::SourceTree>> open_tree(Locator) override {
    TRY_ASSIGN(std::unique_ptr<mirror::PosixSource> tree,
               mirror::open_lustre_tree(mount_, options_.state_dir, options_.recall));
    return std::unique_ptr<mirror::SourceTree>(std::move(tree));
  }
  Result<std::vector<std::string>> streams() override {
    TRY_ASSIGN(lustre::Site site, open_site());
    std::vector<std::string> names;
    for (const auto& mdt : site.mdts) names.push_back(stream_of(*mdt));
    return names;
  }
  Result<std::unique_ptr<Inflow>> fill(const std::string& log_dir) override {
    TRY_ASSIGN(lustre::Site site, open_site());
    if (options_.user.empty())
      return Error(
          Code::invalid,
          "lustre:" + mount_ + ": whose records? Register a changelog user on every MDT and name it with --user");
    lustre::LustreOptions follow;
    follow.log_dir = log_dir;
    follow.state_dir = options_.state_dir;
    follow.user = options_.user;
    follow.event = [note = options_.note](const lustre::SourceEvent& event) {
      if (note) note(event.mdt + ": " + event.text);
    };
    TRY_ASSIGN(std::unique_ptr<lustre::LustreSource> source,
               lustre::watch_lustre(std::move(site), follow, Env::posix()));
    return std::unique_ptr<Inflow>(std::make_unique<LustreInflow>(std::move(source)));
  }
  unsigned questions() const override { return kQuestions; }

 private:
  // With --mdt given, the MDTs must be those: a mirror that follows only some would differ silently.
  Result<lustre::Site> open_site() const {
    TRY_ASSIGN(lustre::Site site, lustre::open_site(mount_, {}));
    if (options_.mdts.empty()) return site;
    std::string there, missing;
    for (const auto& mdt : site.mdts) {
      there += " " + mdt->name();
      bool named = std::any_of(options_.mdts.begin(), options_.mdts.end(), [&](const std::string& given) {
        return mdt->name() == given || mdt->name().ends_with("-" + given);
      });
      if (!named) missing += " " + mdt->name();
    }
    if (!missing.empty())
      return Error(Code::invalid, "lustre:" + mount_ + " has the MDTs" + there + ", and --mdt leaves out" + missing +
                                      ": what happens there would be missed. Name all, or none");
    if (site.mdts.size() != options_.mdts.size())
      return Error(Code::invalid, "lustre:" + mount_ + " has the MDTs" + there + ", and --mdt names others");
    return site;
  }

  const std::string mount_;
  const OriginOptions options_;
};

}  // namespace

Result<std::unique_ptr<Origin>> open_lustre_origin(const std::string& mount, const OriginOptions& options) {
  auto origin = std::make_unique<LustreOrigin>(mount, options);
  TRY(origin->open_tree(nullptr));
  return std::unique_ptr<Origin>(std::move(origin));
}

}  // namespace reel::service
