// Every file of configs/ is one that a user could run.

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/job/run_config.hpp"
#include "collimate/model/cost.hpp"
#include "collimate/model/spec.hpp"
#include "support/temporary_folder.hpp"

namespace collimate {
namespace {

namespace fs = std::filesystem;

const fs::path kConfigs = COLLIMATE_CONFIGS;

std::vector<fs::path> files_of(const fs::path& folder, std::string_view extension) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == extension) files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

TEST(ConfigsTest, every_file_is_right_and_canonical_text_of_it_too) {
  const auto files = files_of(kConfigs, ".yaml");
  EXPECT_GE(files.size(), 3);
  for (const fs::path& file : files) {
    const RunConfig config = load_run_config(read_bytes(file), file.string());
    EXPECT_EQ(load_run_config(dump_canonical(config), "canonical"), config) << file;
    // A configuration for others to start from shows how a run is judged.
    EXPECT_FALSE(config.data.eval.empty()) << file;
  }
}

TEST(ConfigsTest, no_two_files_share_an_output_folder) {
  std::vector<std::string> directories;
  for (const fs::path& file : files_of(kConfigs, ".yaml")) {
    directories.push_back(load_run_config(read_bytes(file), file.string()).output.directory);
  }
  std::ranges::sort(directories);
  EXPECT_EQ(std::ranges::adjacent_find(directories), directories.end());
}

TEST(ConfigsTest, every_model_is_one_that_can_be_built) {
  const auto files = files_of(kConfigs / "models", ".json");
  EXPECT_GE(files.size(), 1);
  for (const fs::path& file : files) {
    EXPECT_GT(num_parameters(parse_model_config(read_bytes(file), file.string())), 0) << file;
  }
}

TEST(ConfigsTest, model_files_that_are_named_exist) {
  for (const fs::path& file : files_of(kConfigs, ".yaml")) {
    const auto path = load_run_config(read_bytes(file), file.string()).model.config;
    if (path && path->starts_with("configs/")) {
      EXPECT_TRUE(fs::exists(kConfigs.parent_path() / *path)) << file;
    }
  }
}

TEST(ConfigsTest, the_tiny_model_has_five_million_parameters) {
  const fs::path file = kConfigs / "models" / "tiny.json";
  const ModelSpec spec = parse_model_config(read_bytes(file), file.string());
  EXPECT_EQ(spec.vocab_size, 4096);
  EXPECT_NEAR(static_cast<double>(num_parameters(spec)), 5e6, 2e5);
}

TEST(ConfigsTest, the_model_of_the_cluster_jobs_is_llama_3_1_70b) {
  const fs::path file = kConfigs / "models" / "llama-3.1-70b.json";
  const ModelSpec spec = parse_model_config(read_bytes(file), file.string());
  EXPECT_EQ(num_parameters(spec), 70'553'706'496);
  EXPECT_EQ(spec.num_heads, 64);
  EXPECT_EQ(spec.num_kv_heads, 8);
}

}  // namespace
}  // namespace collimate
