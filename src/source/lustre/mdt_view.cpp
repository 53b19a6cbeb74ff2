// SPDX-License-Identifier: Apache-2.0
#include "source/lustre/mdt_view.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <sstream>

#include "reel/record.h"
#include "source/lustre/lustre.h"

namespace reel::source::lustre {
namespace {

template <class T>
bool whole_number(std::string_view text, T& value) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return !text.empty() && error == std::errc() && end == text.data() + text.size();
}

std::string trimmed(const std::string& text) {
  size_t begin = text.find_first_not_of(" \t\r"), end = text.find_last_not_of(" \t\r");
  return begin == std::string::npos ? "" : text.substr(begin, end - begin + 1);
}

// "cl3" or "cl3-name"
bool parse_full_name(const std::string& text, MdtUser& user) {
  if (!text.starts_with("cl")) return false;
  size_t dash = std::min(text.find('-'), text.size());
  user.name = dash < text.size() ? text.substr(dash + 1) : "";
  return whole_number(std::string_view(text).substr(2, dash - 2), user.id) && user.id != 0 &&
         (dash == text.size() || !user.name.empty());
}

// "cl4-other      6 (12) mask=MARK,CREAT"
bool parse_user_line(const std::string& line, MdtUser& user) {
  std::istringstream words(line);
  std::string full, index, word;
  if (!(words >> full >> index) || !parse_full_name(full, user) || !whole_number(index, user.cleared)) return false;
  while (words >> word) {
    if (!word.starts_with("mask=")) continue;
    Result<uint64_t> mask = parse_mask(word.substr(5), 0);
    if (!mask) return false;
    user.mask = *mask;
  }
  return true;
}

class ViewParser {
 public:
  explicit ViewParser(const std::string& mdt) : mdt_(mdt) {}

  void line(const std::string& text) {
    size_t equals = text.find('=');
    size_t blank = text.find_first_of(" \t");
    bool begins =
        equals != std::string::npos && (blank == std::string::npos || equals < blank) && text.find('.') < equals;
    if (begins) {
      name_ = text.substr(0, equals);
      value(trimmed(text.substr(equals + 1)));
    } else {
      value(trimmed(text));
    }
  }
  MdtView finish() {
    if (nodemap_active_ && !*nodemap_active_) view_.audit = true;  // without nodemaps all are logged
    if (!recovered_) view_.evicted.reset();
    if (users_bad_) view_.users.reset();
    return std::move(view_);
  }

 private:
  void value(const std::string& text) {
    if (name_ == "mdd." + mdt_ + ".changelog_users")
      users(text);
    else if (name_ == "mdd." + mdt_ + ".changelog_current_mask")
      mask(text);
    else if (name_ == "mdt." + mdt_ + ".recovery_status")
      recovery(text);
    else if (name_ == "nodemap.active")
      nodemap_active_ = text != "0";
    else if (name_.starts_with("nodemap.") && name_.ends_with(".audit_mode"))
      audit(text);
    else if (name_.starts_with("mdc." + mdt_ + "-mdc-") && name_.ends_with(".import"))
      import(text);
  }
  void users(const std::string& text) {
    if (text.empty() || text.starts_with("ID ")) return;
    size_t colon = text.find(':');
    if (text.starts_with("current") && colon != std::string::npos) {
      uint64_t index = 0;
      if (whole_number(trimmed(text.substr(colon + 1)), index)) view_.current_index = index;
      if (!view_.users) view_.users.emplace();
      return;
    }
    MdtUser user;
    if (view_.users && parse_user_line(text, user))
      view_.users->push_back(user);
    else
      users_bad_ = true;
  }
  void mask(const std::string& text) {
    if (text.empty()) return;
    Result<uint64_t> mask = parse_mask(text, 0);
    if (mask) view_.mask = *mask;
  }
  void audit(const std::string& text) {
    if (text != "0" && text != "1") return;
    view_.audit = view_.audit.value_or(true) && text == "1";
  }
  void recovery(const std::string& text) {
    uint64_t number = 0;
    if (text.starts_with("status:")) recovered_ = text.ends_with("COMPLETE");
    if (text.starts_with("evicted_clients:") && whole_number(trimmed(text.substr(16)), number)) view_.evicted = number;
  }
  void import(const std::string& text) {
    uint64_t number = 0;
    if (text.starts_with("instance:") && whole_number(trimmed(text.substr(9)), number)) view_.incarnation = number;
  }

  const std::string mdt_;
  std::string name_;
  MdtView view_;
  std::optional<bool> nodemap_active_;
  bool users_bad_ = false, recovered_ = false;
};

// What the list says for this MDT; the whole of it when it is not a list.
std::string part_for(const std::string& spec, const Mdt& mdt) {
  if (spec.find(':') == std::string::npos) return spec;
  std::istringstream parts(spec);
  std::string part;
  while (std::getline(parts, part, ',')) {
    size_t colon = part.find(':');
    std::string who = part.substr(0, std::min(colon, part.size()));
    bool mine = who == mdt.name() || mdt.name().ends_with("-" + who) || who == std::to_string(mdt.index());
    if (colon != std::string::npos && mine) return part.substr(colon + 1);
  }
  return "";
}

}  // namespace

std::string MdtUser::text() const {
  return "cl" + std::to_string(id) + (name.empty() ? "" : "-" + name);
}

MdtView parse_view(const std::string& text, const std::string& mdt) {
  ViewParser parser(mdt);
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) parser.line(line);
  return parser.finish();
}

Result<MdtUser> user_for(const std::string& spec, const Mdt& mdt, const MdtView& view) {
  std::string text = part_for(spec, mdt);
  if (text.empty())
    return Error(Code::invalid, "no changelog user is given for " + mdt.name() +
                                    ": register one there (lctl --device " + mdt.name() +
                                    " changelog_register --user reel) and name it with --user");
  MdtUser user;
  if (parse_full_name(text, user)) {
    for (const MdtUser& there : view.users.value_or(std::vector<MdtUser>()))
      if (there.id == user.id && user.name.empty()) user.name = there.name;
    return user;
  }
  if (!view.users)
    return Error(Code::invalid, "user " + text + " of " + mdt.name() + " must be given with its number (\"cl3-" + text +
                                    "\"): the server cannot be asked for it");
  for (const MdtUser& there : *view.users)
    if (there.name == text) return there;
  return Error(Code::not_found, "no changelog user " + text + " is registered at " + mdt.name());
}

}  // namespace reel::source::lustre
