// At CheckLevel::kFull ranks that have called different operations all throw, and none waits for ever.

#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "conformance.hpp"
#include "support/throws.hpp"

namespace collimate::conformance {

namespace {

using Call = std::function<void(Communicator&)>;

// The last rank does something else than the others; what each of the two is called in the message.
void mismatch_is_an_error_everywhere(GroupFactory& factory, const Call& most, const std::string& most_name,
                                     const Call& last, const std::string& last_name) {
  on_each_group(factory, [&](Communicator& group) {
    if (group.size() == 1) return;
    group.set_check_level(CheckLevel::kFull);
    const bool is_last = group.rank() == group.size() - 1;
    const auto text = testing::AllOf(testing::HasSubstr("'" + group.name() + "'"), testing::HasSubstr(most_name),
                                     testing::HasSubstr(last_name));
    EXPECT_THAT([&] { (is_last ? last : most)(group); }, throws<Error>(text));
    // The error has left the group in order.
    at::Tensor one = at::zeros({1}, at::kFloat) + 1;
    group.all_reduce(one, ReduceOp::kSum);
    EXPECT_EQ(one.item<float>(), static_cast<float>(group.size()));
  });
}

Call all_reduce_of(std::int64_t elements, at::ScalarType dtype, ReduceOp op = ReduceOp::kSum) {
  return [=](Communicator& group) {
    at::Tensor tensor = at::zeros({elements}, dtype);
    group.all_reduce(tensor, op);
  };
}

Call broadcast_from(int root) {
  return [=](Communicator& group) {
    at::Tensor tensor = at::zeros({2}, at::kFloat);
    group.broadcast(tensor, root);
  };
}

void barrier(Communicator& group) { group.barrier(); }

void all_gather(Communicator& group) {
  at::Tensor all = at::zeros({3 * group.size()}, at::kFloat);
  group.all_gather(all, at::zeros({3}, at::kFloat));
}

// Both ranks mean to do the same two operations, one the other way round.
void another_order(GroupFactory& factory) {
  const Call first = all_reduce_of(3, at::kFloat);
  mismatch_is_an_error_everywhere(
      factory,
      [&](Communicator& group) {
        first(group);
        barrier(group);
      },
      "number 0: all_reduce",
      [&](Communicator& group) {
        barrier(group);
        first(group);
      },
      "number 0: barrier");
}

// One rank is an operation behind: the same calls, but not the same numbers.
void a_missing_call(GroupFactory& factory) {
  const Call gather = all_gather;
  mismatch_is_an_error_everywhere(
      factory,
      [&](Communicator& group) {
        barrier(group);
        barrier(group);
        gather(group);
      },
      "number 2: all_gather",
      [&](Communicator& group) {
        barrier(group);
        barrier(group);
        barrier(group);
      },
      "number 2: barrier");
}

void equal_calls_go_through(GroupFactory& factory) {
  on_each_group(factory, [&](Communicator& group) {
    group.set_check_level(CheckLevel::kFull);
    barrier(group);
    all_gather(group);
    broadcast_from(group.size() - 1)(group);
    all_reduce_of(5, at::kDouble, ReduceOp::kMax)(group);
    std::string text = "text";
    group.broadcast_bytes(text, 0);
    // Texts may differ in length: that is what they are for.
    EXPECT_EQ(static_cast<int>(group.all_gather_bytes(std::string(static_cast<std::size_t>(group.rank()), 'x')).size()),
              group.size());
  });
}

}  // namespace

std::vector<Case> check_level_cases() {
  const auto mismatch = [](const Call& most, const std::string& most_name, const Call& last,
                           const std::string& last_name) {
    return [=](GroupFactory& factory) { mismatch_is_an_error_everywhere(factory, most, most_name, last, last_name); };
  };
  const Call sum = all_reduce_of(3, at::kFloat);
  const std::string sum_name = "all_reduce (sum) of 3 Float elements";
  return {
      {"full_check_finds_another_operation", mismatch(sum, sum_name, barrier, "barrier")},
      {"full_check_finds_another_collective", mismatch(sum, sum_name, all_gather, "all_gather of 3 Float elements")},
      {"full_check_finds_another_number_of_elements",
       mismatch(sum, sum_name, all_reduce_of(4, at::kFloat), "all_reduce (sum) of 4 Float elements")},
      {"full_check_finds_another_dtype",
       mismatch(sum, sum_name, all_reduce_of(3, at::kDouble), "all_reduce (sum) of 3 Double elements")},
      {"full_check_finds_another_reduction",
       mismatch(sum, sum_name, all_reduce_of(3, at::kFloat, ReduceOp::kMax), "all_reduce (max) of 3 Float elements")},
      {"full_check_finds_another_root", mismatch(broadcast_from(0), "broadcast from rank 0 of 2 Float elements",
                                                 broadcast_from(1), "broadcast from rank 1 of 2 Float elements")},
      {"full_check_finds_another_order", another_order},
      {"full_check_finds_a_missing_call", a_missing_call},
      {"full_check_lets_equal_calls_through", equal_calls_go_through},
  };
}

}  // namespace collimate::conformance
