// SPDX-License-Identifier: Apache-2.0
//
// A client's network address: the raw field of a record <-> "10.0.0.1@tcp1". Networks that have no name here are
// "HEXADDRESS@<TYPE:NUMBER>".
#include <arpa/inet.h>

#include <charconv>
#include <cstdio>

#include "base/codec.h"
#include "log/block/block.h"
#include "log/text/text.h"
#include "log/text/text_in.h"

namespace reel::log {
namespace {

struct Network {
  uint32_t type;
  const char* name;
  bool ip;  // the address is an IPv4 or IPv6 address, else a number
};

constexpr Network kNetworks[] = {{2, "tcp", true},  {5, "o2ib", true},   {9, "lo", false},   {13, "gni", false},
                                 {14, "gip", true}, {15, "ptlf", false}, {16, "kfi", false}, {17, "bxi", false}};

std::string address_text(const Network* network, const unsigned char* address, size_t words) {
  char text[INET6_ADDRSTRLEN] = "";
  if (network && network->ip) {
    ::inet_ntop(words == 4 ? AF_INET6 : AF_INET, address, text, sizeof text);
    return text;
  }
  uint32_t number = ntohl(load_le<uint32_t>(address));
  std::snprintf(text, sizeof text, network ? "%u" : "%x", number);
  return text;
}

template <class T>
bool whole_number(std::string_view text, int base, T& value) {
  const char* end = text.data() + text.size();
  auto [stopped, failed] = std::from_chars(text.data(), end, value, base);
  return failed == std::errc() && stopped == end;
}

struct Net {
  uint32_t type = 0, number = 0;
  const Network* known = nullptr;
};

bool parse_net(std::string_view text, Net& net) {
  if (text.starts_with('<') && text.ends_with('>')) {
    size_t colon = text.find(':');
    return colon != std::string_view::npos && whole_number(text.substr(1, colon - 1), 10, net.type) &&
           whole_number(text.substr(colon + 1, text.size() - colon - 2), 10, net.number);
  }
  for (const Network& network : kNetworks) {
    if (!text.starts_with(network.name)) continue;
    std::string_view number = text.substr(std::string_view(network.name).size());
    if (!number.empty() && !whole_number(number, 10, net.number)) continue;
    net.type = network.type;
    net.known = &network;
    return true;
  }
  return false;
}

}  // namespace

std::string nid_text(std::string_view field, bool big_endian) {
  if (field.size() < kNidSize) return "";
  unsigned char address[16] = {};
  uint32_t type = 0, number = 0;
  size_t words = 1;
  if (big_endian) {
    if (static_cast<unsigned char>(field[0]) >= 12) words = 4;  // the size beyond that of an IPv4 nid
    type = static_cast<unsigned char>(field[1]);
    number = ntohs(load_le<uint16_t>(field.data() + 2));
    std::memcpy(address, field.data() + 4, 16);
  } else {
    uint64_t nid = load_le<uint64_t>(field.data());
    type = static_cast<uint32_t>(nid >> 48);
    number = static_cast<uint32_t>(nid >> 32) & 0xffff;
    store_le(address, htonl(static_cast<uint32_t>(nid)));
  }
  const Network* network = nullptr;
  for (const Network& known : kNetworks)
    if (known.type == type) network = &known;
  std::string text = address_text(network, address, words) + "@";
  if (!network) return text + "<" + std::to_string(type) + ":" + std::to_string(number) + ">";
  return text + network->name + (number == 0 ? "" : std::to_string(number));
}

bool parse_nid(std::string_view text, bool big_endian, std::array<char, 24>& field) {
  field.fill(0);
  size_t at = text.rfind('@');
  Net net;
  if (at == std::string_view::npos || !parse_net(text.substr(at + 1), net) || net.type > 0xff || net.number > 0xffff)
    return false;
  unsigned char address[16] = {};
  std::string host(text.substr(0, at));
  bool six = false;
  if (net.known && net.known->ip) {
    six = host.find(':') != std::string::npos;
    if (::inet_pton(six ? AF_INET6 : AF_INET, host.c_str(), address) != 1) return false;
  } else {
    uint32_t number = 0;
    if (!whole_number(std::string_view(host), net.known ? 10 : 16, number)) return false;
    store_le(address, htonl(number));
  }
  if (!big_endian) {
    if (six) return false;
    uint64_t nid = uint64_t{net.type} << 48 | uint64_t{net.number} << 32 | ntohl(load_le<uint32_t>(address));
    store_le(field.data(), nid);
    return true;
  }
  field[0] = six ? 12 : 0;
  field[1] = static_cast<char>(net.type);
  store_le(field.data() + 2, htons(static_cast<uint16_t>(net.number)));
  std::memcpy(field.data() + 4, address, sizeof address);
  return true;
}

}  // namespace reel::log
