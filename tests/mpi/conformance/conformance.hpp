#pragma once
// What every backend must do. A case is a function of a factory of groups, which every rank of a job calls: MPI tests
// call it in processes, a unit test in threads. Rank r of a group contributes small whole numbers that are exact in
// every dtype, so that results are known in closed form whatever the order of the sum.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "collimate/comm/group_factory.hpp"

namespace collimate::conformance {

struct Case {
  std::string name;
  std::function<void(GroupFactory&)> run;
};

std::vector<Case> all_cases();

std::vector<Case> reduction_cases();
std::vector<Case> gather_cases();
std::vector<Case> message_cases();
std::vector<Case> control_cases();
std::vector<Case> check_level_cases();
std::vector<Case> count_cases();
std::vector<Case> started_cases();

/// A dtype and the number of elements of one rank's tensor.
struct Content {
  at::ScalarType dtype;
  std::int64_t elements;
};

/// Each dtype with no, one, an odd number of elements, and 16 MiB.
std::vector<Content> contents(const std::vector<at::ScalarType>& dtypes);

/// `name`_`dtype`_`elements`, one case for each content.
std::vector<Case> for_each_content(const std::string& name, const std::vector<at::ScalarType>& dtypes,
                                   const std::function<void(GroupFactory&, Content)>& run);

/// *Collective.* Runs `part` on a group of all ranks, on one of all ranks in reverse order, and on a group of every
/// second rank.
void on_each_group(GroupFactory& factory, const std::function<void(Communicator&)>& part);

/// *Collective.* As on_each_group, but with large content on the first group alone: the others would show nothing more.
void on_groups_for(Content content, GroupFactory& factory, const std::function<void(Communicator&)>& part);

/// Elements [begin, begin + elements) of 0, 1, ..., 6, 0, 1, ...
at::Tensor ramp(at::ScalarType dtype, std::int64_t elements, std::int64_t begin = 0);

/// Whether two tensors have equal dtype, shape and bytes.
bool same_bytes(const at::Tensor& a, const at::Tensor& b);

}  // namespace collimate::conformance
