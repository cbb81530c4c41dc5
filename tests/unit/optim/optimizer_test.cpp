#include <cmath>
#include <limits>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include "../../../src/optim/cuda/adamw_arithmetic.hpp"
#include "../../../src/optim/device_update.hpp"
#include "collimate/optim/adamw.hpp"
#include "collimate/optim/flat_parameters.hpp"
#include "collimate/optim/gradient.hpp"
#include "collimate/optim/master_weights.hpp"

namespace collimate {
namespace {

// AdamW as its paper writes it, one operation at a time.
struct PlainAdamW {
  OptimizerConfig config;
  at::Tensor m, v;
  int t = 0;
  void step(at::Tensor& p, const at::Tensor& g, double lr) {
    ++t;
    p = p * (1 - lr * config.weight_decay);
    m = config.betas[0] * m + (1 - config.betas[0]) * g;
    v = config.betas[1] * v + (1 - config.betas[1]) * g * g;
    const at::Tensor m_hat = m / (1 - std::pow(config.betas[0], t));
    const at::Tensor v_hat = v / (1 - std::pow(config.betas[1], t));
    p = p - lr * m_hat / (v_hat.sqrt() + config.epsilon);
  }
};

TEST(AdamWTest, equals_the_papers_formula_over_many_steps) {
  at::manual_seed(3);
  OptimizerConfig config;
  config.weight_decay = 0.1;
  at::Tensor values = at::randn({1001}, at::kDouble);
  PlainAdamW plain{config, at::zeros_like(values), at::zeros_like(values)};
  at::Tensor expected = values.clone();
  AdamW adamw(config, {values});
  for (int step = 0; step < 20; ++step) {
    const at::Tensor gradient = at::randn({1001}, at::kDouble);
    const double lr = 1e-2 / (1 + step);
    adamw.step(gradient, {.learning_rate = lr});
    plain.step(expected, gradient, lr);
  }
  EXPECT_LT((values - expected).norm().item<double>(), 1e-13 * expected.norm().item<double>());
}

TEST(AdamWTest, continues_from_restored_moments_to_the_bit) {
  at::manual_seed(4);
  const OptimizerConfig config;
  at::Tensor values = at::randn({64});
  AdamW first(config, {values});
  first.step(at::randn({64}), {.learning_rate = 1e-3});
  at::Tensor copied = values.clone();
  AdamW second(config, {copied});
  second.exp_avg_parts().front().copy_(first.exp_avg());
  second.exp_avg_sq_parts().front().copy_(first.exp_avg_sq());
  second.resume(first.num_updates());
  const at::Tensor gradient = at::randn({64});
  first.step(gradient, {.learning_rate = 1e-3});
  second.step(gradient, {.learning_rate = 1e-3});
  EXPECT_TRUE(at::equal(values, copied));
}

TEST(AdamWTest, parts_are_updated_to_the_bits_of_the_whole) {
  at::manual_seed(5);
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) {
    at::Tensor whole = at::randn({1024}, dtype);
    at::Tensor divided = whole.clone();
    const std::vector<std::int64_t> sizes{64, 192, 320, 448};
    OptimizerConfig config;
    config.weight_decay = 0.1;
    AdamW at_once(config, {whole});
    AdamW by_parts(config, divided.split_with_sizes(sizes));
    for (int step = 0; step < 5; ++step) {
      const at::Tensor gradient = at::randn({1024}, dtype);
      at_once.step(gradient, {.learning_rate = 1e-3});
      by_parts.step(gradient.split_with_sizes(sizes), {.learning_rate = 1e-3});
    }
    EXPECT_TRUE(at::equal(whole, divided)) << dtype;
    EXPECT_TRUE(at::equal(at_once.exp_avg_sq(), by_parts.exp_avg_sq())) << dtype;
  }
}

TEST(AdamWTest, scales_gradients_and_rounds_into_narrow_values) {
  at::manual_seed(6);
  at::Tensor values = at::randn({100});
  at::Tensor scaled = values.clone();
  const at::Tensor narrow = at::zeros({100}, at::kBFloat16);
  AdamW first({}, {values});
  AdamW second({}, {scaled});
  for (int step = 0; step < 3; ++step) {
    const at::Tensor gradient = at::randn({100});
    first.step(gradient * 0.25, {.learning_rate = 1e-3});
    second.step(gradient.clone(), {.learning_rate = 1e-3, .gradient_factor = 0.25}, narrow);
    EXPECT_TRUE(at::equal(values, scaled));
    EXPECT_TRUE(at::equal(narrow, scaled.to(at::kBFloat16)));
  }
}

TEST(AdamWTest, the_arithmetic_of_the_cuda_kernel_is_libtorchs) {
  at::manual_seed(7);
  constexpr std::int64_t kSize = 1000;
  OptimizerConfig config;
  config.weight_decay = 0.1;
  at::Tensor values = at::randn({kSize});
  at::Tensor expected = values.clone();
  at::Tensor exp_avg = at::zeros({kSize});
  at::Tensor exp_avg_sq = at::zeros({kSize});
  AdamW adamw(config, {expected});
  for (std::int64_t count = 1; count <= 20; ++count) {
    const at::Tensor gradient = at::randn({kSize});
    const detail::cuda::AdamWUpdate update =
        detail::adamw_update(config, {.learning_rate = 1e-2, .gradient_factor = 0.5}, count);
    for (std::int64_t i = 0; i < kSize; ++i) {
      detail::cuda::update_element(update, gradient.data_ptr<float>()[i], values.data_ptr<float>()[i],
                                   exp_avg.data_ptr<float>()[i], exp_avg_sq.data_ptr<float>()[i]);
    }
    adamw.step(gradient, {.learning_rate = 1e-2, .gradient_factor = 0.5});
  }
  EXPECT_LT((values - expected).norm().item<double>(), 1e-6 * expected.norm().item<double>());
  EXPECT_LT((exp_avg_sq - adamw.exp_avg_sq()).norm().item<double>(), 1e-6 * exp_avg_sq.norm().item<double>());
}

TEST(MasterWeightsTest, keep_what_a_bfloat16_parameter_would_lose) {
  at::Tensor parameters = at::ones({128}, at::kBFloat16);
  MasterWeights masters(parameters.split(64));
  EXPECT_TRUE(masters.are_wider());
  for (int step = 0; step < 100; ++step) {
    for (const at::Tensor& part : masters.parts()) part.add_(1e-3);  // a quarter of the last bit
    masters.write_back();
  }
  EXPECT_NEAR(masters.parts()[0][0].item<double>(), 1.1, 1e-5);
  EXPECT_EQ(parameters[100].item<float>(), static_cast<float>(c10::BFloat16(1.1F)));
}

TEST(MasterWeightsTest, are_the_parameters_themselves_where_those_are_float32) {
  at::Tensor parameters = at::ones({64});
  const MasterWeights masters({parameters});
  EXPECT_FALSE(masters.are_wider());
  masters.parts()[0].add_(1.0);
  EXPECT_EQ(parameters[0].item<float>(), 2.0F);
}

TEST(FlatParametersTest, parameters_are_views_of_one_buffer) {
  const at::Tensor a = at::ones({2, 3}).requires_grad_();
  const at::Tensor b = at::full({4}, 2.0).requires_grad_();
  FlatParameters flat(std::vector<at::Tensor>{a, b},
                      ShardPlan(std::vector<PlannedParameter>{{.elements = 6}, {.elements = 4}}, 1));
  EXPECT_EQ(flat.values().numel(), kPartElements);
  flat.values().add_(1.0);
  EXPECT_TRUE(at::equal(a.detach(), at::full({2, 3}, 2.0)));
  EXPECT_TRUE(at::equal(view_of(flat.values(), flat.plan().parameter(1)), at::full({4}, 3.0)));
  EXPECT_TRUE(a.requires_grad());
}

TEST(GradientTest, clips_as_torch_does_and_leaves_small_gradients_alone) {
  const at::Tensor gradients = at::full({4}, 3.0);
  const double norm = sum_of_squares(gradients).sqrt().item<double>();
  EXPECT_DOUBLE_EQ(norm, 6.0);
  EXPECT_EQ(clip_factor(norm, 10.0), 1.0);
  EXPECT_EQ(clip_factor(norm, 0.0), 1.0);
  EXPECT_DOUBLE_EQ(clip_factor(norm, 1.0), 1.0 / (6.0 + 1e-6));
}

TEST(GradientTest, one_value_that_is_not_finite_is_found) {
  const double infinity = std::numeric_limits<double>::infinity();
  const auto is_finite = [](const at::Tensor& values) { return zero_if_finite(values).item<double>() == 0.0; };
  EXPECT_TRUE(is_finite(at::full({5}, std::numeric_limits<float>::max())));
  EXPECT_TRUE(is_finite(at::empty({0})));
  for (const double value : {infinity, -infinity, std::numeric_limits<double>::quiet_NaN()}) {
    at::Tensor gradients = at::ones({1001});
    gradients[700].fill_(value);
    EXPECT_FALSE(is_finite(gradients)) << value;
  }
}

TEST(GradientTest, norm_of_many_small_values_is_summed_in_float64) {
  const at::Tensor gradients = at::full({1 << 22}, 1e-4F);
  const double exact = std::sqrt(static_cast<double>(1 << 22)) * static_cast<double>(1e-4F);
  EXPECT_NEAR(sum_of_squares(gradients).sqrt().item<double>(), exact, 1e-12 * exact);
}

}  // namespace
}  // namespace collimate
