#include "collimate/nn/weight_gradients.hpp"

#include <algorithm>
#include <array>
#include <memory>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include "collimate/nn/linear.hpp"
#include "gradient_check.hpp"

namespace collimate {
namespace {

using Key = WeightGradientQueue::Key;
using Tensors = std::vector<at::Tensor>;

/// Two projections of one input, the first with a bias, and one back; and four inputs with rows of their own.
struct Layers {
  Tensors parameters = test::random_tensors({{4, 5}, {4}, {4, 5}, {3, 4}}, 3);
  Tensors inputs = test::random_tensors({{7, 5}, {1, 5}, {0, 5}, {6, 5}}, 4);

  Layers() {
    for (at::Tensor& parameter : parameters) parameter.requires_grad_();
    for (at::Tensor& input : inputs) input.requires_grad_();
  }

  /// Adds the gradients of microbatch `index`, up to what `queue` keeps.
  void pass_backward(std::size_t index, WeightGradientQueue* queue) const {
    const std::vector<LinearWeight> pair{{parameters[0], parameters[1]}, {parameters[2], {}}};
    const Tensors middle = linear({.value = inputs[index]}, pair, queue);
    linear({.value = middle[0].tanh() * middle[1]}, {.weight = parameters[3], .bias = {}}, queue)
        .square()
        .sum()
        .backward();
  }

  [[nodiscard]] Tensors gradients() const {
    Tensors grads;
    for (const at::Tensor& leaf : parameters) grads.push_back(leaf.grad());
    for (const at::Tensor& leaf : inputs) grads.push_back(leaf.grad());
    return grads;
  }
};

/// One key a microbatch: two stages, two microbatches.
constexpr std::array kKeys{Key{0, 0}, Key{0, 1}, Key{1, 0}, Key{1, 1}};

void defer_all(const Layers& layers, WeightGradientQueue& queue) {
  for (std::size_t index = 0; index < kKeys.size(); ++index) {
    queue.defer(kKeys[index]);
    layers.pass_backward(index, &queue);
    queue.stop_deferring();
  }
}

Tensors gradients_at_once(WeightGradientQueue* queue) {
  const Layers layers;
  for (std::size_t index = 0; index < kKeys.size(); ++index) layers.pass_backward(index, queue);
  return layers.gradients();
}

void expect_same(const Tensors& got, const Tensors& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_TRUE(got[i].defined()) << "gradient " << i;
    EXPECT_LE(test::relative_difference(got[i], expected[i]), 1e-14) << "gradient " << i;
  }
}

TEST(WeightGradientsTest, products_left_for_later_give_the_same_gradients_in_any_order) {
  const Tensors expected = gradients_at_once(nullptr);
  std::array order = kKeys;
  do {
    const Layers layers;
    WeightGradientQueue queue;
    defer_all(layers, queue);
    for (const Key& key : order) {
      EXPECT_FALSE(queue.is_empty());
      queue.run(key);
    }
    EXPECT_TRUE(queue.is_empty());
    expect_same(layers.gradients(), expected);
  } while (std::ranges::next_permutation(order).found);
}

TEST(WeightGradientsTest, passes_at_once_and_for_later_may_follow_one_another) {
  const Layers layers;
  WeightGradientQueue queue;
  for (std::size_t index = 0; index < kKeys.size(); ++index) {
    if (index % 2 == 0) queue.defer(kKeys[index]);
    layers.pass_backward(index, &queue);
    queue.stop_deferring();
    if (index == 1) queue.run(kKeys[0]);
  }
  queue.run(kKeys[2]);
  EXPECT_TRUE(queue.is_empty());
  expect_same(layers.gradients(), gradients_at_once(nullptr));
}

TEST(WeightGradientsTest, a_queue_that_does_not_defer_changes_nothing) {
  WeightGradientQueue queue;
  expect_same(gradients_at_once(&queue), gradients_at_once(nullptr));
  EXPECT_TRUE(queue.is_empty());
}

TEST(WeightGradientsTest, only_the_products_of_weights_wait) {
  const Layers layers;
  WeightGradientQueue queue;
  defer_all(layers, queue);
  for (const std::size_t weight : {0U, 2U, 3U}) EXPECT_FALSE(layers.parameters[weight].grad().defined()) << weight;
  EXPECT_TRUE(layers.parameters[1].grad().defined()) << "the bias";
  const Tensors expected = gradients_at_once(nullptr);
  for (std::size_t index = 0; index < kKeys.size(); ++index) {
    EXPECT_LE(test::relative_difference(layers.inputs[index].grad(), expected[layers.parameters.size() + index]), 0);
  }
}

TEST(WeightGradientsTest, one_key_runs_its_own_products_only) {
  const Layers layers;
  WeightGradientQueue queue;
  defer_all(layers, queue);
  queue.run(kKeys[3]);
  const Layers alone;
  alone.pass_backward(3, nullptr);
  for (const std::size_t weight : {0U, 2U, 3U}) {
    EXPECT_LE(test::relative_difference(layers.parameters[weight].grad(), alone.parameters[weight].grad()), 1e-14);
  }
  const at::Tensor before = layers.parameters[0].grad().clone();
  queue.run(kKeys[3]);
  queue.run({7, 7});
  EXPECT_LE(test::relative_difference(layers.parameters[0].grad(), before), 0) << "nothing is left under these keys";
}

TEST(WeightGradientsTest, a_weight_without_gradient_leaves_nothing) {
  Layers layers;
  for (at::Tensor& parameter : layers.parameters) parameter.requires_grad_(false);
  WeightGradientQueue queue;
  defer_all(layers, queue);
  EXPECT_TRUE(queue.is_empty());
  EXPECT_TRUE(layers.inputs[0].grad().defined());
}

TEST(WeightGradientsTest, clear_forgets_the_products_and_stops_deferring) {
  const Layers layers;
  WeightGradientQueue queue;
  defer_all(layers, queue);
  queue.defer({5, 5});
  queue.clear();
  EXPECT_TRUE(queue.is_empty());
  EXPECT_FALSE(queue.takes_products());
  for (const Key& key : kKeys) queue.run(key);
  EXPECT_FALSE(layers.parameters[0].grad().defined());
}

TEST(WeightGradientsTest, a_product_that_has_run_keeps_no_tensor_alive) {
  const at::Tensor weight = test::random_tensors({{2, 3}})[0].requires_grad_();
  const at::Tensor grad = test::random_tensors({{4, 2}})[0];
  const at::Tensor x = test::random_tensors({{4, 3}})[0];
  WeightGradientQueue queue;
  queue.defer(kKeys[0]);
  queue.take(weight, grad, std::make_shared<KeptInput>(Tensors{x}, InputFormula()));
  EXPECT_EQ(x.use_count(), 2);
  queue.run(kKeys[0]);
  EXPECT_EQ(x.use_count(), 1);
  EXPECT_EQ(grad.use_count(), 1);
  EXPECT_LE(test::relative_difference(weight.grad(), grad.t().matmul(x)), 1e-14);
}

}  // namespace
}  // namespace collimate
