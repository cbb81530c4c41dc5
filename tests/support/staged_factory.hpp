#pragma once
// Groups that carry tensors of another device over a backend of the CPU, for tests of a divided model on that device.

#include <memory>
#include <string>
#include <vector>

#include "collimate/comm/group_factory.hpp"

namespace collimate::test {

/// *Collective.* Groups for tensors of `device`, each over a group of `inner`, which must outlive the factory.
std::unique_ptr<GroupFactory> make_staged_factory(GroupFactory& inner, c10::Device device);

}  // namespace collimate::test
