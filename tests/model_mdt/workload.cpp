// SPDX-License-Identifier: Apache-2.0
#include "model_mdt/workload.h"

namespace reel::model {
namespace {

constexpr uint32_t kOpens[] = {0x2, 0x3, 0x42, 0x43, 0xc2, 0x242, 0x402, 0x1, 0x202};
constexpr uint16_t kSets[] = {0x14, 0xe4, 0xc4, 0x7, 0x6, 0xe, 0x200, 0x5, 0x4};
constexpr uint16_t kHsm[] = {0x280, 0x680, 0x0, 0x0, 0x200};
constexpr uint32_t kWrite = 0x2, kReadWrite = 0x3;
constexpr size_t kOpenMax = 6;

}  // namespace

uint64_t Workload::next() {
  random_ += 0x9e3779b97f4a7c15ULL;
  uint64_t z = random_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

// "" or "d2/" or "d0/d1/"
std::string Workload::dir() {
  std::string path;
  for (uint64_t depth = below(3); depth > 0; --depth) path += "d" + std::to_string(below(3)) + "/";
  return path;
}
std::string Workload::any() {
  return dir() + (below(3) == 0 ? "d" : "f") + std::to_string(below(4));
}

void Workload::names() {
  switch (below(10)) {
    case 0:
      fs_.mkdir(dir() + "d" + std::to_string(below(3)), static_cast<int>(below(fs_.mdts())), below(4) == 0 ? 2 : 1);
      break;
    case 1:
      fs_.mkdir(dir() + "d" + std::to_string(below(3)));
      break;
    case 2:
      fs_.symlink(any());
      break;
    case 3:
      fs_.mknod(any(), below(2) == 0);
      break;
    case 4:
      fs_.link(any(), any());
      break;
    case 5:
      fs_.unlink(any());
      break;
    case 6:
      fs_.rmdir(any());
      break;
    case 7:
      if (below(3) == 0) fs_.migrate(dir() + "d" + std::to_string(below(3)), static_cast<unsigned>(below(fs_.mdts())));
      break;
    default:
      fs_.rename(any(), any());
      break;
  }
}

void Workload::objects() {
  switch (below(8)) {
    case 0:
      fs_.setxattr(any(), "user.k" + std::to_string(below(3)));
      break;
    case 1:
      fs_.set_acl(any());
      break;
    case 2:
      fs_.layout(any(), below(3) == 0);
      break;
    case 3:
      hsm(any());
      break;
    case 4:
      fs_.flr(any(), below(2) == 0 ? RecordType::flrw : RecordType::resync);
      break;
    case 5:
      fs_.getxattr(any(), "user.k");
      break;
    case 6:
      fs_.access(any());
      break;
    default:
      fs_.setattr(any(), kSets[below(std::size(kSets))]);
      break;
  }
}

void Workload::hsm(const std::string& path) {
  Handle handle;
  switch (below(4)) {
    case 0:
      if (fs_.open(path, kWrite, handle) == 0) fs_.release(handle);
      break;
    case 1:
      fs_.restore(path);
      break;
    default:
      fs_.hsm(path, kHsm[below(std::size(kHsm))]);
      break;
  }
}

void Workload::handles() {
  if (open_.size() < kOpenMax && below(2) == 0) {
    Handle handle;
    if (below(20) == 0) {
      fs_.open_volatile(static_cast<unsigned>(below(fs_.mdts())), kReadWrite, handle);
      open_.push_back(handle);
    } else if (fs_.open(any(), kOpens[below(std::size(kOpens))], handle) == 0) {
      open_.push_back(handle);
    }
    return;
  }
  if (open_.empty()) return;
  size_t which = below(open_.size());
  if (below(2) == 0 && (open_[which].flags & 0x402) != 0) return fs_.write(open_[which]);
  Who by = fs_.who;
  if (below(4) == 0) by.jobid = "ldlm_bl.0";
  fs_.close(open_[which], by);
  open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(which));
}

void Workload::step() {
  fs_.who.uid = below(3) * 500;
  switch (below(4)) {
    case 0:
      return objects();
    case 1:
      return names();
    default:
      return handles();
  }
}

void Workload::close_all() {
  for (Handle& handle : open_) fs_.close(handle);
  open_.clear();
}

}  // namespace reel::model
