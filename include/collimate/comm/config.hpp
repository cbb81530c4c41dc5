#pragma once
// Section `runtime` of the configuration: the devices that compute, the library that carries tensors between them, and
// how closely a run watches itself.

#include <cstdint>
#include <optional>
#include <string>

#include "collimate/config/fields.hpp"

namespace collimate {

enum class DeviceType { kCpu, kCuda };
enum class BackendType { kAuto, kMpi, kNccl, kGloo };
enum class CheckLevel { kNormal, kFull };

template <>
inline constexpr auto enum_names<DeviceType> =
    std::to_array<EnumName<DeviceType>>({{DeviceType::kCpu, "cpu"}, {DeviceType::kCuda, "cuda"}});
template <>
inline constexpr auto enum_names<BackendType> = std::to_array<EnumName<BackendType>>({{BackendType::kAuto, "auto"},
                                                                                      {BackendType::kMpi, "mpi"},
                                                                                      {BackendType::kNccl, "nccl"},
                                                                                      {BackendType::kGloo, "gloo"}});
template <>
inline constexpr auto enum_names<CheckLevel> =
    std::to_array<EnumName<CheckLevel>>({{CheckLevel::kNormal, "normal"}, {CheckLevel::kFull, "full"}});

/// Whether a backend carries the tensors of a device.
constexpr bool fits(BackendType backend, DeviceType device) {
  return backend == BackendType::kAuto || (backend == BackendType::kNccl) == (device == DeviceType::kCuda);
}

struct RuntimeConfig {
  DeviceType device = DeviceType::kCpu;
  BackendType backend = BackendType::kAuto;  ///< auto: mpi on a CPU, nccl on a GPU
  /// network interface of the job's store, and of its tensors with `gloo`; unset (auto): the loopback where all ranks
  /// are on one machine, else that of a host's own name
  std::optional<std::string> interface;
  /// after which a job without progress, or a rank that is not heard of, ends it with a report; unset: never
  std::optional<std::int64_t> watchdog_seconds = 600;
  double grace_seconds = 60;                     ///< from a scheduler's signal until it ends the job by force
  CheckLevel check_level = CheckLevel::kNormal;  ///< full: ranks agree on every collective before they run it
  std::optional<std::string> trace;              ///< file for a Chrome trace of every action of this run
  /// what a rank's tensors may take on its device; unset (auto): what the device has free, or the host for each of its
  /// ranks
  std::optional<std::int64_t> memory_bytes;
  /// FLOP/s of a rank's device, of which `mfu` is a share; unset (auto): a GPU's data sheet, else what is measured
  std::optional<double> peak_flops;

  bool operator==(const RuntimeConfig&) const = default;

  static constexpr auto fields() {
    return std::tuple{
        field("device", &RuntimeConfig::device, Role::kLayout),
        field("backend", &RuntimeConfig::backend, Role::kLayout),
        field("interface", &RuntimeConfig::interface, Role::kOperational).unset_as("auto"),
        field("watchdog_seconds", &RuntimeConfig::watchdog_seconds, Role::kOperational, at_least(1)),
        field("grace_seconds", &RuntimeConfig::grace_seconds, Role::kOperational, above(0)),
        field("check_level", &RuntimeConfig::check_level, Role::kOperational),
        field("trace", &RuntimeConfig::trace, Role::kOperational, FilePath{}),
        field("memory_bytes", &RuntimeConfig::memory_bytes, Role::kOperational, at_least(1)).unset_as("auto"),
        field("peak_flops", &RuntimeConfig::peak_flops, Role::kOperational, above(0)).unset_as("auto")};
  }
};

}  // namespace collimate
