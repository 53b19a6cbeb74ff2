// SPDX-License-Identifier: Apache-2.0
//
// Policies as text.
#include "trace/names/policy.h"

#include <algorithm>

namespace reel::trace {
namespace {

struct Field {
  const char* name;
  Treat Policy::*member;
};

constexpr Field kFields[] = {{"paths", &Policy::paths},   {"args", &Policy::args}, {"programs", &Policy::programs},
                             {"xattrs", &Policy::xattrs}, {"uid", &Policy::ids},   {"host", &Policy::host}};

constexpr const char* kTreats[] = {"keep", "hash", "extension", "drop"};

Error wrong(std::string_view part) {
  return Error(Code::invalid,
               "policy '" + std::string(part) +
                   "': write FIELD=WHAT,... with the fields paths, args, programs, xattrs, uid, host, env "
                   "and keep, hash, drop; paths=extension; uid=map; env=drop");
}

Status apply(std::string_view part, Policy& policy) {
  size_t equals = part.find('=');
  if (equals == std::string_view::npos) return wrong(part);
  std::string_view name = part.substr(0, equals), what = part.substr(equals + 1);
  if (name == "env") return what == "drop" ? ok() : Status(wrong(part));
  if (name == "user") name = "uid";
  if (name == "uid" && what == "map") what = "hash";
  for (const Field& field : kFields) {
    if (name != field.name) continue;
    for (size_t i = 0; i < std::size(kTreats); ++i) {
      if (what != kTreats[i]) continue;
      auto treat = static_cast<Treat>(i);
      if (treat == Treat::extension && field.member != &Policy::paths) break;
      policy.*field.member = treat;
      return ok();
    }
  }
  return wrong(part);
}

}  // namespace

Policy Policy::nobody() {
  Policy policy;
  for (const Field& field : kFields) policy.*field.member = Treat::hash;
  return policy;
}

std::string Policy::text() const {
  std::string text;
  for (const Field& field : kFields)
    text += std::string(text.empty() ? "" : ",") + field.name + "=" + kTreats[static_cast<size_t>(this->*field.member)];
  return text;
}

Result<Policy> parse_policy(std::string_view text, const Policy& base) {
  Policy policy = base;
  for (size_t at = 0; at <= text.size();) {
    size_t comma = std::min(text.find(',', at), text.size());
    TRY(apply(text.substr(at, comma - at), policy));
    at = comma + 1;
  }
  return policy;
}

}  // namespace reel::trace
