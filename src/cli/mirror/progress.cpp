// SPDX-License-Identifier: Apache-2.0
#include "cli/mirror/progress.h"

#include <algorithm>
#include <cstdio>

#include "service/told/report_text.h"

namespace reel::cli {
namespace {

constexpr std::chrono::seconds kLineEvery(1);   // where lines cannot be rewritten
constexpr std::chrono::seconds kRateWindow(3);  // the rate is that of the last seconds

std::string grouped(uint64_t number) {
  std::string text = std::to_string(number);
  for (size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, ",");
  return text;
}

uint64_t moved(const service::MirrorReport& report) {
  uint64_t bytes = 0;
  for (const service::TargetReport& target : report.targets) bytes += target.bytes_moved + target.bytes_cloned;
  return bytes;
}

}  // namespace

std::string progress_text(const service::MirrorReport& report, uint64_t bytes_per_second) {
  uint64_t seen = 0, planned = 0, applied = 0, compared = 0;
  bool scan_done = true;
  for (const service::TargetReport& target : report.targets) {
    seen += target.entries_seen;
    planned += target.planned;
    compared += target.files_compared;
    applied += std::min(target.applied, target.planned);
    scan_done = scan_done && target.scan_done;
  }
  std::string text = "scanned " + grouped(seen) + (scan_done ? " entries, " : " entries so far, ");
  text += "applied " + grouped(applied) + " of " + grouped(planned) + (scan_done ? " changes" : " known");
  text += ", " + service::bytes_text(moved(report)) + " copied";
  text += ", " + service::bytes_text(bytes_per_second) + "/s";
  return compared == 0 ? text : text + ", " + grouped(compared) + " files compared";
}

uint64_t ProgressLine::rate(uint64_t bytes, Clock::time_point now) {
  moments_.push_back({now, bytes});
  while (moments_.size() > 2 && now - moments_.front().at > kRateWindow) moments_.pop_front();
  double seconds = std::chrono::duration<double>(now - moments_.front().at).count();
  if (seconds <= 0) return 0;
  return static_cast<uint64_t>(static_cast<double>(bytes - moments_.front().bytes) / seconds);
}

void ProgressLine::show(const service::MirrorReport& report) {
  Clock::time_point now = Clock::now();
  uint64_t bytes_per_second = rate(moved(report), now);
  bool due = report.running && !terminal_ ? now - shown_at_ >= kLineEvery : true;
  if (!due) return;
  std::string text = progress_text(report, bytes_per_second);
  if (text == shown_) return;
  shown_at_ = now;
  shown_ = text;
  width_ = std::max(width_, text.size());
  if (terminal_)
    std::fprintf(stderr, "\r%-*s", static_cast<int>(width_), text.c_str());
  else
    std::fprintf(stderr, "%s\n", text.c_str());
}

void ProgressLine::end() {
  if (terminal_ && !shown_.empty()) std::fputc('\n', stderr);
}

}  // namespace reel::cli
