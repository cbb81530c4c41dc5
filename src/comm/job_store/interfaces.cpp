#include "collimate/comm/job_store/interfaces.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <memory>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "collimate/base/error.hpp"
#include "collimate/base/host_name.hpp"

namespace collimate::detail {

namespace {

// Empty for an address that another machine cannot use.
std::string numeric_text(const sockaddr* address) {
  if (address == nullptr || (address->sa_family != AF_INET && address->sa_family != AF_INET6)) return {};
  const bool is_v6 = address->sa_family == AF_INET6;
  if (is_v6 && IN6_IS_ADDR_LINKLOCAL(&reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr)) return {};
  std::array<char, NI_MAXHOST> text{};
  const socklen_t length = is_v6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  if (::getnameinfo(address, length, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) != 0) return {};
  return text.data();
}

bool is_v4(const std::string& address) { return address.find(':') == std::string::npos; }

std::vector<std::string> addresses_of(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  std::vector<std::string> addresses;
  if (::getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return addresses;  // a name that nobody knows
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    if (std::string text = numeric_text(one->ai_addr); !text.empty()) addresses.push_back(std::move(text));
  }
  ::freeaddrinfo(found);
  return addresses;
}

std::string list_of(const std::vector<NetworkInterface>& interfaces) {
  std::vector<std::string> texts;
  for (const NetworkInterface& one : interfaces)
    texts.push_back(fmt::format("{} ({})", one.name, one.addresses.front()));
  return fmt::format("{}", fmt::join(texts, ", "));
}

}  // namespace

std::vector<NetworkInterface> network_interfaces() {
  ifaddrs* raw = nullptr;
  if (::getifaddrs(&raw) != 0) throw Error("the system does not tell its network interfaces");
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> all(raw, &::freeifaddrs);
  std::vector<NetworkInterface> found;
  for (const ifaddrs* one = raw; one != nullptr; one = one->ifa_next) {
    const std::string address = numeric_text(one->ifa_addr);
    if (address.empty() || (one->ifa_flags & IFF_UP) == 0) continue;
    const auto known = std::ranges::find(found, one->ifa_name, &NetworkInterface::name);
    if (known == found.end()) {
      found.push_back({one->ifa_name, {address}, (one->ifa_flags & IFF_LOOPBACK) != 0});
    } else {
      known->addresses.push_back(address);
    }
  }
  for (NetworkInterface& one : found) std::ranges::stable_partition(one.addresses, is_v4);
  return found;
}

std::string loopback_name() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");  // another at each start of a machine
  std::string boot;
  std::getline(file, boot);
  std::error_code error;
  const std::string network = std::filesystem::read_symlink("/proc/self/ns/net", error).string();
  return fmt::format("{} {} {}", host_name(), boot, network);
}

std::string choose_address(const InterfaceChoice& choice, const std::vector<NetworkInterface>& interfaces) {
  if (choice.wanted) {
    const auto found = std::ranges::find(interfaces, *choice.wanted, &NetworkInterface::name);
    if (found != interfaces.end()) return found->addresses.front();
    throw InputError(
        fmt::format("runtime.interface: {}: {} has no such network interface that is up and has an address; it has {}",
                    *choice.wanted, choice.host, list_of(interfaces)));
  }
  if (choice.is_on_one_machine) return "127.0.0.1";
  std::vector<NetworkInterface> outward = interfaces;
  std::erase_if(outward, [](const NetworkInterface& one) { return one.is_loopback; });
  for (const NetworkInterface& one : outward) {
    const auto named = std::ranges::find_first_of(one.addresses, choice.host_addresses);
    if (named != one.addresses.end()) return *named;
  }
  if (outward.size() == 1) return outward.front().addresses.front();
  throw InputError(fmt::format(
      "runtime.interface: auto: the name of {} is no address of its network interfaces, so that the job's is not "
      "clear; it has {}: name one of them",
      choice.host, list_of(interfaces)));
}

std::string own_address(const std::optional<std::string>& wanted, bool is_on_one_machine) {
  const std::string host = host_name();
  return choose_address({.wanted = wanted,
                         .is_on_one_machine = is_on_one_machine,
                         .host = host,
                         .host_addresses = is_on_one_machine ? std::vector<std::string>() : addresses_of(host)},
                        network_interfaces());
}

}  // namespace collimate::detail
