#include "collimate/plan/device_peak_table.hpp"

#include <gtest/gtest.h>

namespace collimate {
namespace {

// Names as drivers give them.
TEST(DevicePeakTableTest, finds_a_card_by_the_name_that_the_driver_has_for_it) {
  const auto narrow = [](const char* name) {
    return data_sheet_flops(name, ComputeDtype::kBFloat16).value_or(0) / 1e12;
  };
  EXPECT_DOUBLE_EQ(narrow("NVIDIA H100 80GB HBM3"), 989.4);
  EXPECT_DOUBLE_EQ(narrow("NVIDIA H100 PCIe"), 756);
  EXPECT_DOUBLE_EQ(narrow("NVIDIA H100 NVL"), 835.5);
  EXPECT_DOUBLE_EQ(narrow("NVIDIA H200"), 989.4);
  EXPECT_DOUBLE_EQ(narrow("NVIDIA H200 NVL"), 835.5);
  EXPECT_DOUBLE_EQ(narrow("NVIDIA A100-SXM4-80GB"), 312);
  EXPECT_DOUBLE_EQ(narrow("NVIDIA B200"), 2250);
  EXPECT_DOUBLE_EQ(narrow("NVIDIA GB200"), 2500);
  EXPECT_DOUBLE_EQ(narrow("NVIDIA L40S"), 362);
  EXPECT_DOUBLE_EQ(narrow("NVIDIA GeForce RTX 4090"), 165.2);
}

TEST(DevicePeakTableTest, has_each_dtype_and_no_guess) {
  EXPECT_DOUBLE_EQ(data_sheet_flops("NVIDIA H100 80GB HBM3", ComputeDtype::kFloat32).value(), 67e12);
  EXPECT_DOUBLE_EQ(data_sheet_flops("NVIDIA H100 80GB HBM3", ComputeDtype::kFloat64).value(), 67e12);
  EXPECT_FALSE(data_sheet_flops("NVIDIA Tomorrow 1", ComputeDtype::kBFloat16).has_value());
  EXPECT_FALSE(data_sheet_flops("", ComputeDtype::kBFloat16).has_value());
}

}  // namespace
}  // namespace collimate
