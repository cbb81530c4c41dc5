// all_reduce and reduce_scatter.

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "conformance.hpp"

namespace collimate::conformance {

namespace {

const std::vector<at::ScalarType> kReducible{at::kFloat, at::kDouble, at::kBFloat16, at::kLong};

// The sum over the group of a value that is rank r's plus r.
at::Tensor sum_over(const Communicator& group, const at::Tensor& value) {
  return value * group.size() + group.size() * (group.size() - 1) / 2;
}

void all_reduce_adds_and_takes_the_maximum(GroupFactory& factory, Content content) {
  on_groups_for(content, factory, [&](Communicator& group) {
    const at::Tensor base = ramp(content.dtype, content.elements);
    at::Tensor sum = base + group.rank();
    at::Tensor maximum = sum.clone();
    group.all_reduce(sum, ReduceOp::kSum);
    group.all_reduce(maximum, ReduceOp::kMax);
    EXPECT_TRUE(same_bytes(sum, sum_over(group, base))) << group.name();
    EXPECT_TRUE(same_bytes(maximum, base + (group.size() - 1))) << group.name();
  });
}

void reduce_scatter_adds_the_own_part(GroupFactory& factory, Content content) {
  on_groups_for(content, factory, [&](Communicator& group) {
    const at::Tensor input = ramp(content.dtype, content.elements * group.size()) + group.rank();
    const at::Tensor input_before = input.clone();
    at::Tensor output = at::empty({content.elements}, content.dtype);
    group.reduce_scatter(output, input);
    const std::int64_t begin = group.rank() * content.elements;
    const at::Tensor expected = sum_over(group, ramp(content.dtype, content.elements, begin));
    EXPECT_TRUE(same_bytes(output, expected)) << group.name();
    EXPECT_TRUE(same_bytes(input, input_before)) << group.name();

    at::Tensor in_place = input.narrow(0, begin, content.elements);
    group.reduce_scatter(in_place, input);
    EXPECT_TRUE(same_bytes(in_place, expected)) << group.name() << ", in place";
  });
}

void reduces_tensors_of_several_dims(GroupFactory& factory) {
  on_each_group(factory, [&](Communicator& group) {
    const at::Tensor base = ramp(at::kFloat, std::int64_t{30} * group.size()).view({2 * group.size(), 5, 3});
    at::Tensor sum = base + group.rank();
    at::Tensor part = at::empty({2, 5, 3}, at::kFloat);
    group.reduce_scatter(part, sum);
    group.all_reduce(sum, ReduceOp::kSum);
    EXPECT_TRUE(same_bytes(sum, sum_over(group, base)));
    EXPECT_TRUE(same_bytes(part, sum.narrow(0, 2 * group.rank(), 2)));

    at::Tensor scalar = at::full({}, group.rank(), at::kDouble);
    group.all_reduce(scalar, ReduceOp::kSum);
    EXPECT_EQ(scalar.item<double>(), group.size() * (group.size() - 1) / 2);
  });
}

// Sums of numbers that round: every rank must still have the same bits.
void every_rank_gets_the_same_bits(GroupFactory& factory, at::ScalarType dtype) {
  on_each_group(factory, [&](Communicator& group) {
    at::Tensor sum = (at::randn({10'007}, at::kDouble) * (group.rank() + 1)).to(dtype);
    group.all_reduce(sum, ReduceOp::kSum);
    const std::string own(static_cast<const char*>(sum.const_data_ptr()), sum.numel() * sum.element_size());
    for (const std::string& other : group.all_gather_bytes(own)) EXPECT_TRUE(other == own) << group.name();
  });
}

// 256 + 1 is 256 in bfloat16, however often.
void bfloat16_is_summed_in_float32(GroupFactory& factory) {
  on_each_group(factory, [&](Communicator& group) {
    at::Tensor sum = at::full({5}, group.rank() == 0 ? 256.0 : 1.0, at::kBFloat16);
    const at::Tensor input = sum.repeat({group.size()});
    at::Tensor part = at::empty({5}, at::kBFloat16);
    group.all_reduce(sum, ReduceOp::kSum);
    group.reduce_scatter(part, input);
    const at::Tensor expected = at::full({5}, 255.0 + group.size(), at::kFloat).to(at::kBFloat16);
    EXPECT_TRUE(same_bytes(sum, expected)) << sum;
    EXPECT_TRUE(same_bytes(part, expected)) << part;
  });
}

void refuses_a_dtype_that_has_no_sum(GroupFactory& factory) {
  on_each_group(factory, [&](Communicator& group) {
    if (group.size() == 1) return;  // the identity, for any dtype
    at::Tensor flags = at::zeros({2}, at::kBool);
    EXPECT_THROW(group.all_reduce(flags, ReduceOp::kSum), Error);
    EXPECT_THROW(group.all_reduce(flags, ReduceOp::kMax), Error);
    EXPECT_THROW(group.reduce_scatter(flags, at::zeros({2 * group.size()}, at::kBool)), Error);
  });
}

}  // namespace

std::vector<Case> reduction_cases() {
  std::vector<Case> cases =
      for_each_content("all_reduce_adds_and_takes_the_maximum", kReducible, all_reduce_adds_and_takes_the_maximum);
  for (Case& each :
       for_each_content("reduce_scatter_adds_the_own_part", kReducible, reduce_scatter_adds_the_own_part)) {
    cases.push_back(std::move(each));
  }
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    cases.push_back({std::string("every_rank_gets_the_same_bits_") + toString(dtype),
                     [=](GroupFactory& factory) { every_rank_gets_the_same_bits(factory, dtype); }});
  }
  cases.push_back({"reduces_tensors_of_several_dims", reduces_tensors_of_several_dims});
  cases.push_back({"bfloat16_is_summed_in_float32", bfloat16_is_summed_in_float32});
  cases.push_back({"refuses_a_dtype_that_has_no_sum", refuses_a_dtype_that_has_no_sum});
  return cases;
}

}  // namespace collimate::conformance
