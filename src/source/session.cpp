// SPDX-License-Identifier: Apache-2.0
#include "source/session.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace reel::source {
namespace {

constexpr uint64_t kMagic = 0x6c6f486c65655231;  // "1ReelHol"
constexpr uint32_t kVersion = 1;                 // of Session::Head and of the marks in the group
constexpr size_t kPage = 4096;

}  // namespace

struct Session::Head {
  uint64_t magic;
  uint32_t version;
  std::atomic<uint32_t> established;
  std::atomic<uint32_t> owes_gap;
  std::atomic<uint32_t> muted_count;
  std::atomic<uint64_t> flushed_index;
  Fid muted[kMutedMax];
};

namespace {

constexpr size_t kHeadBytes = 80u << 10;
constexpr size_t kMapBytes = kHeadBytes + Session::kReadBytes + kPage;

}  // namespace

Session::Session(Session&& other) noexcept {
  *this = std::move(other);
}

Session& Session::operator=(Session&& other) noexcept {
  fd_ = std::move(other.fd_);
  std::swap(head_, other.head_);
  std::swap(buffer_, other.buffer_);
  return *this;
}

Session::~Session() {
  if (head_) ::munmap(static_cast<void*>(head_), kMapBytes);
}

Result<Session> Session::create() {
  static_assert(sizeof(Head) <= kHeadBytes);
  Fd memfd(::memfd_create("reel-session", MFD_CLOEXEC));
  if (!memfd) return Error::from_errno(errno, "memfd_create");
  if (::ftruncate(memfd.get(), kMapBytes) != 0) return Error::from_errno(errno, "ftruncate of a memfd");
  TRY_ASSIGN(Session session, Session().mapped(std::move(memfd)));
  session.head_->version = kVersion;
  session.head_->magic = kMagic;
  return session;
}

Result<Session> Session::adopt(Fd memfd) {
  struct stat st;
  if (::fstat(memfd.get(), &st) != 0) return Error::from_errno(errno, "fstat of a memfd");
  if (st.st_size != static_cast<off_t>(kMapBytes)) return Error(Code::conflict, "a session of another size");
  TRY_ASSIGN(Session session, Session().mapped(std::move(memfd)));
  if (session.head_->magic != kMagic || session.head_->version != kVersion || session.head_->muted_count > kMutedMax)
    return Error(Code::conflict, "a session of another version");
  return session;
}

Result<Session> Session::mapped(Fd memfd) {
  void* at = ::mmap(nullptr, kMapBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, memfd.get(), 0);
  if (at == MAP_FAILED) return Error::from_errno(errno, "mmap of a memfd");
  // A page fault inside read(2) could fail when the process is being killed, and the event that was
  // being copied would be lost: keep the pages present. Without the right to lock them it is only
  // less likely that they are.
  (void)::mlock(at, kMapBytes);
  fd_ = std::move(memfd);
  head_ = static_cast<Head*>(at);
  buffer_ = static_cast<unsigned char*>(at) + kHeadBytes;
  return std::move(*this);
}

void Session::clear_buffer(size_t used) {
  // First the word that says that there is an event, then the rest: a kill in between leaves an empty
  // buffer with rubbish behind the zero, which the next clear_buffer(kReadBytes) removes.
  std::atomic_ref<uint32_t>(*reinterpret_cast<uint32_t*>(buffer_)).store(0);
  std::memset(buffer_, 0, used);
}

bool Session::established() const {
  return head_->established != 0;
}
void Session::set_established() {
  head_->established = 1;
}
uint64_t Session::flushed_index() const {
  return head_->flushed_index;
}
void Session::set_flushed_index(uint64_t index) {
  head_->flushed_index = index;
}
bool Session::owes_gap() const {
  return head_->owes_gap != 0;
}
void Session::set_owes_gap(bool owed) {
  head_->owes_gap = owed ? 1 : 0;
}

std::span<const Fid> Session::muted() const {
  return {head_->muted, head_->muted_count};
}

bool Session::add_muted(const Fid& fid) {
  uint32_t count = head_->muted_count;
  if (count == kMutedMax) return false;
  head_->muted[count] = fid;
  head_->muted_count = count + 1;
  return true;
}

void Session::clear_muted() {
  head_->muted_count = 0;
}

}  // namespace reel::source
