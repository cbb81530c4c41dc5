#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "collimate/nn/logprob_head.hpp"
#include "collimate/nn/model_shard.hpp"
#include "naive_decoder.hpp"
#include "support/tiny_model.hpp"

namespace collimate {
namespace {

using test::relative_difference;

const std::vector<PairLengths> kLengths{{4, 7, 3}, {9, 1, 12}, {1, 5, 5}, {6, 40, 2}};

/// Pairs of kLengths. Of every second one each third response token is labelled, from the second of chosen and the
/// first of rejected on.
std::vector<PairTokens> some_labelled_pairs(std::int64_t vocab_size) {
  std::vector<PairTokens> pairs = test::random_pairs(kLengths, vocab_size, 3);
  for (std::size_t i = 0; i < pairs.size(); i += 2) {
    PairLengths& lengths = pairs[i].lengths;
    const auto chosen_begin = static_cast<std::size_t>(lengths.num_prompt_tokens);
    const auto rejected_begin = chosen_begin + static_cast<std::size_t>(lengths.num_chosen_tokens);
    pairs[i].is_labelled.assign(pairs[i].tokens.size(), 0);
    lengths.num_labelled_chosen_tokens = lengths.num_labelled_rejected_tokens = 0;
    for (std::size_t t = chosen_begin + 1; t < rejected_begin; t += 3, ++lengths.num_labelled_chosen_tokens) {
      pairs[i].is_labelled[t] = 1;
    }
    for (std::size_t t = rejected_begin; t < pairs[i].tokens.size(); t += 3, ++lengths.num_labelled_rejected_tokens) {
      pairs[i].is_labelled[t] = 1;
    }
  }
  return pairs;
}

struct PassResult {
  at::Tensor sums;
  std::vector<at::Tensor> grads;
};

// An arbitrary weight per response, so that gradients differ in sign and size.
at::Tensor response_factors(std::int64_t count) { return at::arange(count, at::kDouble).sin() + 0.2; }

// Sums and gradients of all pairs laid out in microbatches of `pairs_per_microbatch`.
PassResult run_packed(const ModelSpec& spec, const std::vector<PairTokens>& pairs, const PairLayout& layout,
                      std::size_t pairs_per_microbatch) {
  const ModelShard shard(spec, test::random_weights(5), {.dtype = at::kDouble});
  const at::Tensor factors = response_factors(2 * static_cast<std::int64_t>(pairs.size()));
  std::vector<at::Tensor> sums;
  std::int64_t first_response = 0;
  for (std::size_t i = 0; i < pairs.size(); i += pairs_per_microbatch) {
    const std::size_t count = std::min(pairs_per_microbatch, pairs.size() - i);
    const MicroBatch microbatch = build_microbatch(std::span(pairs).subspan(i, count), layout);
    const at::Tensor part = response_log_probs(shard.stage(0).forward(microbatch), shard.stage(0).head(),
                                               microbatch.rows, microbatch.num_responses)
                                .sums;
    part.backward(factors.narrow(0, first_response, microbatch.num_responses));
    sums.push_back(part.detach());
    first_response += microbatch.num_responses;
  }
  PassResult result{.sums = at::cat(sums), .grads = {}};
  for (const Parameter& parameter : shard.parameters()) result.grads.push_back(parameter.value.grad());
  return result;
}

PassResult run_naive(const ModelSpec& spec, const std::vector<PairTokens>& pairs, std::vector<std::string>& names) {
  const ModelShard shard(spec, test::random_weights(5), {.dtype = at::kDouble});
  const test::NaiveDecoder naive(spec, shard.parameters());
  const at::Tensor sums = naive.response_sums(pairs);
  sums.backward(response_factors(sums.numel()));
  PassResult result{.sums = sums.detach(), .grads = {}};
  for (const Parameter& parameter : shard.parameters()) {
    names.push_back(parameter.name);
    result.grads.push_back(naive.parameter(parameter.name).grad());
  }
  return result;
}

void expect_equal(const PassResult& packed, const PassResult& naive, const std::vector<std::string>& names) {
  EXPECT_LE(relative_difference(packed.sums, naive.sums), 1e-12);
  for (std::size_t i = 0; i < names.size(); ++i) {
    EXPECT_LE(relative_difference(packed.grads[i], naive.grads[i]), 1e-12) << names[i];
  }
}

struct NamedSpec {
  std::string name;
  ModelSpec spec;
  friend std::ostream& operator<<(std::ostream& stream, const NamedSpec& entry) { return stream << entry.name; }
};

NamedSpec make_case(const std::string& name, const std::function<void(ModelSpec&)>& change) {
  ModelSpec spec = test::tiny_spec();
  change(spec);
  return {name, spec};
}

void set_window(ModelSpec& spec, std::int64_t window, const std::vector<bool>& layers) {
  spec.sliding_window = window;
  spec.windowed_layers = layers;
}

std::vector<NamedSpec> cases() {
  return {make_case("plain", [](ModelSpec&) {}),
          make_case("multi_head", [](ModelSpec& spec) { spec.num_kv_heads = 4; }),
          make_case("multi_query", [](ModelSpec& spec) { spec.num_kv_heads = 1; }),
          make_case("tied", [](ModelSpec& spec) { spec.tie_word_embeddings = true; }),
          make_case("wide_heads", [](ModelSpec& spec) { spec.head_dim = 10; }),
          make_case("window_1", [](ModelSpec& spec) { set_window(spec, 1, {true, true}); }),
          make_case("window_4", [](ModelSpec& spec) { set_window(spec, 4, {true, true}); }),
          make_case("window_11", [](ModelSpec& spec) { set_window(spec, 11, {true, false}); }),
          make_case("window_45", [](ModelSpec& spec) { set_window(spec, 45, {true, true}); }),
          {"all_options", test::tiny_spec_with_all_options()}};
}

class StagePackingTest : public testing::TestWithParam<NamedSpec> {};

TEST_P(StagePackingTest, any_packing_and_prefix_sharing_equals_the_dense_twin) {
  const ModelSpec& spec = GetParam().spec;
  const std::vector<PairTokens> pairs = some_labelled_pairs(spec.vocab_size);
  std::vector<std::string> names;
  const PassResult naive = run_naive(spec, pairs, names);
  for (const bool prefix_sharing : {true, false}) {
    for (const std::size_t pairs_per_microbatch : {1U, 3U, 4U}) {
      SCOPED_TRACE(testing::Message() << "sharing " << prefix_sharing << ", pairs " << pairs_per_microbatch);
      const PairLayout layout{.prefix_sharing = prefix_sharing, .responses = Responses::kBoth};
      expect_equal(run_packed(spec, pairs, layout, pairs_per_microbatch), naive, names);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Specs, StagePackingTest, testing::ValuesIn(cases()),
                         [](const auto& entry) { return entry.param.name; });

TEST(StageTest, float32_agrees_with_float64_to_its_precision) {
  const ModelSpec spec = test::tiny_spec_with_all_options();
  const std::vector<PairTokens> pairs = test::random_pairs(kLengths, spec.vocab_size, 3);
  const MicroBatch microbatch = build_microbatch(pairs, {});
  const auto hidden = [&](at::ScalarType dtype) {
    return ModelShard(spec, test::random_weights(5), {.dtype = dtype}).stage(0).forward(microbatch).detach();
  };
  EXPECT_EQ(hidden(at::kFloat).scalar_type(), at::kFloat);
  EXPECT_LE(relative_difference(hidden(at::kFloat), hidden(at::kDouble)), 2e-6);
}

TEST(StageTest, an_empty_microbatch_has_no_rows_and_zero_gradients) {
  const ModelSpec spec = test::tiny_spec_with_all_options();
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) {
    const ModelShard shard(spec, test::random_weights(5), {.dtype = dtype});
    const at::Tensor hidden = shard.stage(0).forward(build_microbatch({}, {}));
    EXPECT_EQ(hidden.sizes(), at::IntArrayRef({0, spec.hidden_size}));
    const at::Tensor sums = response_log_probs(hidden, shard.stage(0).head(), {}, 0).sums;
    EXPECT_EQ(sums.numel(), 0);
    sums.backward(at::zeros({0}, at::kDouble));
    for (const Parameter& parameter : shard.parameters()) {
      ASSERT_TRUE(parameter.value.grad().defined()) << parameter.name;
      EXPECT_EQ(parameter.value.grad().abs().sum().item<double>(), 0) << parameter.name;
    }
  }
}

TEST(StageTest, parameters_stand_in_the_order_of_the_logical_tensors) {
  const ModelSpec spec = test::tiny_spec_with_all_options();
  const ModelShard shard(spec, test::random_weights(5), {});
  const std::vector<LogicalTensor> tensors = logical_tensors(spec);
  ASSERT_EQ(shard.parameters().size(), tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_EQ(shard.parameters()[i].name, tensors[i].name);
    EXPECT_EQ(shard.parameters()[i].value.sizes(), at::IntArrayRef(tensors[i].shape));
    EXPECT_TRUE(shard.parameters()[i].value.is_leaf() && shard.parameters()[i].value.requires_grad());
  }
  EXPECT_TRUE(shard.stage(0).head().weight.is_same(shard.parameters()[0].value)) << "tied";
}

TEST(StageTest, a_frozen_stage_keeps_no_history) {
  const ModelSpec spec = test::tiny_spec();
  const ModelShard shard(spec, test::random_weights(5), {.dtype = at::kFloat, .trainable = false});
  const MicroBatch microbatch = build_microbatch(test::random_pairs(kLengths, spec.vocab_size, 3), {});
  const at::Tensor hidden = shard.stage(0).forward(microbatch);
  EXPECT_FALSE(hidden.requires_grad());
  EXPECT_FALSE(response_log_probs(hidden, shard.stage(0).head(), microbatch.rows, microbatch.num_responses)
                   .sums.requires_grad());
}

TEST(StageTest, forward_does_the_same_twice_and_leaves_the_parameters_alone) {
  const ModelSpec spec = test::tiny_spec_with_all_options();
  const ModelShard shard(spec, test::random_weights(5), {});
  const at::Tensor before = shard.parameters()[0].value.detach().clone();
  const MicroBatch microbatch = build_microbatch(test::random_pairs(kLengths, spec.vocab_size, 3), {});
  EXPECT_TRUE(at::equal(shard.stage(0).forward(microbatch), shard.stage(0).forward(microbatch)));
  EXPECT_TRUE(at::equal(shard.parameters()[0].value, before));
}

TEST(StageTest, refuses_a_wrong_shape_and_a_token_outside_the_vocabulary) {
  const ModelSpec spec = test::tiny_spec();
  EXPECT_THROW(ModelShard(spec, [](const PlacedTensor&) { return at::zeros({3}); }), InvariantError);
  const ModelShard shard(spec, test::random_weights(5), {});
  MicroBatch microbatch = build_microbatch(test::random_pairs(kLengths, spec.vocab_size, 3), {});
  microbatch.tokens[2] = spec.vocab_size;
  EXPECT_THROW((void)shard.stage(0).forward(microbatch), InvariantError);
}

}  // namespace
}  // namespace collimate
