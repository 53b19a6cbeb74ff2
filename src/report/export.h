// SPDX-License-Identifier: Apache-2.0
//
// A trace in the formats of other tools.
#pragma once

#include <functional>
#include <string>

#include "reel/trace.h"

namespace reel::report {

// strace: a line a call, by time of entry, as `strace -f -ttt -T` has them. chrome: JSON for the trace
// viewers of Chrome and Perfetto. fio: an iolog of version 3, its times in microseconds as fio 3.33 takes them
// (reads, writes and syncs of files with a name). csv: a row a call.
enum class Format { strace, chrome, fio, csv };

// Nothing for an unknown name.
bool format_of(const std::string& name, Format& format);

// `put` is given pieces of the output, in order; its error ends the export. The number of reads, writes and syncs that
// the format has no room for: of fio those on files without a name, with one that has blanks or more than 255 bytes,
// and at positions that are not known.
Result<uint64_t> write_as(const trace::Trace& trace, Format format,
                          const std::function<Status(const std::string&)>& put);

}  // namespace reel::report
