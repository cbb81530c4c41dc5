// What the data axis divides changes no bit: ZeRO stage 1 gives what stage 0 does, which updates everything everywhere.

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "layouts.hpp"
#include "support/mpi_world.hpp"
#include "support/temporary_folder.hpp"
#include "training.hpp"

namespace collimate {
namespace {

using test::Layout;
using test::LayoutResult;
using test::ModelKind;

LayoutResult train_at(Layout layout, int zero_stage, const test::LayoutData& data) {
  layout.zero_stage = zero_stage;
  ProcessMesh mesh(environment(), environment(), mesh_shape(layout.parallel(), environment().world_size()));
  return test::train_layout(layout, data, mesh);
}

void expect_same_bits(const LayoutResult& got, const LayoutResult& expected) {
  EXPECT_EQ(got.losses, expected.losses);
  EXPECT_EQ(got.grad_norms, expected.grad_norms);
  ASSERT_EQ(got.state.size(), expected.state.size());
  for (std::size_t i = 0; i < got.state.size(); ++i) {
    ASSERT_EQ(got.state[i].tensors.size(), expected.state[i].tensors.size());
    for (std::size_t k = 0; k < got.state[i].tensors.size(); ++k) {
      EXPECT_TRUE(at::equal(got.state[i].tensors[k].value, expected.state[i].tensors[k].value))
          << got.state[i].name << " " << got.state[i].tensors[k].name;
    }
  }
}

std::vector<Layout> layouts_of(int num_ranks) {
  if (num_ranks < 4) return {{.data = num_ranks, .model = ModelKind::kTied, .dtype = ComputeDtype::kFloat32}};
  return {{.data = 4, .model = ModelKind::kAllOptions, .dtype = ComputeDtype::kFloat32},
          {.data = 2, .pipeline = 2, .model = ModelKind::kTied, .dtype = ComputeDtype::kFloat32},
          {.data = 2, .tensor = 2, .model = ModelKind::kOneKvHead, .dtype = ComputeDtype::kFloat32}};
}

TEST(ZeroTest, stage_1_gives_the_bits_of_stage_0) {
  const TemporaryFolder folder;
  const test::LayoutData data = test::make_layout_data(folder.path().string());
  for (const Layout& layout : layouts_of(environment().world_size())) {
    SCOPED_TRACE(layout.name());
    const LayoutResult whole = train_at(layout, 0, data);
    const LayoutResult divided = train_at(layout, 1, data);
    EXPECT_FALSE(whole.losses.empty());
    expect_same_bits(divided, whole);
  }
}

}  // namespace
}  // namespace collimate
