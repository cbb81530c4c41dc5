#include "collimate/base/host_memory.hpp"

#include <fstream>

#include <gtest/gtest.h>

#include "support/temporary_folder.hpp"

namespace collimate {
namespace {

class HostMemoryTest : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((root() / name).parent_path());
    std::ofstream(root() / name) << text;
  }
  [[nodiscard]] std::filesystem::path root() const { return folder_.path(); }
  [[nodiscard]] std::int64_t available() const { return available_host_memory(root()).value(); }

 private:
  TemporaryFolder folder_;
};

TEST_F(HostMemoryTest, is_what_the_kernel_says_without_control_groups) {
  write("proc/meminfo", "MemTotal:  1000 kB\nMemFree:  1 kB\nMemAvailable:  600 kB\n");
  EXPECT_EQ(available(), 600 * 1024);
}

TEST_F(HostMemoryTest, is_less_in_the_tightest_control_group_around_the_process) {
  write("proc/meminfo", "MemAvailable:  600 kB\n");
  write("proc/self/cgroup", "0::/slurm/job_1/step_0\n");
  write("sys/fs/cgroup/slurm/job_1/step_0/memory.max", "max\n");
  write("sys/fs/cgroup/slurm/job_1/memory.max", "300000\n");
  write("sys/fs/cgroup/slurm/job_1/memory.current", "100000\n");
  write("sys/fs/cgroup/slurm/memory.max", "500000\n");
  EXPECT_EQ(available(), 200000);
}

TEST_F(HostMemoryTest, does_not_count_files_that_the_kernel_keeps_for_a_group) {
  write("proc/meminfo", "MemAvailable:  600 kB\n");
  write("proc/self/cgroup", "0::/job\n");
  write("sys/fs/cgroup/job/memory.max", "300000\n");
  write("sys/fs/cgroup/job/memory.current", "250000\n");
  write("sys/fs/cgroup/job/memory.stat", "anon 100000\ninactive_file 90000\nactive_file 60000\nslab 5\n");
  EXPECT_EQ(available(), 200000);
}

TEST_F(HostMemoryTest, reads_version_1_of_control_groups_too) {
  write("proc/meminfo", "MemAvailable:  600 kB\n");
  write("proc/self/cgroup", "5:cpu,cpuacct:/other\n4:memory:/slurm/job_1\n");
  write("sys/fs/cgroup/memory/slurm/job_1/memory.limit_in_bytes", "90000");
  write("sys/fs/cgroup/memory/slurm/job_1/memory.usage_in_bytes", "95000");
  EXPECT_EQ(available(), 0);
}

TEST_F(HostMemoryTest, is_unknown_where_nothing_is_said) {
  EXPECT_FALSE(available_host_memory(root()).has_value());
  EXPECT_GT(available_host_memory().value(), 0) << "this host says";
}

}  // namespace
}  // namespace collimate
