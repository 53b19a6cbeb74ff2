// SPDX-License-Identifier: Apache-2.0
//
// lustre:MOUNT: a mounted Lustre, its objects read by FID.
#include "mirror/lustre_tree.h"
#include "service/origin_kinds.h"

namespace reel::service {
namespace {

constexpr unsigned kQuestions = 64;  // with a round trip of 1 ms that is some 60,000 answers a second

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
  Result<std::vector<std::string>> streams() override { return no_records(); }
  Result<std::unique_ptr<Inflow>> fill(const std::string&) override { return no_records(); }
  unsigned questions() const override { return kQuestions; }

 private:
  Error no_records() const {
    return {Code::unsupported, "lustre:" + mount_ + " cannot be followed by this version, only be brought up to date: use --once"};
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
