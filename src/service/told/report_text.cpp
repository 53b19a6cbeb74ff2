// SPDX-License-Identifier: Apache-2.0
#include "service/told/report_text.h"

#include <fmt/format.h>

#include <ctime>
#include <nlohmann/json.hpp>

namespace reel::service {
namespace {

using nlohmann::json;

std::string when(int64_t seconds) {
  if (seconds == 0) return "never";
  std::time_t time = seconds;
  std::tm parts{};
  ::localtime_r(&time, &parts);
  char text[40];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
  return text;
}

json streams_json(const mirror::Progress& progress) {
  json streams = json::object();
  for (const auto& [stream, index] : progress.cursor.streams())
    streams[stream] = {{"cursor", index}, {"durable", progress.durable.at(stream)}};
  return streams;
}

json target_json(const TargetReport& target, int64_t now_s) {
  const mirror::Progress& progress = target.progress;
  int64_t record_s = static_cast<int64_t>(time_seconds(progress.cursor_time));
  bool behind = !progress.settled && target.backlog > 0 && record_s > 0;
  return {{"path", target.path},
          {"phase", progress.phase},
          {"settled", progress.settled},
          {"last_settle", progress.settled_s},
          {"lag_seconds", behind ? std::max<int64_t>(0, now_s - record_s) : 0},
          {"backlog_records", target.backlog},
          {"cursor", progress.cursor.total()},
          {"durable", progress.durable.total()},
          {"streams", streams_json(progress)},
          {"directories_to_scan", progress.scans_pending},
          {"retries_pending", progress.retries_pending},
          {"parked", progress.parked},
          {"troubles", progress.troubles},
          {"trouble_list", target.troubles},
          {"problem", progress.problem},
          {"records", target.records},
          {"lookups", target.lookups},
          {"layouts_lost", target.layouts_lost},
          {"batches", target.batches},
          {"directories_scanned", target.scanned},
          {"created", target.created},
          {"removed", target.removed},
          {"renames", target.renames},
          {"links", target.links},
          {"attributes", target.attributes},
          {"files_copied", target.files_copied},
          {"files_compared", target.files_compared},
          {"bytes_copied", target.bytes_copied},
          {"bytes_cloned", target.bytes_cloned}};
}

std::string target_text(const json& target) {
  std::string text = fmt::format("target  {}\n", target.value("path", ""));
  std::string state = target.value("settled", false) ? "in sync" : target.value("phase", "");
  if (target.value("troubles", 0) > 0) state += fmt::format(", but {} in trouble", target.value("troubles", 0));
  text += fmt::format("  state       {}\n", state);
  if (!target.value("problem", "").empty()) text += fmt::format("  problem     {}\n", target.value("problem", ""));
  text += fmt::format("  last settle {}\n", when(target.value("last_settle", int64_t{0})));
  text += fmt::format("  lag         {} s, {} records behind", target.value("lag_seconds", 0),
                      target.value("backlog_records", 0));
  if (target.value("directories_to_scan", 0) > 0) text += ", scanning";
  text += fmt::format("\n  applied     {} records: {} created, {} removed, {} moved, {} linked\n",
                      target.value("records", 0), target.value("created", 0), target.value("removed", 0),
                      target.value("renames", 0), target.value("links", 0));
  text += fmt::format("  copied      {} files, {}; {} more shared with the source\n", target.value("files_copied", 0),
                      bytes_text(target.value("bytes_copied", uint64_t{0})),
                      bytes_text(target.value("bytes_cloned", uint64_t{0})));
  if (uint64_t lost = target.value("layouts_lost", uint64_t{0}))
    text += fmt::format("  layouts     {} with the target's default striping, not the source's\n", lost);
  for (const json& trouble : target.value("trouble_list", json::array()))
    text += "  trouble     " + trouble.get<std::string>() + "\n";
  return text;
}

}  // namespace

std::string bytes_text(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string report_json(const MirrorReport& report) {
  json targets = json::array();
  uint64_t bytes = 0;
  uint64_t renames = 0;
  uint64_t troubles = 0;
  bool settled = true;
  for (const TargetReport& target : report.targets) {
    targets.push_back(target_json(target, report.now_s));
    bytes += target.bytes_copied;
    renames += target.renames;
    troubles += target.progress.troubles;
    settled = settled && target.progress.settled;
  }
  json all{{"source", report.source},
           {"state", report.state_dir},
           {"running", report.running},
           {"time", report.now_s},
           {"log_index", report.log_end.total()},
           {"settled", settled},
           {"bytes_copied_total", bytes},
           {"renames", renames},
           {"troubles", troubles},
           {"targets", targets}};
  return all.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<std::string> status_text(const std::string& text) {
  json all = json::parse(text, nullptr, false);
  if (!all.is_object()) return Error(Code::corrupt, "the status cannot be read");
  std::string out = fmt::format(
      "source  {}\nstate   {}{}\n", all.value("source", ""), all.value("state", ""),
      all.value("running", false) ? "" : "  (no reel is running; as of " + when(all.value("time", int64_t{0})) + ")");
  for (const json& target : all.value("targets", json::array())) out += target_text(target);
  return out;
}

std::string stats_text(const MirrorReport& report) {
  std::string text;
  for (const TargetReport& t : report.targets)
    text += fmt::format(
        "target {}\n  directories scanned {}\n  created {}, removed {}, moved {}, linked {}, attributes only {}\n"
        "  files copied {} ({}), compared and equal {}, shared {}\n  records {}, batches {}, lookups {}{}\n",
        t.path, t.scanned, t.created, t.removed, t.renames, t.links, t.attributes, t.files_copied,
        bytes_text(t.bytes_copied), t.files_compared, bytes_text(t.bytes_cloned), t.records, t.batches, t.lookups,
        t.records ? fmt::format(" ({:.2f} a record)", static_cast<double>(t.lookups) / static_cast<double>(t.records))
                  : "");
  for (const TargetReport& t : report.targets)
    if (t.layouts_lost)
      text += fmt::format("target {}\n  layouts lost {}: striped as the target's default, not as the source\n", t.path,
                          t.layouts_lost);
  return text;
}

}  // namespace reel::service
