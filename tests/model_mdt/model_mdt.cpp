// SPDX-License-Identifier: Apache-2.0
#include "model_mdt/model_mdt.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace reel::model {

using namespace source::lustre;

namespace {

class ModelDevice final : public ChangelogDevice {
 public:
  ModelDevice(ModelMdt& mdt, ModelLog& log) : mdt_(mdt), log_(log) {}

  Status set_flags(uint32_t flags) override {
    TRY(mdt_.call("set_flags"));
    if (!started_) flags_ = flags;
    return ok();
  }
  Status seek(uint64_t index) override {
    TRY(mdt_.call("seek"));
    if (index < next_) return Error::from_errno(EINVAL, "seek");
    next_ = index;
    while (!queue_.empty() && queue_.front()->index < next_) queue_.pop_front();
    return ok();
  }
  Result<Poll> poll(int) override {
    TRY(mdt_.call("poll"));
    started_ = true;
    prefetch();
    Poll result;
    result.readable = !queue_.empty();
    result.error = failed_ != 0;
    result.end = end_;
    return result;
  }
  // The reader is not blocking: without a poll nothing is read ahead.
  Result<size_t> read(void* to, size_t size) override {
    Status allowed = mdt_.call("read");
    if (!allowed && allowed.error().sys_errno() != EAGAIN && allowed.error().sys_errno() != EINTR)
      failed_ = allowed.error().sys_errno();
    if (!allowed && failed_ == 0) return std::move(allowed).error();
    if (queue_.empty() && failed_ != 0) return Error::from_errno(failed_, "read");
    if (queue_.empty()) return end_ ? Result<size_t>(size_t{0}) : Error::from_errno(EAGAIN, "read");
    std::string bytes;
    while (!queue_.empty() && bytes.size() + queue_.front()->raw.size() <= size) {
      bytes += queue_.front()->raw;
      next_ = queue_.front()->index + 1;
      queue_.pop_front();
    }
    prefetch();
    if (mdt_.tamper) mdt_.tamper(bytes);
    std::memcpy(to, bytes.data(), bytes.size());
    return bytes.size();
  }

 private:
  // The kernel's thread: it goes on where it stopped in the log, and ends at the end unless it follows.
  void prefetch() {
    if (!started_ || end_ || failed_ != 0) return;
    const std::deque<EntryPtr>& entries = log_.entries();
    auto at = std::upper_bound(entries.begin(), entries.end(), seen_,
                               [](uint64_t i, const EntryPtr& e) { return i < e->index; });
    for (; at != entries.end() && queue_.size() < mdt_.prefetch(); ++at) {
      seen_ = (*at)->index;
      if ((*at)->written && !(*at)->lost && (*at)->index >= next_) queue_.push_back(*at);
    }
    if (at == entries.end() && (flags_ & kFollow) == 0) end_ = true;
  }

  ModelMdt& mdt_;
  ModelLog& log_;
  std::deque<EntryPtr> queue_;
  uint64_t next_ = 0, seen_ = 0;
  uint32_t flags_ = 0;
  bool started_ = false, end_ = false;
  int failed_ = 0;
};

}  // namespace

Result<std::unique_ptr<ChangelogDevice>> ModelMdt::open_device() {
  TRY(call("open"));
  return std::unique_ptr<ChangelogDevice>(std::make_unique<ModelDevice>(*this, fs_.log(index_)));
}

Status ModelMdt::clear(uint32_t user_id, uint64_t index) {
  TRY(call("clear"));
  if (index == 0) ++clears_of_zero;
  int error = fs_.log(index_).clear(user_id, index);
  return error == 0
             ? ok()
             : Status(Error::from_errno(error, "clear:cl" + std::to_string(user_id) + ":" + std::to_string(index)));
}

Status ModelMdt::check_user(const MdtUser& user) {
  TRY(call("check_user"));
  bool id = false, name = user.name.empty();
  for (const LogUser& u : fs_.log(index_).users()) {
    bool findable = !u.name.empty() || u.mask;
    if (u.id == user.id && findable) id = true;
    if (u.name == user.name) name = true;
  }
  if (id && name) return ok();
  if (user.name.empty()) return Error(Code::unsupported, "users without name and mask are not found");
  return Error::from_errno(ENOENT, user.text());
}

Result<Fence> ModelMdt::fence() {
  TRY(call("fence"));
  if (!options_.can_fence) return Fence::none;
  // A directory on this MDT is touched: that makes a record like any other.
  std::string path = ".reel/MDT000" + std::to_string(index_);
  if (fs_.lookup(".reel").is_zero()) fs_.mkdir(".reel", 0);
  if (fs_.lookup(path).is_zero()) fs_.mkdir(path, static_cast<int>(index_));
  fence_fid_ = fs_.lookup(path);
  fs_.setattr(path, 0x7);
  fs_.log(index_).write_held();
  fs_.commit();
  return Fence::committed;
}

MdtView ModelMdt::view() {
  MdtView view;
  if (!call("view")) return view;
  const ModelLog& log = fs_.log(index_);
  if (options_.knows_incarnation) view.incarnation = log.incarnation();
  if (!options_.has_view) return view;
  view.current_index = log.current_index();
  view.mask = log.effective_mask();
  view.users.emplace();
  for (const LogUser& u : log.users()) {
    MdtUser user;
    user.id = u.id;
    user.name = u.name;
    user.cleared = u.endrec;
    user.mask = u.mask;
    view.users->push_back(user);
  }
  view.audit = log.audit();
  view.evicted = log.evicted();
  return view;
}

}  // namespace reel::model
