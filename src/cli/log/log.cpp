// SPDX-License-Identifier: Apache-2.0
//
// The verbs that move records: log (print), import, export.
#include "log/log.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <limits>
#include <memory>

#include "base/env.h"
#include "cli/cli.h"
#include "cli/common/key_option.h"
#include "cli/common/output.h"
#include "cli/log/log_lustre.h"
#include "cli/log/log_place.h"
#include "cli/log/log_verbs.h"
#include "cli/trace/export.h"
#include "log/text/lustre_wire.h"
#include "log/text/text.h"
#include "log/text/text_in.h"
#include "trace/import/strace.h"
#include "trace/text.h"

namespace reel::cli {
namespace {

constexpr int kPollMs = 20;

volatile sig_atomic_t interrupted = 0;
void on_interrupt(int) {
  interrupted = 1;
}

// Ctrl-C and SIGTERM end a --follow in good order.
void catch_interrupts() {
  struct sigaction action = {};
  action.sa_handler = on_interrupt;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

// Waits a little for news; false when nobody reads our output any more.
bool wait_for_news() {
  struct pollfd out = {STDOUT_FILENO, 0, 0};
  return ::poll(&out, 1, kPollMs) <= 0 || (out.revents & POLLERR) == 0;
}

using Print = std::function<Status(const Record&, std::string&)>;

Print printer(const std::string& format, const trace::TraceText* texts) {
  if (texts && format != "lustre") {
    bool json = format == "json";
    return [texts, json](const Record& record, std::string& out) {
      json ? texts->append_json(record, out) : texts->append_line(record, out);
      return ok();
    };
  }
  if (format == "lustre") return log::encode_lustre;
  if (format == "json") {
    return [](const Record& record, std::string& out) {
      log::append_json_line(record, out);
      return ok();
    };
  }
  return [](const Record& record, std::string& out) {
    log::append_lfs_line(record, out);
    return ok();
  };
}

struct PrintOptions {
  std::string log, stream, mask = "ALL", user, format = "lfs", key_file;
  bool follow = false, json = false;
  uint64_t start = 1, end = std::numeric_limits<uint64_t>::max();
};

// Prints what is there; then, if wanted, what comes. Damage is told on stderr and gone around.
Status print_records(log::Reader& reader, const PrintOptions& options, uint64_t mask, uint64_t start,
                     trace::TraceText* texts, bool& damaged) {
  Print print = printer(options.json ? "json" : options.format, texts);
  Output output;
  Record record;
  while (!interrupted) {
    Result<bool> got = reader.next(record);
    if (got.is(Code::corrupt)) {
      TRY(output.flush());
      std::fprintf(stderr, "reel: %s\n", got.error().text().c_str());
      damaged = true;
      continue;
    }
    if (!got) return std::move(got).error();
    if (*got && record.index > options.end) break;
    if (!*got) {
      TRY(output.flush());
      if (!options.follow || !wait_for_news()) break;
      continue;
    }
    if (texts) texts->note(record);
    if (record.index < start) continue;
    if (static_cast<uint32_t>(record.type) < 64 ? (mask & mask_bit(record.type)) == 0 : mask != kMaskAll) continue;
    TRY(print(record, output.text()));
    if (options.follow) {
      TRY(output.flush());
    } else {
      TRY(output.maybe_flush());
    }
    if (record.index == options.end) break;
  }
  return output.flush();
}

constexpr std::string_view kLustre = "lustre:";

// What the MDT itself has; nothing is cleared.
Result<int> run_print_mdt(const PrintOptions& options, uint64_t mask) {
  if (!options.user.empty())
    return Error(Code::invalid, "--user goes with a log of reel, not with a device; START says where to begin");
  TRY_ASSIGN(std::unique_ptr<log::Reader> reader,
             open_mdt_reader({options.log.substr(kLustre.size()), options.stream, options.start, options.follow}));
  if (options.follow) catch_interrupts();
  bool damaged = false;
  TRY(print_records(*reader, options, mask, options.start, nullptr, damaged));
  return damaged ? kFileIo : kOk;
}

Result<int> run_print(const PrintOptions& options) {
  Env& env = Env::posix();
  if (options.log.starts_with(kLustre)) {
    TRY_ASSIGN(uint64_t mask, parse_mask(options.mask, kMaskAll));
    return run_print_mdt(options, mask);
  }
  TRY_ASSIGN(std::optional<LogKey> key, key_of(options.key_file));
  TRY_ASSIGN(LogPlace place, find_log(options.log, options.stream));
  TRY_ASSIGN(uint64_t mask, parse_mask(options.mask, kMaskAll));
  uint64_t start = options.start;
  if (!options.user.empty()) {
    TRY_ASSIGN(std::unique_ptr<log::Users> users, log::Users::open(env, place.dir, place.stream));
    TRY_ASSIGN(log::User user, users->find(options.user));
    mask &= user.mask == 0 ? kMaskDefaultLustre | ~kMaskAllLustre : user.mask;
    start = std::max(start, user.cleared + 1);
  }
  // The names in a trace stand before the calls that use them: it is read from its beginning.
  trace::TraceText texts;
  bool is_trace = place.stream == trace::kStream;
  TRY_ASSIGN(std::unique_ptr<log::Reader> reader,
             log::Reader::open(env, place.dir, place.stream, is_trace ? 1 : start, pointer_to(key)));
  if (options.follow) catch_interrupts();
  bool damaged = false;
  TRY(print_records(*reader, options, mask, start, is_trace ? &texts : nullptr, damaged));
  return damaged ? kFileIo : kOk;
}

struct ImportOptions {
  std::string file, log, stream, format, cwd, key_file;
};

// "some/mdt0.nidbe.raw" -> "mdt0": what to call a stream when nobody said.
std::string stream_name_of(const std::string& file) {
  std::string name = file.substr(file.rfind('/') + 1);
  name = name.substr(0, name.find('.'));
  auto odd = [](char c) { return !(::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_'); };
  if (name.empty() || name.size() > 40 || std::find_if(name.begin(), name.end(), odd) != name.end()) return "lustre";
  return name;
}

constexpr size_t kProblemsShown = 20;

// All of a file's lines that cannot be read, as one text.
Error unreadable(const std::string& file, const std::vector<std::string>& problems) {
  std::string text = "import " + file + ": nothing was taken";
  for (size_t i = 0; i < std::min(problems.size(), kProblemsShown); ++i) text += "\n  " + file + ", " + problems[i];
  if (problems.size() > kProblemsShown) text += "\n  and " + std::to_string(problems.size() - kProblemsShown) + " more";
  return {Code::corrupt, text};
}

log::RecordFormat format_of(const std::string& name) {
  if (name == "lfs") return log::RecordFormat::lfs;
  return name == "json" ? log::RecordFormat::json : log::RecordFormat::lustre;
}

// Text of strace: what cannot be read is left out, told, and a loss in the trace.
Result<int> run_import_strace(const ImportOptions& options) {
  Env& env = Env::posix();
  TRY_ASSIGN(std::optional<LogKey> key, key_of(options.key_file));
  TRY_ASSIGN(std::string text, read_file(env, options.file, std::numeric_limits<size_t>::max()));
  if (trace::is_trace(env, options.log))
    return Error(Code::exists, options.log + " holds a trace already; name another directory");
  TRY_ASSIGN(std::unique_ptr<trace::Writer> writer, trace::Writer::open(env, options.log, pointer_to(key)));
  Result<trace::StraceImported> imported = trace::import_strace(*writer, text, {options.cwd});
  if (!imported) return std::move(imported).error().with("import " + options.file);
  TRY(writer->commit());
  const std::vector<std::string>& problems = imported->problems;
  for (size_t i = 0; i < std::min(problems.size(), kProblemsShown); ++i)
    std::fprintf(stderr, "reel: %s, %s\n", options.file.c_str(), problems[i].c_str());
  if (problems.size() > kProblemsShown)
    std::fprintf(stderr, "reel: and %zu lines more that were not understood\n", problems.size() - kProblemsShown);
  std::fprintf(stderr, "reel: imported %llu calls into %s; %zu lines were not understood\n",
               static_cast<unsigned long long>(imported->calls), options.log.c_str(), problems.size());
  return problems.empty() ? kOk : kPartial;
}

Result<int> run_import(const ImportOptions& options) {
  if (options.log.empty()) return Error(Code::invalid, "import: name the log, as second argument or with -o");
  if (options.format == "strace") return run_import_strace(options);
  Env& env = Env::posix();
  TRY_ASSIGN(std::string bytes, read_file(env, options.file, std::numeric_limits<size_t>::max()));
  log::RecordFormat format = format_of(options.format);
  // All of it must be good before any of it is taken.
  std::vector<std::string> problems;
  TRY(log::each_record(
      format, bytes, [](const Record&) { return ok(); }, problems));
  if (!problems.empty()) return unreadable(options.file, problems);
  TRY_ASSIGN(LogPlace place, find_or_name_log(options.log, options.stream, stream_name_of(options.file)));
  TRY_ASSIGN(std::unique_ptr<log::Writer> writer, log::Writer::open(env, place.dir, place.stream));
  uint64_t before = writer->last_index(), count = 0;
  auto take = [&](const Record& record) -> Status {
    ++count;
    TRY(writer->append(record));
    return ok();
  };
  Status taken = log::each_record(format, bytes, take, problems);
  if (!taken) {
    return std::move(taken).error().with("import " + options.file + " into stream " + place.stream +
                                         ", which has records up to " + std::to_string(before) + " already");
  }
  TRY(writer->commit());
  std::fprintf(stderr, "reel: imported %llu records into stream %s of %s\n", static_cast<unsigned long long>(count),
               place.stream.c_str(), place.dir.c_str());
  return kOk;
}

void define_log(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<PrintOptions>();
  CLI::App* verb = app.add_subcommand("log", "print the records of a log as `lfs changelog` does");
  verb->add_option("LOG", options->log, "log directory, a state directory of reel, or lustre:MOUNT")->required();
  verb->add_option("START", options->start, "first index");
  verb->add_option("END", options->end, "last index");
  verb->add_flag("--follow,-f", options->follow, "go on with what comes, until Ctrl-C");
  verb->add_option("--mask", options->mask, "record types to print: CREAT,UNLNK or ALL or DEFAULT or -CLOSE ...");
  verb->add_option("--user", options->user, "what this registered user has not cleared, by its mask");
  verb->add_option("--stream", options->stream, "which stream, when there are several");
  verb->add_flag("--json", options->json, "one JSON object a line");
  add_key_option(*verb, options->key_file);
  verb->callback([options, &exit_code] { exit_code = code_of(run_print(*options)); });
}

void define_import(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ImportOptions>();
  CLI::App* verb = app.add_subcommand("import", "put records from a file into a log");
  verb->add_option("FILE", options->file)->required();
  CLI::Option* log = verb->add_option("LOG", options->log, "log directory; made when it is not there");
  verb->add_option("-o,--output", options->log, "the same")->excludes(log);
  verb->add_option("--format", options->format,
                   "lustre (raw bytes of a changelog device), lfs (text of `lfs changelog`), json, or strace (text of "
                   "strace -f -ttt -T -y)")
      ->required()
      ->check(CLI::IsMember({"lustre", "lfs", "json", "strace"}));
  add_key_option(*verb, options->key_file);
  verb->add_option("--cwd", options->cwd, "strace: the first process's directory, where no line tells it");
  verb->add_option("--stream", options->stream, "which stream (default: the only one, or named after FILE)");
  verb->callback([options, &exit_code] { exit_code = code_of(run_import(*options)); });
}

void define_export(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<PrintOptions>();
  CLI::App* verb = app.add_subcommand("export", "write the records of a log to standard output");
  verb->add_option("LOG", options->log, "log directory, or a state directory of reel")->required();
  verb->add_option("START", options->start, "first index");
  verb->add_option("END", options->end, "last index");
  verb->add_option("--format", options->format,
                   "lustre (raw bytes), lfs (text) or json; of traces also strace, chrome, fio (iolog) or csv")
      ->required()
      ->check(CLI::IsMember({"lustre", "lfs", "json", "strace", "chrome", "fio", "csv"}));
  verb->add_option("--mask", options->mask, "record types to export");
  add_key_option(*verb, options->key_file);
  verb->add_option("--stream", options->stream, "which stream, when there are several");
  verb->callback([options, &exit_code] {
    bool of_trace = is_trace_format(options->format);
    exit_code =
        code_of(of_trace ? export_trace(options->log, options->format, options->key_file) : run_print(*options));
  });
}

}  // namespace

void define_log_verbs(CLI::App& app, int& exit_code) {
  define_log(app, exit_code);
  define_user_verbs(app, exit_code);
  define_import(app, exit_code);
  define_export(app, exit_code);
}

}  // namespace reel::cli
