#pragma once
// Section `runtime` of the configuration: the devices that compute and the library that carries tensors between them.

#include "collimate/config/fields.hpp"

namespace collimate {

enum class DeviceType { kCpu };
enum class BackendType { kAuto, kMpi };

template <>
inline constexpr auto enum_names<DeviceType> = std::to_array<EnumName<DeviceType>>({{DeviceType::kCpu, "cpu"}});
template <>
inline constexpr auto enum_names<BackendType> =
    std::to_array<EnumName<BackendType>>({{BackendType::kAuto, "auto"}, {BackendType::kMpi, "mpi"}});

struct RuntimeConfig {
  DeviceType device = DeviceType::kCpu;
  BackendType backend = BackendType::kAuto;  ///< auto: what the device is best served by

  bool operator==(const RuntimeConfig&) const = default;

  static constexpr auto fields() {
    return std::tuple{field("device", &RuntimeConfig::device, Role::kLayout),
                      field("backend", &RuntimeConfig::backend, Role::kLayout)};
  }
};

}  // namespace collimate
