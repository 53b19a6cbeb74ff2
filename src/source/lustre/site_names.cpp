// SPDX-License-Identifier: Apache-2.0
#include "source/lustre/site_names.h"

#include <charconv>

namespace reel::source::lustre {

std::string fsname_of(const std::string& mounted) {
  size_t colon = mounted.find(":/");  // a nid may have colons of its own, but none before a slash
  if (colon == std::string::npos) return "";
  size_t begin = colon + 2;
  return mounted.substr(begin, std::min(mounted.find('/', begin), mounted.size()) - begin);
}

std::map<unsigned, std::string> mdts_of(const std::string& fsname, const std::vector<std::string>& nodes) {
  constexpr size_t kDigits = 4;
  std::map<unsigned, std::string> mdts;
  const std::string head = "changelog-" + fsname + "-MDT";
  for (const std::string& node : nodes) {
    if (!node.starts_with(head) || node.size() != head.size() + kDigits) continue;
    unsigned index = 0;
    const char* end = node.data() + node.size();
    auto [at, error] = std::from_chars(end - kDigits, end, index, 16);
    if (error == std::errc() && at == end) mdts[index] = node.substr(sizeof "changelog-" - 1);
  }
  return mdts;
}

}  // namespace reel::source::lustre
