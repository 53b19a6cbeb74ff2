// SPDX-License-Identifier: Apache-2.0
#include "base/kill_point.h"

#ifdef REEL_ASSERTIONS
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>

namespace reel {
namespace {

struct Wanted {
  std::string name;
  long passages = 0;
};

Wanted wanted_from_environment() {
  const char* text = std::getenv("REEL_KILL_POINT");
  if (!text) return {};
  const char* colon = std::strchr(text, ':');
  if (!colon) return {text, 1};
  return {std::string(text, colon), std::atol(colon + 1)};
}

}  // namespace

void kill_point(const char* name) {
  static const Wanted wanted = wanted_from_environment();
  static std::atomic<long> left{wanted.passages};
  if (wanted.passages <= 0 || wanted.name != name) return;
  if (--left == 0) std::raise(SIGKILL);
}

uint64_t tuned(const char* name, uint64_t usual) {
  const char* text = std::getenv((std::string("REEL_TUNE_") + name).c_str());
  return text ? std::strtoull(text, nullptr, 10) : usual;
}

}  // namespace reel
#endif
