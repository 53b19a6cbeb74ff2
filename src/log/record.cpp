// SPDX-License-Identifier: Apache-2.0
//
// Texts of records' parts: FIDs, type names, masks (include/reel/record.h).
#include "reel/record.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

namespace reel {
namespace {

struct TypeName {
  RecordType type;
  std::string_view name;
};

constexpr TypeName kTypeNames[] = {
    {RecordType::mark, "MARK"},       {RecordType::creat, "CREAT"},     {RecordType::mkdir, "MKDIR"},
    {RecordType::hlink, "HLINK"},     {RecordType::slink, "SLINK"},     {RecordType::mknod, "MKNOD"},
    {RecordType::unlnk, "UNLNK"},     {RecordType::rmdir, "RMDIR"},     {RecordType::renme, "RENME"},
    {RecordType::rnmto, "RNMTO"},     {RecordType::open, "OPEN"},       {RecordType::close, "CLOSE"},
    {RecordType::lyout, "LYOUT"},     {RecordType::trunc, "TRUNC"},     {RecordType::sattr, "SATTR"},
    {RecordType::xattr, "XATTR"},     {RecordType::hsm, "HSM"},         {RecordType::mtime, "MTIME"},
    {RecordType::ctime, "CTIME"},     {RecordType::atime, "ATIME"},     {RecordType::migrt, "MIGRT"},
    {RecordType::flrw, "FLRW"},       {RecordType::resync, "RESYNC"},   {RecordType::gxatr, "GXATR"},
    {RecordType::nopen, "NOPEN"},     {RecordType::gap, "GAP"},         {RecordType::read, "READ"},
    {RecordType::write, "WRITE"},     {RecordType::fsync, "FSYNC"},     {RecordType::mmap, "MMAP"},
    {RecordType::compute, "COMPUTE"}, {RecordType::send, "SEND"},       {RecordType::recv, "RECV"},
    {RecordType::barrier, "BARRIER"}, {RecordType::signal, "SIGNAL"},   {RecordType::wait, "WAIT"},
    {RecordType::stat, "STAT"},       {RecordType::readdir, "READDIR"}, {RecordType::seek, "SEEK"},
    {RecordType::fork, "FORK"},       {RecordType::exec, "EXEC"},       {RecordType::exit, "EXIT"},
    {RecordType::descriptor, "DESC"}, {RecordType::copy, "COPY"},       {RecordType::lock, "LOCK"},
    {RecordType::context, "CONTEXT"}, {RecordType::fact, "FACT"},       {RecordType::string, "STRING"},
    {RecordType::file, "FILE"},       {RecordType::thread, "THREAD"},   {RecordType::loss, "LOSS"},
    {RecordType::count, "COUNT"},
};

template <class T>
bool parse_number(std::string_view text, int base, T& value) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return error == std::errc() && end == text.data() + text.size();
}

// One part of a FID: "0x2a", or "0" or decimal digits without the prefix.
template <class T>
bool parse_fid_part(std::string_view text, T& value) {
  if (text.starts_with("0x") || text.starts_with("0X")) return parse_number(text.substr(2), 16, value);
  return parse_number(text, 10, value);
}

char upper(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}

std::optional<uint64_t> mask_of_word(std::string_view word) {
  std::string name(word);
  std::transform(name.begin(), name.end(), name.begin(), upper);
  if (name == "ALL") return kMaskAll;
  if (name == "DEFAULT") return kMaskDefaultLustre;
  for (const TypeName& known : kTypeNames)
    if (known.name == name) return mask_bit(known.type);
  uint32_t number = 0;
  if (parse_number(word, 10, number) && number < 64) return 1ULL << number;
  return std::nullopt;
}

bool is_separator(char c) {
  return c == ' ' || c == '\t' || c == ',' || c == '+' || c == '-';
}

}  // namespace

std::string to_string(const Fid& fid) {
  char text[64];
  int size = std::snprintf(text, sizeof text, fid.seq == 0 ? "[%llx:0x%x:0x%x]" : "[0x%llx:0x%x:0x%x]",
                           static_cast<unsigned long long>(fid.seq), fid.oid, fid.ver);
  return std::string(text, static_cast<size_t>(size));
}

std::optional<Fid> parse_fid(std::string_view text) {
  if (text.starts_with('[')) {
    if (!text.ends_with(']')) return std::nullopt;
    text = text.substr(1, text.size() - 2);
  }
  size_t first = text.find(':');
  size_t second = first == std::string_view::npos ? first : text.find(':', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  Fid fid;
  if (!parse_fid_part(text.substr(0, first), fid.seq) ||
      !parse_fid_part(text.substr(first + 1, second - first - 1), fid.oid) ||
      !parse_fid_part(text.substr(second + 1), fid.ver)) {
    return std::nullopt;
  }
  return fid;
}

std::optional<std::string_view> type_name(RecordType type) {
  auto number = static_cast<uint32_t>(type);
  if (number <= static_cast<uint32_t>(RecordType::nopen)) return kTypeNames[number].name;  // the table starts with them
  for (const TypeName& known : kTypeNames)
    if (known.type == type) return known.name;
  return std::nullopt;
}

Result<uint64_t> parse_mask(std::string_view text, uint64_t relative_to) {
  if (uint64_t mask = 0; text.starts_with("0x") && parse_number(text.substr(2), 16, mask)) return mask;
  size_t at = text.find_first_not_of(" \t");
  if (at == std::string_view::npos) return Error(Code::invalid, "an empty mask; name record types, or ALL or DEFAULT");
  uint64_t mask = text[at] == '+' || text[at] == '-' ? relative_to : 0;
  bool remove = false;
  while (at < text.size()) {
    if (is_separator(text[at])) {
      if (text[at] == '+' || text[at] == '-') remove = text[at] == '-';
      ++at;
      continue;
    }
    size_t end = at;
    while (end < text.size() && !is_separator(text[end])) ++end;
    std::optional<uint64_t> bits = mask_of_word(text.substr(at, end - at));
    if (!bits)
      return Error(Code::invalid, "mask: no record type is called '" + std::string(text.substr(at, end - at)) + "'");
    mask = remove ? mask & ~*bits : mask | *bits;
    remove = false;  // the operator is for one word
    at = end;
  }
  return mask;
}

std::string format_mask(uint64_t mask) {
  if (mask == kMaskAll) return "ALL";
  if (mask == kMaskDefaultLustre) return "DEFAULT";
  std::string text;
  for (uint32_t type = 0; type < 64; ++type) {
    if ((mask >> type & 1) == 0) continue;
    if (!text.empty()) text += ',';
    std::optional<std::string_view> name = type_name(static_cast<RecordType>(type));
    text += name ? std::string(*name) : std::to_string(type);
  }
  return text;
}

}  // namespace reel
