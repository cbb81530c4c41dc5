#include "collimate/job/output_folder.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/small_disk.hpp"
#include "support/temporary_folder.hpp"
#include "support/throws.hpp"
#include "unit/job/run_text.hpp"

namespace collimate {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

/// Every file below a folder with its content and the time of its last change: what "nothing was written" is about.
std::vector<std::string> snapshot(const fs::path& folder) {
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string content = entry.is_regular_file() ? read_bytes(entry.path()) : "";
    const auto changed = entry.is_symlink() ? 0 : entry.last_write_time().time_since_epoch().count();
    files.push_back(fmt::format("{} {} {}", entry.path().string(), changed, content));
  }
  std::ranges::sort(files);
  return files;
}

class OutputFolderTest : public ::testing::Test {
 protected:
  [[nodiscard]] fs::path run() const { return folder_.path() / "out" / "run"; }
  [[nodiscard]] RunConfig config(std::vector<std::string> overrides = {}) const {
    overrides.insert(overrides.begin(), "output.directory=\"" + run().string() + "\"");
    return load_dpo(overrides);
  }
  /// Expects the refusal, and that nothing was written on the way to it.
  void expect_refused(const RunConfig& config, const std::string& reason) const {
    const auto before = snapshot(folder_.path());
    EXPECT_THAT([&] { OutputFolder::inspect(config); },
                throws<InputError>("output.directory: " + config.output.directory + ": " + reason));
    EXPECT_EQ(snapshot(folder_.path()), before);
  }

  TemporaryFolder folder_;
  Log log_;
};

TEST_F(OutputFolderTest, inspecting_writes_nothing) {
  OutputFolder output = OutputFolder::inspect(config());
  EXPECT_FALSE(output.is_continued());
  EXPECT_TRUE(fs::is_empty(folder_.path()));
}

TEST_F(OutputFolderTest, claiming_leaves_the_canonical_configuration_alone) {
  OutputFolder::inspect(config()).claim(log_);
  std::vector<fs::path> files(fs::directory_iterator(run()), {});
  EXPECT_THAT(files, ElementsAre(run() / "config.yaml"));
  const RunConfig read = load_run_config(read_bytes(run() / "config.yaml"), "config.yaml");
  EXPECT_EQ(read, with_absolute_paths(config()));
  EXPECT_EQ(read_bytes(run() / "config.yaml"), dump_canonical(read));
}

TEST_F(OutputFolderTest, says_where_things_are) {
  OutputFolder output = OutputFolder::inspect(config());
  EXPECT_EQ(output.path(), run());
  EXPECT_EQ(output.config_file(), run() / "config.yaml");
  EXPECT_EQ(output.metrics_file(), run() / "metrics.jsonl");
  EXPECT_EQ(output.run_file(), run() / "run.json");
  EXPECT_EQ(output.checkpoints(), run() / "checkpoints");
}

TEST_F(OutputFolderTest, relative_directories_are_of_the_working_directory) {
  EXPECT_EQ(OutputFolder::inspect(load_dpo({"output.directory=no/such/folder"})).path(),
            fs::current_path() / "no/such/folder");
}

TEST_F(OutputFolderTest, an_empty_folder_may_be_used) {
  fs::create_directories(run());
  OutputFolder::inspect(config()).claim(log_);
  EXPECT_TRUE(fs::exists(run() / "config.yaml"));
}

TEST_F(OutputFolderTest, what_a_killed_claim_left_is_no_content) {
  fs::create_directories(run());
  write_bytes(run() / ".config.yaml.staged-4711-0", "mod");
  OutputFolder::inspect(config()).claim(log_);
  EXPECT_TRUE(OutputFolder::inspect(config()).is_continued());
}

TEST_F(OutputFolderTest, what_a_killed_taker_of_the_lock_left_is_no_content) {
  fs::create_directories(run());
  for (const char* name : {".checkpoints.lock.staged-4711-0", ".checkpoints.lock.takeover.staged-4711-0",
                           "checkpoints.lock.takeover.staged-4711-0"}) {
    write_bytes(run() / name, "");
  }
  EXPECT_NO_THROW(OutputFolder::inspect(config()).claim(log_));
}

TEST_F(OutputFolderTest, what_a_watchdog_left_is_no_content) {
  EXPECT_EQ(OutputFolder::failures(config()), run() / "failures");
  fs::create_directories(run() / "failures");
  write_bytes(run() / "failures/rank_00000.txt", "thread 1");
  EXPECT_FALSE(OutputFolder::inspect(config()).is_continued());
  OutputFolder::inspect(config()).claim(log_);
  EXPECT_TRUE(OutputFolder::inspect(config()).is_continued());
}

TEST_F(OutputFolderTest, the_same_run_continues) {
  OutputFolder::inspect(config()).claim(log_);
  write_bytes(run() / "metrics.jsonl", "{}\n");
  const OutputFolder again = OutputFolder::inspect(config());
  EXPECT_TRUE(again.is_continued());
  EXPECT_THAT(again.changes(), IsEmpty());
}

TEST_F(OutputFolderTest, a_changed_schedule_is_told_and_a_changed_layout_is_not) {
  OutputFolder::inspect(config()).claim(log_);
  const auto changed =
      config({"train.max_steps=7", "optimizer.learning_rate=1e-6", "parallel.data=2", "model.path=moved"});
  OutputFolder output = OutputFolder::inspect(changed);
  EXPECT_TRUE(output.is_continued());
  EXPECT_THAT(output.changes(),
              ElementsAre(FieldDifference{"optimizer.learning_rate", Role::kSchedule, "5.0e-07", "1.0e-06"},
                          FieldDifference{"train.max_steps", Role::kSchedule, "-1", "7"}));
  output.claim(log_);
  EXPECT_THAT(OutputFolder::inspect(changed).changes(), IsEmpty());
}

TEST_F(OutputFolderTest, a_run_of_another_identity_is_refused_with_every_field) {
  OutputFolder::inspect(config()).claim(log_);
  expect_refused(config({"train.seed=18", "objective.beta=0.2", "train.max_steps=3"}),
                 "holds another run; expected the same values, or another directory, or --allow-change KEY for each "
                 "that is meant:\n"
                 "  objective.beta: 0.1 there, 0.2 now\n"
                 "  train.seed: 17 there, 18 now");
}

TEST_F(OutputFolderTest, a_checkpoint_of_another_identity_is_refused_unless_that_is_allowed) {
  const EarlierConfig earlier{.place = "elsewhere/step_00000007",
                              .text = dump_canonical(config({"objective.beta=0.2", "train.max_steps=3"}))};
  EXPECT_THAT([&] { OutputFolder::inspect(config(), {.resumed_from = earlier}); },
              throws<InputError>(HasSubstr("--resume elsewhere/step_00000007: is of another run; expected the same "
                                           "values, or --allow-change KEY for each that is meant:\n"
                                           "  objective.beta: 0.2 there, 0.1 now")));
  const std::vector<std::string> beta{"objective.beta"};
  const auto changes = OutputFolder::inspect(config(), {.allowed = beta, .resumed_from = earlier}).changes();
  EXPECT_THAT(changes, ElementsAre(FieldDifference{"objective.beta", Role::kIdentity, "0.2", "0.1"},
                                   FieldDifference{"train.max_steps", Role::kSchedule, "3", "-1"}));
}

TEST_F(OutputFolderTest, a_folder_of_something_else_is_refused) {
  fs::create_directories(run());
  write_bytes(run() / "thesis.tex", "x");
  expect_refused(config(), "is not empty and not a run; expected a run, an empty folder or none");
}

TEST_F(OutputFolderTest, a_config_file_of_something_else_is_refused) {
  fs::create_directories(run());
  write_bytes(run() / "config.yaml", "name: app\n");
  const auto before = snapshot(folder_.path());
  EXPECT_THAT([&] { OutputFolder::inspect(config()); },
              throws<InputError>(AllOf(
                  StartsWith("output.directory: " + run().string() +
                             ": its config.yaml is not one of this program; expected a run or another directory\n" +
                             (run() / "config.yaml").string() + ":1:1: name: unknown key"))));
  EXPECT_EQ(snapshot(folder_.path()), before);
}

TEST_F(OutputFolderTest, a_file_is_no_folder) {
  fs::create_directories(run().parent_path());
  write_bytes(run(), "x");
  expect_refused(config(), run().string() + " is not a folder; expected a folder or a path where one can be made");
}

TEST_F(OutputFolderTest, a_folder_cannot_be_made_in_a_file) {
  write_bytes(run().parent_path(), "x");
  expect_refused(config(),
                 run().parent_path().string() + " is not a folder; expected a folder or a path where one can be made");
}

TEST_F(OutputFolderTest, a_link_to_nowhere_is_no_folder) {
  fs::create_directories(run().parent_path());
  fs::create_symlink("nowhere", run());
  expect_refused(config(), run().string() + " is not a folder; expected a folder or a path where one can be made");
}

TEST_F(OutputFolderTest, a_read_only_disk_is_refused) {
  SmallDisk disk(1 << 20);
  disk.make_read_only();
  const auto read_only = load_dpo({"output.directory=\"" + (disk.path() / "run").string() + "\""});
  EXPECT_THAT([&] { OutputFolder::inspect(read_only); },
              throws<InputError>("output.directory: " + (disk.path() / "run").string() + ": " + disk.path().string() +
                                 " cannot be written (Read-only file system); expected a folder that can"));
}

TEST_F(OutputFolderTest, one_that_is_locked_is_nobody_elses_and_has_nothing_in_it_afterwards) {
  {
    OutputFolder output = OutputFolder::inspect(config());
    output.lock(log_);
    EXPECT_THAT([&] { OutputFolder::inspect(config()).lock(log_); },
                ::testing::ThrowsMessage<InputError>(::testing::HasSubstr("is being written by process")));
    EXPECT_FALSE(fs::exists(output.config_file()));
  }
  EXPECT_TRUE(fs::is_empty(folder_.path())) << "nor are there folders that were not there before";
  OutputFolder output = OutputFolder::inspect(config());
  output.lock(log_);
  output.claim(log_);
  EXPECT_TRUE(fs::exists(output.config_file()));
}

TEST_F(OutputFolderTest, a_full_disk_leaves_no_configuration) {
  SmallDisk disk(1 << 15);
  const fs::path directory = disk.path() / "run";
  OutputFolder output = OutputFolder::inspect(load_dpo({"output.directory=\"" + directory.string() + "\""}));
  EXPECT_THAT([&] { write_bytes(disk.path() / "filler", std::string(1 << 16, 'x')); },
              ::testing::Throws<std::runtime_error>());
  EXPECT_THAT([&] { output.claim(log_); }, throws<InputError>((directory / "checkpoints.lock").string() +
                                                              ": cannot be written: No space left on device"));
  EXPECT_FALSE(fs::exists(directory / "config.yaml"));
}

}  // namespace
}  // namespace collimate
