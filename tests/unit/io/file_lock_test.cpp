#include "collimate/io/file_lock.hpp"

#include <algorithm>
#include <array>
#include <barrier>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collimate/base/error.hpp"
#include "support/temporary_folder.hpp"
#include "support/throws.hpp"

namespace collimate {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

LockCall failing_with(int code) {
  return [code](int /*file*/, int /*operation*/) {
    errno = code;
    return -1;
  };
}

/// A process that does something and then stays until it is killed.
class ChildProcess {
 public:
  explicit ChildProcess(const std::function<void()>& action) {
    std::array<int, 2> ends{};
    if (pipe(ends.data()) != 0) throw std::runtime_error("no pipe");
    id_ = fork();
    if (id_ == 0) {
      action();
      static_cast<void>(write(ends[1], "x", 1));
      while (true) pause();
    }
    close(ends[1]);
    char said = 0;
    static_cast<void>(read(ends[0], &said, 1));
    close(ends[0]);
    if (said != 'x') throw std::runtime_error("the child has failed");
  }
  ~ChildProcess() {
    kill_it();
    waitpid(id_, nullptr, 0);
  }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  /// Nobody has asked for its exit code when this returns.
  void kill_it() const {
    kill(id_, SIGKILL);
    siginfo_t info{};
    waitid(P_PID, static_cast<id_t>(id_), &info, WEXITED | WNOWAIT);
  }
  [[nodiscard]] int id() const { return id_; }

 private:
  pid_t id_ = 0;
};

class FileLockTest : public testing::Test {
 protected:
  void TearDown() override { std::fclose(stream_); }

  [[nodiscard]] std::string target() const { return (folder_.path() / "store.h5").string(); }
  [[nodiscard]] std::string lock_file() const { return target() + ".lock"; }
  std::unique_ptr<FileLock> take(const LockCall& call) const {
    return std::make_unique<FileLock>(target(), log_, call);
  }
  /// For a process that is to be killed.
  void hold_for_ever(const LockCall& call) const { [[maybe_unused]] const FileLock* held = take(call).release(); }
  std::string refusal(const LockCall& call) const {
    try {
      take(call);
    } catch (const InputError& error) {
      return error.what();
    }
    return "";
  }
  [[nodiscard]] std::string said() const {
    std::fflush(stream_);
    return read_bytes(folder_.path() / "log");
  }
  [[nodiscard]] std::size_t num_files() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_.path()), fs::directory_iterator()));
  }
  /// Leaves a lock file of this process that differs in one value.
  void leave_changed(const char* key, const nlohmann::json& value) const {
    nlohmann::json holder;
    {
      const auto lock = take(failing_with(ENOSYS));
      holder = nlohmann::json::parse(read_bytes(lock_file()));
    }
    holder.at(key) = value;
    write_bytes(lock_file(), holder.dump());
  }

  TemporaryFolder folder_;
  std::FILE* stream_ = std::fopen((folder_.path() / "log").c_str(), "w");
  Log log_{0, stream_};
};

/// Every way to a lock: of the kernel, without it, and with it switched off.
class FileLockWays : public FileLockTest, public testing::WithParamInterface<int> {
 protected:
  static LockCall way(int number) {
    const std::array<LockCall, 5> ways{LockCall(::flock), failing_with(ENOSYS), failing_with(EOPNOTSUPP),
                                       failing_with(ENOLCK), LockCall()};
    return ways.at(static_cast<std::size_t>(number));
  }
  static constexpr int kNumWays = 5;
};

TEST_P(FileLockWays, the_second_one_is_told_who_holds_it_whichever_way_it_comes) {
  auto first = take(way(GetParam()));
  for (int second = 0; second < kNumWays; ++second) {
    EXPECT_THAT(refusal(way(second)),
                AllOf(HasSubstr(fmt::format("{}: is being written by process {} on ", target(), getpid())),
                      HasSubstr(" since 20"), HasSubstr("wait until it has ended, or end it")));
  }
  EXPECT_EQ(num_files(), 2) << "the lock file and the log";
  first.reset();
  EXPECT_FALSE(fs::exists(lock_file()));
  EXPECT_EQ(refusal(way(GetParam())), "");
}

TEST_P(FileLockWays, what_a_killed_process_left_is_taken_over_whichever_way_it_was_held) {
  for (int second = 0; second < kNumWays; ++second) {
    const ChildProcess holder([&] { hold_for_ever(way(GetParam())); });
    EXPECT_THAT(refusal(way(second)), HasSubstr(fmt::format("by process {} on ", holder.id())));
    holder.kill_it();
    EXPECT_EQ(refusal(way(second)), "");
    EXPECT_THAT(said(), HasSubstr(fmt::format("{}: taken over from process {} on ", lock_file(), holder.id())));
  }
  EXPECT_EQ(num_files(), 1) << "the log";
}

TEST_P(FileLockWays, one_of_many_that_take_over_at_once_has_it) {
  constexpr int kNumTakers = 6;
  for (int round = 0; round < 20; ++round) {
    ChildProcess([&] { hold_for_ever(way(GetParam())); }).kill_it();
    std::array<std::unique_ptr<FileLock>, kNumTakers> taken;
    std::barrier start(kNumTakers);
    std::vector<std::jthread> takers;
    for (int i = 0; i < kNumTakers; ++i) {
      takers.emplace_back([&, i] {
        start.arrive_and_wait();
        try {
          taken.at(static_cast<std::size_t>(i)) = take(way((GetParam() + i) % kNumWays));  // mixed
        } catch (const InputError& error) {
          EXPECT_THAT(error.what(), HasSubstr("is being written by process"));
        }
      });
    }
    takers.clear();
    EXPECT_EQ(std::ranges::count_if(taken, [](const auto& lock) { return lock != nullptr; }), 1);
    taken = {};
    EXPECT_EQ(num_files(), 1) << "the log";
  }
}

INSTANTIATE_TEST_SUITE_P(All, FileLockWays, testing::Range(0, 5));

TEST_F(FileLockTest, says_once_that_the_file_alone_is_the_lock_and_why) {
  for (const auto& [code, reason] :
       {std::pair(ENOSYS, "Function not implemented"), std::pair(EOPNOTSUPP, "Operation not supported"),
        std::pair(ENOLCK, "No locks available")}) {
    take(failing_with(code));
    EXPECT_THAT(said(), HasSubstr(fmt::format("{}: the file system has no locks ({}): this file alone keeps other "
                                              "writers out\n",
                                              lock_file(), reason)));
  }
  take(LockCall());
  EXPECT_THAT(said(), HasSubstr(".lock: HDF5_USE_FILE_LOCKING turns locks off: this file alone keeps"));
  const std::string lines = said();
  EXPECT_EQ(std::ranges::count(lines, '\n'), 4);
  take(::flock);
  EXPECT_EQ(said(), lines);
}

TEST_F(FileLockTest, no_other_error_is_taken_for_another_process) {
  for (const auto& [code, reason] : {std::pair(EIO, "Input/output error"), std::pair(EBADF, "Bad file descriptor")}) {
    EXPECT_EQ(refusal(failing_with(code)), fmt::format("{}: cannot be locked: {}", lock_file(), reason));
  }
  EXPECT_THAT(refusal(failing_with(EWOULDBLOCK)), HasSubstr("is locked by another process"));
  EXPECT_EQ(num_files(), 1) << "the log";
}

TEST_F(FileLockTest, a_call_that_a_signal_interrupts_is_made_again) {
  int num_calls = 0;
  const auto lock = take([&](int file, int operation) {
    if (++num_calls < 3) return failing_with(EINTR)(file, operation);
    return flock(file, operation);
  });
  EXPECT_EQ(num_calls, 3);
  EXPECT_EQ(said(), "");
}

TEST_F(FileLockTest, a_number_that_another_process_has_now_is_not_the_holder) {
  leave_changed("started", 1);
  EXPECT_EQ(refusal(LockCall()), "");
}

TEST_F(FileLockTest, a_holder_that_cannot_be_seen_is_named_with_what_to_do) {
  for (const char* key : {"boot_id", "pid_namespace"}) {
    leave_changed(key, "elsewhere");
    for (const LockCall& call : {LockCall(), LockCall(::flock)}) {
      EXPECT_THAT(refusal(call),
                  AllOf(HasSubstr(fmt::format("{}: is being written by process {} on ", target(), getpid())),
                        HasSubstr(" since 20"), HasSubstr(", which cannot be seen from "),
                        HasSubstr("; once it has ended, delete " + lock_file())));
    }
    fs::remove(lock_file());
  }
}

TEST_F(FileLockTest, the_kernel_knows_of_holders_on_other_hosts) {
  leave_changed("boot_id", "elsewhere");
  auto holder = nlohmann::json::parse(read_bytes(lock_file()));
  holder["flock"] = true;
  write_bytes(lock_file(), holder.dump());
  {
    const FileDescriptor held(open(lock_file().c_str(), O_RDWR));
    ASSERT_EQ(flock(held.get(), LOCK_EX), 0);
    EXPECT_THAT(refusal(::flock), HasSubstr("wait until it has ended"));
  }
  EXPECT_THAT(refusal(LockCall()), HasSubstr("cannot be seen"));
  EXPECT_EQ(refusal(::flock), "");
}

TEST_F(FileLockTest, a_file_that_names_no_holder_is_left_alone) {
  for (const char* text : {"", "process 7 on elsewhere", "{\"process\": 7}"}) {
    write_bytes(lock_file(), text);
    for (const LockCall& call : {LockCall(), LockCall(::flock)}) {
      EXPECT_THAT(refusal(call), AllOf(HasSubstr(lock_file() + " is there and does not say which process writes"),
                                       HasSubstr("delete it")));
    }
    EXPECT_EQ(read_bytes(lock_file()), text);
  }
}

TEST_F(FileLockTest, numbers_that_no_process_has_name_no_holder) {
  for (const nlohmann::json& number :
       {nlohmann::json(7.5), nlohmann::json(std::uint64_t{1} << 63U), nlohmann::json((std::int64_t{1} << 32) + 1)}) {
    leave_changed("process", number);
    EXPECT_THAT(refusal(LockCall()), HasSubstr("does not say which process writes")) << number;
    fs::remove(lock_file());
  }
  leave_changed("started", 0.5);
  EXPECT_THAT(refusal(LockCall()), HasSubstr("does not say which process writes"));
}

TEST_F(FileLockTest, what_is_no_file_is_told_and_left_alone) {
  const auto expect_told = [&] {
    EXPECT_THAT(refusal(::flock), HasSubstr(lock_file() + ": is not a file, as a lock is"));
    EXPECT_TRUE(fs::exists(fs::symlink_status(lock_file())));
    EXPECT_EQ(num_files(), 2) << "it and the log";
    fs::remove(lock_file());
  };
  fs::create_symlink("nowhere", lock_file());
  expect_told();
  fs::create_directory(lock_file());
  expect_told();
  ASSERT_EQ(mkfifo(lock_file().c_str(), 0600), 0);
  expect_told();
}

TEST_F(FileLockTest, a_lock_that_was_given_back_and_taken_again_meanwhile_is_not_taken_over) {
  auto first = take(::flock);
  bool is_again = false;
  const LockCall meanwhile = [&](int file, int operation) {
    if ((operation & LOCK_SH) != 0 && !is_again) {
      is_again = true;
      first.reset();
      first = take(::flock);
    }
    return flock(file, operation);
  };
  EXPECT_THAT(refusal(meanwhile), HasSubstr("is being written by process"));
  EXPECT_TRUE(is_again);
  EXPECT_EQ(num_files(), 2) << "the lock file and the log";
}

TEST_F(FileLockTest, what_killed_takers_left_goes_and_what_may_be_of_others_stays) {
  const std::vector<std::string> staged{".store.h5.lock.staged-1-0", ".store.h5.lock.takeover.staged-1-0"};
  const auto leave = [&](const std::string& text) {
    for (const std::string& name : staged) write_bytes(folder_.path() / name, text);
  };
  for (const LockCall& call : {LockCall(), LockCall(::flock)}) {
    leave_changed("started", 1);
    leave(read_bytes(lock_file()));
    EXPECT_EQ(refusal(call), "");
    EXPECT_EQ(num_files(), 1) << "the log";
    leave_changed("boot_id", "elsewhere");
    leave(read_bytes(lock_file()));
    fs::remove(lock_file());
    EXPECT_EQ(refusal(call), "");
    EXPECT_EQ(num_files(), 3) << "the log and what cannot be seen";
    leave("");
    EXPECT_EQ(refusal(call), "");
    EXPECT_EQ(num_files(), 3) << "the log and what nobody has written yet";
    for (const std::string& name : staged) fs::remove(folder_.path() / name);
  }
}

TEST_F(FileLockTest, one_that_was_killed_while_it_took_over_holds_nobody_up) {
  const ChildProcess holder([&] { hold_for_ever(LockCall()); });
  fs::copy(lock_file(), lock_file() + ".takeover");
  holder.kill_it();
  EXPECT_EQ(refusal(LockCall()), "");
  EXPECT_EQ(num_files(), 1) << "the log";
}

TEST_F(FileLockTest, a_moved_lock_is_given_back_once) {
  std::optional<FileLock> first(std::in_place, target(), log_);
  std::optional<FileLock> second(std::move(first));
  first.reset();
  EXPECT_NE(refusal(::flock), "");
  second.reset();
  EXPECT_EQ(refusal(::flock), "");
}

TEST_F(FileLockTest, a_lock_that_somebody_has_deleted_and_another_has_taken_stays) {
  auto first = take(LockCall());
  fs::remove(lock_file());
  const auto second = take(LockCall());
  first.reset();
  EXPECT_TRUE(fs::exists(lock_file()));
}

TEST_F(FileLockTest, makes_the_folders_above_and_takes_them_away_where_they_stay_empty) {
  const fs::path outer = folder_.path() / "a";
  const std::string deep = (outer / "b" / "store.h5").string();
  {
    const FileLock lock(deep, log_);
    EXPECT_TRUE(fs::exists(deep + ".lock"));
  }
  EXPECT_FALSE(fs::exists(outer));
  EXPECT_THAT([&] { FileLock(deep, log_, failing_with(EIO)); }, throws<InputError>(HasSubstr("cannot be locked")));
  EXPECT_FALSE(fs::exists(outer));
  {
    const FileLock lock(deep, log_);
    write_bytes(deep, "content");
  }
  EXPECT_EQ(read_bytes(deep), "content");
  EXPECT_THAT([&] { FileLock(deep + "/file", log_); },
              throws<InputError>(deep + "/file.lock: cannot be made: Not a directory"));
}

TEST_F(FileLockTest, asks_the_kernel_unless_the_variable_of_hdf5_says_no) {
  const auto asks_with = [](const char* value) {
    setenv("HDF5_USE_FILE_LOCKING", value, 1);
    return static_cast<bool>(system_lock_call());
  };
  for (const char* value : {"TRUE", "1", "BEST_EFFORT", ""}) EXPECT_TRUE(asks_with(value)) << value;
  for (const char* value : {"FALSE", "0"}) EXPECT_FALSE(asks_with(value)) << value;
  unsetenv("HDF5_USE_FILE_LOCKING");
  EXPECT_TRUE(system_lock_call());
}

}  // namespace
}  // namespace collimate
