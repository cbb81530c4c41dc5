#include "collimate/engine/metrics_writer.hpp"

#include <fstream>

#include <gtest/gtest.h>

#include "support/temporary_folder.hpp"

namespace collimate {
namespace {

StepReport report(std::int64_t step, double loss) {
  return {.step = step, .num_steps = 9, .epoch = 0.25, .metrics = {{"loss", loss}}, .timing = {{"mfu", 0.5}}};
}

class MetricsWriterTest : public testing::Test {
 protected:
  TemporaryFolder folder_;
  std::filesystem::path file_ = folder_.path() / "metrics.jsonl";
};

TEST_F(MetricsWriterTest, writes_one_object_a_report_with_values_that_read_back_exactly) {
  MetricsWriter writer(file_, 0);
  writer.on_step(report(1, 0.1));
  writer.on_evaluation({.step = 1, .epoch = 0.25, .metrics = {{"eval_loss", 2.0}}, .timing = {}});
  EXPECT_EQ(read_bytes(file_),
            "{\"step\":1,\"epoch\":0.25,\"loss\":0.1,\"mfu\":0.5}\n{\"step\":1,\"epoch\":0.25,\"eval_loss\":2}\n");
}

TEST_F(MetricsWriterTest, moves_lines_beyond_the_resumed_step_and_cut_lines_aside) {
  {
    MetricsWriter writer(file_, 0);
    for (std::int64_t step = 1; step <= 3; ++step) writer.on_step(report(step, 1.0));
  }
  std::ofstream(file_, std::ios::app) << "{\"step\":4,\"lo";
  MetricsWriter resumed(file_, 2);
  resumed.on_step(report(3, 0.5));
  const std::string line = "{\"step\":%,\"epoch\":0.25,\"loss\":1,\"mfu\":0.5}\n";
  const auto of_step = [&](const char* step) { return std::string(line).replace(line.find('%'), 1, step); };
  EXPECT_EQ(read_bytes(file_), of_step("1") + of_step("2") + "{\"step\":3,\"epoch\":0.25,\"loss\":0.5,\"mfu\":0.5}\n");
  EXPECT_EQ(read_bytes(file_.parent_path() / "metrics.discarded.jsonl"), of_step("3") + "{\"step\":4,\"lo\n");
}

TEST_F(MetricsWriterTest, moves_lines_aside_that_have_no_whole_step) {
  const std::string good = "{\"step\":1}\n";
  const std::string bad =
      "{\"step\":\"1\"}\n{\"step\":1e300}\n{\"step\":null}\n{}\n[1]\n1\n" + std::string(100'000, '[') + "\n";
  const std::string nested = "{\"step\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}\n";
  write_bytes(file_, good + bad + nested);
  const MetricsWriter resumed(file_, 2);
  EXPECT_EQ(read_bytes(file_), good);
  EXPECT_EQ(read_bytes(file_.parent_path() / "metrics.discarded.jsonl"), bad + nested);
}

}  // namespace
}  // namespace collimate
