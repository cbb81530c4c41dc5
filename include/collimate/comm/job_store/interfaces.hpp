#pragma once
// Which of a machine's networks a job talks over.

#include <optional>
#include <string>
#include <vector>

namespace collimate::detail {

struct NetworkInterface {
  std::string name;                    ///< "eth0"
  std::vector<std::string> addresses;  ///< numeric, at least one, those of IPv4 first
  bool is_loopback = false;
};

/// *Local.* Those of this machine that are up and have an address, each once.
std::vector<NetworkInterface> network_interfaces();

/// *Local.* Names the machine, and on it the network namespace: processes of one text reach each other at 127.0.0.1.
std::string loopback_name();

struct InterfaceChoice {
  std::optional<std::string> wanted;        ///< runtime.interface
  bool is_on_one_machine = true;            ///< all ranks reach each other over the loopback interface
  std::string host;                         ///< of this rank
  std::vector<std::string> host_addresses;  ///< what that name stands for
};

/// Pure. The address on the interface that is wanted; else the loopback's on one machine; else that of the host's own
/// name; else that of the only interface beside the loopback. Throws InputError, which names the interfaces, when there
/// is none or the choice is not clear.
std::string choose_address(const InterfaceChoice& choice, const std::vector<NetworkInterface>& interfaces);

/// *Local.* choose_address for this machine.
std::string own_address(const std::optional<std::string>& wanted, bool is_on_one_machine);

}  // namespace collimate::detail
