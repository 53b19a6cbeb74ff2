// SPDX-License-Identifier: Apache-2.0
//
// The program that record_cost.py records: the same small call over and over on one file, timed
// from inside, so that no start of anything is in the figure. Prints nanoseconds per call.
//   record_calls FILE pread|pwrite COUNT [BYTES]      (4096 bytes; COUNT calls in 20 parts, the
//   median one is told)
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

constexpr off_t kFileBytes = 16 << 20;
constexpr int kParts = 20;

double now_ns() {
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: record_calls FILE pread|pwrite COUNT [BYTES]\n");
    return 1;
  }
  bool writes = std::string(argv[2]) == "pwrite";
  int count = std::max(kParts, std::atoi(argv[3])) / kParts;
  size_t bytes = argc > 4 ? static_cast<size_t>(std::atol(argv[4])) : 4096;
  std::vector<char> block(bytes, 'x');
  int fd = ::open(argv[1], O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  for (off_t at = 0; at < kFileBytes; at += static_cast<off_t>(bytes))
    if (::pwrite(fd, block.data(), bytes, at) < 0) return 2;

  std::vector<double> parts;
  off_t at = 0;
  for (int part = 0; part < kParts; ++part) {
    double start = now_ns();
    for (int i = 0; i < count; ++i) {
      ssize_t done = writes ? ::pwrite(fd, block.data(), bytes, at) : ::pread(fd, block.data(), bytes, at);
      if (done < 0) return 2;
      at = (at + static_cast<off_t>(bytes)) % kFileBytes;
    }
    parts.push_back((now_ns() - start) / count);
  }
  std::sort(parts.begin(), parts.end());
  std::printf("%.1f\n", parts[parts.size() / 2]);
  return 0;
}
