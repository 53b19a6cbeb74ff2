// SPDX-License-Identifier: Apache-2.0
//
// Standard output of the verbs that print a lot: buffered, every write checked. When the reader has
// gone (`| head`) the verb ends quietly.
#pragma once

#include <string>

#include "reel/result.h"

namespace reel::cli {

class Output {
 public:
  // Text to print is appended here.
  std::string& text() { return text_; }
  // Writes when much has gathered; flush() writes all there is.
  Status maybe_flush() { return text_.size() < kEnough ? ok() : flush(); }
  Status flush();

 private:
  static constexpr size_t kEnough = 64u << 10;
  std::string text_;
};

// The error of an Output whose reader has gone.
bool is_closed_output(const Error& error);

}  // namespace reel::cli
