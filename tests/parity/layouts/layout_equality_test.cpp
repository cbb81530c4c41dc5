// Any layout gives the loss, gradients and weights of one rank with one pair a microbatch: 1e-12 in float64. With
// --all-layouts every layout of this rank count is tried, else every third of the whole list; with --fenced-device the
// ranks compute on a device whose memory the host cannot touch, as they would on GPUs.

#include <algorithm>
#include <cmath>
#include <map>

#include <gtest/gtest.h>

#include "layouts.hpp"
#include "support/fenced_device.hpp"
#include "support/mpi_world.hpp"
#include "support/staged_factory.hpp"
#include "support/temporary_folder.hpp"
#include "support/tiny_model.hpp"
#include "training.hpp"

namespace collimate {
namespace {

using test::Layout;
using test::LayoutResult;
using test::relative_difference;

constexpr double kTolerance = 1e-12;

void expect_close(const std::vector<double>& got, const std::vector<double>& expected, const char* what) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t step = 0; step < got.size(); ++step) {
    EXPECT_LE(std::abs(got[step] - expected[step]), kTolerance * std::max(1.0, std::abs(expected[step])))
        << what << " of step " << step << ": " << got[step] << ", expected " << expected[step];
  }
}

void expect_close(const std::vector<test::NamedTensor>& got, const std::vector<test::NamedTensor>& expected,
                  const char* what) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].name, expected[i].name);
    EXPECT_LE(relative_difference(got[i].value, expected[i].value), kTolerance) << what << " " << got[i].name;
  }
}

// On rank 0, which has everything.
void expect_equal(const LayoutResult& got, const LayoutResult& expected) {
  expect_close(got.losses, expected.losses, "loss");
  expect_close(got.grad_norms, expected.grad_norms, "gradient norm");
  expect_close(got.gradients, expected.gradients, "gradient");
  ASSERT_EQ(got.state.size(), expected.state.size());
  for (std::size_t i = 0; i < got.state.size(); ++i) {
    expect_close(got.state[i].tensors, expected.state[i].tensors, got.state[i].name.c_str());
  }
}

// Every rank's counts, exactly.
void expect_formula_bytes(const LayoutResult& got) {
  for (const auto& [group, bytes] : got.expected_traffic) {
    EXPECT_EQ(got.counted_traffic.at(group), bytes) << "bytes sent on group " << group;
  }
}

void try_layout(const Layout& layout, const test::LayoutData& data, GroupFactory& tensors) {
  SCOPED_TRACE(layout.name());
  ProcessMesh mesh(environment(), tensors, mesh_shape(layout.parallel(), environment().world_size()));
  const LayoutResult got = test::train_layout(layout, data, mesh);
  expect_formula_bytes(got);
  if (mesh.world().rank() == 0) expect_equal(got, test::train_plainly(layout, data));
  mesh.world().barrier();
}

std::vector<Layout> chosen_layouts() {
  std::vector<Layout> layouts = has_flag("--all-layouts") ? test::all_layouts() : test::every_third_layout();
  layouts.push_back(test::deep_layout());
  std::erase_if(layouts, [](const Layout& layout) { return layout.num_ranks() != environment().world_size(); });
  return layouts;
}

TEST(LayoutEqualityTest, every_layout_of_this_rank_count_gives_the_result_of_one_rank) {
  const TemporaryFolder folder;
  const test::LayoutData data = test::make_layout_data(folder.path().string());
  const std::vector<Layout> layouts = chosen_layouts();
  EXPECT_FALSE(layouts.empty());
  if (!has_flag("--fenced-device")) {
    for (const Layout& layout : layouts) try_layout(layout, data, environment());
    return;
  }
  const auto tensors = test::make_staged_factory(environment(), test::fenced_device());
  for (Layout layout : layouts) {
    layout.num_steps = 2;  // each operator opens and closes its memory
    try_layout(layout, data, *tensors);
  }
}

}  // namespace
}  // namespace collimate
