#include "lock_holder.hpp"

#include <cerrno>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <utility>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "collimate/base/error.hpp"
#include "collimate/base/host_name.hpp"
#include "collimate/base/json.hpp"

namespace collimate::detail {

namespace {

struct ProcessRecord {
  char state = ' ';
  std::int64_t started = 0;  ///< in clock ticks since the boot
};

/// The kernel's record of a process; nothing where it shows none.
std::optional<ProcessRecord> find_process_record(std::int64_t process) {
  constexpr int kFieldsBetween = 18;  // of /proc/PID/stat, from state (3) to starttime (22): proc(5)
  std::ifstream file(fmt::format("/proc/{}/stat", process));
  const std::string text(std::istreambuf_iterator<char>(file), {});
  const std::size_t end_of_name = text.rfind(')');  // the name may have anything in it
  if (end_of_name == std::string::npos) return std::nullopt;
  std::istringstream fields(text.substr(end_of_name + 1));
  ProcessRecord record;
  fields >> record.state;
  std::string skipped;
  for (int i = 0; i < kFieldsBetween; ++i) fields >> skipped;
  fields >> record.started;
  return fields ? std::optional(record) : std::nullopt;
}

std::string own_boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

std::string own_pid_namespace() {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/ns/pid", ignored).string();
}

}  // namespace

std::string LockHolder::name() const { return fmt::format("process {} on {} since {}", process, host, since); }

std::string LockHolder::text() const {
  const nlohmann::ordered_json json{{"host", host},       {"process", process}, {"since", since},
                                    {"boot_id", boot_id}, {"started", started}, {"pid_namespace", pid_namespace},
                                    {"flock", has_flock}};
  return json.dump() + "\n";
}

LockHolder own_lock_holder(bool has_flock) {
  const auto record = find_process_record(getpid());
  return {.host = host_name(),
          .process = getpid(),
          .since = fmt::format("{:%F %T}", fmt::localtime(std::time(nullptr))),
          .boot_id = own_boot_id(),
          .pid_namespace = own_pid_namespace(),
          .started = record ? record->started : 0,
          .has_flock = has_flock};
}

std::optional<LockHolder> parse_lock_holder(const std::string& text) {
  try {
    const auto json = parse_json(text, "lock");
    const auto process = find_whole_number(json.at("process"));
    const auto started = find_whole_number(json.at("started"));
    if (!process || !std::in_range<pid_t>(*process) || !started) return std::nullopt;
    return LockHolder{.host = json.at("host"),
                      .process = *process,
                      .since = json.at("since"),
                      .boot_id = json.at("boot_id"),
                      .pid_namespace = json.at("pid_namespace"),
                      .started = *started,
                      .has_flock = json.at("flock")};
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  } catch (const InputError&) {
    return std::nullopt;
  }
}

HolderState find_holder_state(const LockHolder& holder) {
  const bool is_seen =
      !holder.boot_id.empty() && holder.boot_id == own_boot_id() && holder.pid_namespace == own_pid_namespace();
  if (!is_seen || holder.process <= 0) return HolderState::kUnseen;
  if (kill(static_cast<pid_t>(holder.process), 0) != 0 && errno == ESRCH) return HolderState::kEnded;
  const auto record = find_process_record(holder.process);
  if (!record) return HolderState::kRuns;  // hidden from this user
  const bool is_same = record->started == holder.started && record->state != 'Z';
  return is_same ? HolderState::kRuns : HolderState::kEnded;
}

}  // namespace collimate::detail
