// SPDX-License-Identifier: Apache-2.0
//
// The parts of a trace as records of a log and back (docs/trace-format.md, "Records"). Pure. A
// record made here points into the value it was made of.
#pragma once

#include "reel/trace.h"

namespace reel::trace {

Record record_of(const Event& event);
Record record_of(const Thread& thread);
Record record_of(const FileState& state);
Record record_of(const Loss& loss);
Record record_of(const Count& count);  // its name is to be sizes_text()
std::string sizes_text(const Count& count);
// `name` is "key=value" and has to outlive the record.
Record fact_record(std::string_view name);
Record string_record(StringId id, StringKind kind, std::string_view bytes);

// nullopt: it is not a record of an event.
std::optional<Event> event_of(const Record& record);
Thread thread_of(const Record& record);
FileState file_of(const Record& record);
Loss loss_of(const Record& record);
Count count_of(const Record& record);

uint64_t packed_time(uint64_t ns);
uint64_t nanoseconds_of(uint64_t packed);

}  // namespace reel::trace
