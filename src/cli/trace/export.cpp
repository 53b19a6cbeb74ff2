// SPDX-License-Identifier: Apache-2.0
//
// See export.h.
#include "cli/trace/export.h"

#include <cstdio>

#include "base/env.h"
#include "cli/cli.h"
#include "cli/common/key_option.h"
#include "cli/common/output.h"
#include "report/export.h"

namespace reel::cli {

bool is_trace_format(const std::string& format) {
  report::Format known;
  return report::format_of(format, known);
}

Result<int> export_trace(const std::string& log, const std::string& format, const std::string& key_file) {
  TRY_ASSIGN(std::optional<LogKey> key, key_of(key_file));
  report::Format known = report::Format::strace;
  report::format_of(format, known);
  TRY_ASSIGN(trace::Trace trace, trace::load(Env::posix(), log, pointer_to(key)));
  Output output;
  auto put = [&output](const std::string& text) {
    output.text() += text;
    return output.maybe_flush();
  };
  TRY_ASSIGN(uint64_t left_out, report::write_as(trace, known, put));
  TRY(output.flush());
  if (left_out != 0)
    std::fprintf(stderr, "reel: %llu reads, writes and syncs have no place in this format\n",
                 static_cast<unsigned long long>(left_out));
  if (!trace.counts.empty())
    std::fprintf(stderr, "reel: calls that the trace only counted are not in it; reel report has them\n");
  for (const std::string& reason : trace.incomplete()) std::fprintf(stderr, "reel: incomplete: %s\n", reason.c_str());
  return trace.damaged ? kFileIo : kOk;
}

}  // namespace reel::cli
