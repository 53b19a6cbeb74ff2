// SPDX-License-Identifier: Apache-2.0
//
// Options of record and anonymize: what becomes of names.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "reel/result.h"
#include "trace/names/anonymize.h"

namespace reel::cli {

struct AnonymizeChoice {
  std::string key_file, policy;
  bool keep_extensions = false;
};

void add_anonymize_options(CLI::App& verb, AnonymizeChoice& choice, const char* key_option);

// `base`: what holds for fields that --policy does not name. Errors: invalid, io, not_found.
Result<trace::AnonymizeOptions> options_of(const AnonymizeChoice& choice, const trace::Policy& base);

}  // namespace reel::cli
