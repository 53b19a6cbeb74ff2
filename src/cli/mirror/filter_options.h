// SPDX-License-Identifier: Apache-2.0
//
// --exclude, --include, --filter, --exclude-from, --include-from: the same for every verb that has
// them, and in the order in which they were given.
#pragma once

#include <CLI/CLI.hpp>

#include "mirror/plan/survey.h"
#include "reel/result.h"

namespace reel::cli {

class FilterOptions {
 public:
  void define(CLI::App& verb);
  // After parsing. An empty function when no rule was given; `text`, if wanted, is the same for the same
  // rules. Errors: invalid (bad rule), io.
  Result<mirror::ExcludeFn> build(const CLI::App& verb, std::string* text = nullptr) const;

 private:
  std::vector<std::string> exclude_, include_, rule_, exclude_from_, include_from_;
};

}  // namespace reel::cli
