// all_gather and broadcast.

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include "conformance.hpp"

namespace collimate::conformance {

namespace {

const std::vector<at::ScalarType> kAnyDtype{at::kFloat, at::kDouble, at::kBFloat16, at::kLong, at::kBool};

// What rank `rank` has: different on every rank, also as truth values.
at::Tensor content_of(int rank, Content content) { return ramp(content.dtype, content.elements, 3 * rank); }

void all_gather_gives_all_in_rank_order(GroupFactory& factory, Content content) {
  on_groups_for(content, factory, [&](Communicator& group) {
    std::vector<at::Tensor> parts;
    for (int rank = 0; rank < group.size(); ++rank) parts.push_back(content_of(rank, content));
    const at::Tensor expected = at::cat(parts);
    at::Tensor output = at::zeros_like(expected);
    group.all_gather(output, content_of(group.rank(), content));
    EXPECT_TRUE(same_bytes(output, expected)) << group.name();

    at::Tensor whole = at::zeros_like(expected);
    at::Tensor own = whole.narrow(0, group.rank() * content.elements, content.elements);
    own.copy_(content_of(group.rank(), content));
    group.all_gather(whole, own);
    EXPECT_TRUE(same_bytes(whole, expected)) << group.name() << ", in place";
  });
}

void broadcast_gives_the_content_of_any_root(GroupFactory& factory, Content content) {
  on_groups_for(content, factory, [&](Communicator& group) {
    for (int root = 0; root < group.size(); ++root) {
      at::Tensor tensor = content_of(group.rank(), content);
      group.broadcast(tensor, root);
      EXPECT_TRUE(same_bytes(tensor, content_of(root, content))) << group.name() << ", root " << root;
    }
  });
}

void gathers_rows(GroupFactory& factory) {
  on_each_group(factory, [&](Communicator& group) {
    const auto rows_of = [](int rank) { return (ramp(at::kFloat, 12) + 10 * rank).view({2, 3, 2}); };
    at::Tensor all = at::empty({2 * group.size(), 3, 2}, at::kFloat);
    group.all_gather(all, rows_of(group.rank()));
    for (int rank = 0; rank < group.size(); ++rank) {
      EXPECT_TRUE(same_bytes(all.narrow(0, 2 * rank, 2), rows_of(rank)));
    }
  });
}

}  // namespace

std::vector<Case> gather_cases() {
  std::vector<Case> cases =
      for_each_content("all_gather_gives_all_in_rank_order", kAnyDtype, all_gather_gives_all_in_rank_order);
  for (Case& each : for_each_content("broadcast_gives_the_content_of_any_root", kAnyDtype,
                                     broadcast_gives_the_content_of_any_root)) {
    cases.push_back(std::move(each));
  }
  cases.push_back({"all_gather_gathers_rows", gathers_rows});
  return cases;
}

}  // namespace collimate::conformance
