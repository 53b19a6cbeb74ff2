// SPDX-License-Identifier: Apache-2.0
#include "cli/mirror/filter_options.h"

#include <map>
#include <memory>

#include "mirror/plan/filter.h"

namespace reel::cli {

void FilterOptions::define(CLI::App& verb) {
  auto add = [&](const char* name, std::vector<std::string>& to, const char* help) {
    verb.add_option(name, to, help)
        ->allow_extra_args(false)
        ->type_name("")
        ->group("Filters (rsync's rules; the first match decides)");
  };
  add("--exclude", exclude_, "leave out what matches PATTERN");
  add("--include", include_, "do not leave out what matches PATTERN");
  add("--filter", rule_, "one rule: '- PATTERN', '+ PATTERN', '. FILE', '!'");
  add("--exclude-from", exclude_from_, "patterns from FILE, one a line");
  add("--include-from", include_from_, "patterns from FILE, one a line");
}

Result<mirror::ExcludeFn> FilterOptions::build(const CLI::App& verb, std::string* text) const {
  using Add = Status (mirror::Filter::*)(const std::string&);
  const std::map<std::string, std::pair<const std::vector<std::string>*, Add>> kinds{
      {"--exclude", {&exclude_, &mirror::Filter::exclude}},
      {"--include", {&include_, &mirror::Filter::include}},
      {"--filter", {&rule_, &mirror::Filter::rule}},
      {"--exclude-from", {&exclude_from_, &mirror::Filter::exclude_from}},
      {"--include-from", {&include_from_, &mirror::Filter::include_from}}};
  auto filter = std::make_shared<mirror::Filter>();
  std::map<std::string, size_t> used;
  for (const CLI::Option* option : verb.parse_order()) {
    auto kind = kinds.find(option->get_name());
    if (kind == kinds.end()) continue;
    auto [texts, add] = kind->second;
    size_t at = used[kind->first]++;
    if (at < texts->size()) TRY(((*filter).*add)((*texts)[at]));
  }
  if (text) *text = filter->text();
  if (filter->empty()) return mirror::ExcludeFn();
  return mirror::ExcludeFn([filter](const std::string& path, bool is_dir) {
    return filter->decide(path, is_dir) == mirror::Decision::exclude;
  });
}

}  // namespace reel::cli
