// SPDX-License-Identifier: Apache-2.0
#include "cli/log/log_lustre.h"

#include <cerrno>
#include <vector>

#include "log/text/lustre_wire.h"
#include "source/lustre/lustre.h"

namespace reel::cli {
namespace {

namespace lustre = source::lustre;

constexpr size_t kBufferSize = 1u << 20;
constexpr int kPollMs = 500;

class MdtReader final : public log::Reader {
 public:
  MdtReader(std::unique_ptr<lustre::ChangelogDevice> device, bool follow)
      : device_(std::move(device)), follow_(follow), buffer_(kBufferSize) {}

  Result<bool> next(Record& record) override {
    while (at_ == end_) {
      if (at_end_) return false;
      TRY_ASSIGN(lustre::ChangelogDevice::Poll poll, device_->poll(follow_ ? 0 : kPollMs));
      if (poll.readable || poll.error || poll.end) TRY(fill());
      if (at_ == end_ && follow_) return false;
    }
    Result<size_t> size = log::decode_lustre(buffer_.data() + at_, end_ - at_, record);
    if (!size) {
      at_ = end_ = 0;
      at_end_ = true;  // where the next record begins is not known
      return std::move(size).error();
    }
    at_ += *size;
    return true;
  }
  uint64_t lost_up_to() const override { return 0; }
  Status seek_time(uint64_t) override {
    return Error(Code::unsupported, "a changelog device cannot be asked for a time");
  }

 private:
  Status fill() {
    at_ = end_ = 0;
    Result<size_t> got = device_->read(buffer_.data(), buffer_.size());
    if (!got && got.error().sys_errno() == EAGAIN) return ok();
    TRY_ASSIGN(end_, std::move(got));
    at_end_ = end_ == 0 && !follow_;
    return ok();
  }

  const std::unique_ptr<lustre::ChangelogDevice> device_;
  const bool follow_;
  std::vector<char> buffer_;
  size_t at_ = 0, end_ = 0;
  bool at_end_ = false;
};

}  // namespace

Result<std::unique_ptr<log::Reader>> open_mdt_reader(const MdtPlace& place) {
  TRY_ASSIGN(lustre::Site site, lustre::open_site(place.mount, {}));
  lustre::Mdt* chosen = nullptr;
  std::string names;
  for (const auto& mdt : site.mdts) {
    names += " " + mdt->name();
    bool named = mdt->name() == place.mdt || mdt->name().ends_with("-" + place.mdt) ||
                 place.mdt == "mdt" + std::to_string(mdt->index());
    if (named || (place.mdt.empty() && site.mdts.size() == 1)) chosen = mdt.get();
  }
  if (!chosen) return Error(Code::invalid, "lustre:" + place.mount + ": choose one with --stream:" + names);
  TRY_ASSIGN(std::unique_ptr<lustre::ChangelogDevice> device, chosen->open_device());
  TRY(device->set_flags(lustre::kNidBe | (place.follow ? lustre::kFollow : 0)));
  if (place.start > 1) TRY(device->seek(place.start));
  return std::unique_ptr<log::Reader>(std::make_unique<MdtReader>(std::move(device), place.follow));
}

}  // namespace reel::cli
