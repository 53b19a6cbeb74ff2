// SPDX-License-Identifier: Apache-2.0
//
// Reading a stopped process's memory.
#include "trace/ptrace/memory.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <algorithm>

#include "base/codec.h"
#include "trace/statx_object.h"

namespace reel::trace {
namespace {

constexpr size_t kPage = 4096;

size_t read_memory(int32_t tid, uint64_t address, void* to, size_t size) {
  struct iovec local = {to, size};
  struct iovec remote = {reinterpret_cast<void*>(address), size};
  ssize_t got = ::process_vm_readv(tid, &local, 1, &remote, 1, 0);
  return got > 0 ? static_cast<size_t>(got) : 0;
}

// Up to its NUL; page by page, for the next page may not be there.
std::string read_text(int32_t tid, uint64_t address, size_t limit) {
  std::string text;
  while (address != 0 && text.size() < limit) {
    char bytes[kPage];
    size_t size = std::min(kPage - address % kPage, limit - text.size());
    size_t got = read_memory(tid, address, bytes, size);
    size_t used = strnlen(bytes, got);
    text.append(bytes, used);
    if (used < got || got < size) break;
    address += got;
  }
  return text;
}

std::string read_arguments(int32_t tid, uint64_t list) {
  std::string all;
  for (uint64_t pointer = 0; list != 0 && all.size() < wire::kMaxArguments; list += 8) {
    if (read_memory(tid, list, &pointer, sizeof pointer) != sizeof pointer || pointer == 0) break;
    std::string one = read_text(tid, pointer, wire::kMaxArguments);
    if (all.size() + one.size() + 1 > wire::kMaxArguments) break;
    all += one;
    all += '\0';
  }
  return all;
}

uint64_t vector_bytes(int32_t tid, uint64_t address, uint64_t count) {
  struct iovec parts[64];
  uint64_t bytes = 0;
  for (uint64_t at = 0; at < count && at < 1024;) {
    size_t some = std::min<uint64_t>(64, count - at);
    if (read_memory(tid, address + at * sizeof *parts, parts, some * sizeof *parts) != some * sizeof *parts) break;
    for (size_t i = 0; i < some; ++i) bytes += parts[i].iov_len;
    at += some;
  }
  return bytes;
}

// wire::AioRequest for each of the control blocks that an array points to.
std::string read_aio_requests(int32_t tid, uint64_t list, uint64_t count) {
  std::string all;
  for (uint64_t i = 0; i < std::min<uint64_t>(count, wire::kMaxAio); ++i) {
    wire::AioRequest request;
    if (read_memory(tid, list + 8 * i, &request.address, 8) != 8) break;
    if (read_memory(tid, request.address, request.block, sizeof request.block) != sizeof request.block) break;
    all.append(reinterpret_cast<const char*>(&request), sizeof request);
  }
  return all;
}

std::string read_aio_results(int32_t tid, uint64_t list, int64_t count) {
  std::string all(static_cast<size_t>(std::clamp<int64_t>(count, 0, 65536)) * wire::kIoEventBytes, '\0');
  all.resize(read_memory(tid, list, all.data(), all.size()));
  return all;
}

void fetch_blob(int32_t tid, FetchedCall& call) {
  const CallShape& shape = *call.shape;
  uint64_t address = call.arguments[shape.blob];
  call.has_blob = address != 0 && read_memory(tid, address, call.blob, shape.blob_size) == shape.blob_size;
}

}  // namespace

void fetch_before(int32_t tid, FetchedCall& call) {
  const CallShape& shape = *call.shape;
  if (shape.path >= 0) call.path = read_text(tid, call.arguments[shape.path] + shape.path_at, wire::kMaxPath);
  if (shape.path2 >= 0) call.path2 = read_text(tid, call.arguments[shape.path2], wire::kMaxPath);
  if (shape.blob >= 0 && !shape.blob_after) fetch_blob(tid, call);
  if (shape.blob2 >= 0)
    call.has_blob2 = read_memory(tid, call.arguments[shape.blob2], &call.blob2, sizeof call.blob2) == sizeof call.blob2;
  if (shape.vector >= 0)
    call.vector_bytes = vector_bytes(tid, call.arguments[shape.vector], call.arguments[shape.vector + 1]);
  if (shape.aio == Aio::requests) call.aio = read_aio_requests(tid, call.arguments[2], call.arguments[1]);
  if (shape.arguments >= 0) call.argv = read_arguments(tid, call.arguments[shape.arguments]);
}

void fetch_after(int32_t tid, FetchedCall& call) {
  if (call.shape->blob >= 0 && call.shape->blob_after) fetch_blob(tid, call);
  if (call.shape->aio == Aio::results) call.aio = read_aio_results(tid, call.arguments[3], call.result);
}

wire::Object look_as(int32_t tid, int32_t dirfd, const std::string& path, bool follow) {
  std::string base = "/proc/" + std::to_string(tid);
  std::string whole = path.starts_with('/') ? base + "/root" + path
                      : dirfd == AT_FDCWD   ? base + "/cwd/" + path
                                            : base + "/fd/" + std::to_string(dirfd) + "/" + path;
  struct statx x;
  int flags = AT_NO_AUTOMOUNT | (follow ? 0 : AT_SYMLINK_NOFOLLOW);
  if (::statx(AT_FDCWD, whole.c_str(), flags, STATX_BASIC_STATS | STATX_BTIME, &x) != 0) return {};
  return object_of(x);
}

std::optional<wire::Object> look_at_fd(int32_t tid, int32_t fd) {
  std::string link = "/proc/" + std::to_string(tid) + "/fd/" + std::to_string(fd);
  struct statx x;
  if (::statx(AT_FDCWD, link.c_str(), AT_NO_AUTOMOUNT, STATX_BASIC_STATS | STATX_BTIME, &x) != 0) return std::nullopt;
  return object_of(x);
}

}  // namespace reel::trace
