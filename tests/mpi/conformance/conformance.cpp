#include "conformance.hpp"

#include <cstring>

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/remainder.h>
#include <fmt/format.h>

namespace collimate::conformance {

std::vector<Case> all_cases() {
  std::vector<Case> all;
  for (const auto& cases : {reduction_cases(), gather_cases(), message_cases(), control_cases(), check_level_cases(),
                            count_cases(), started_cases()}) {
    all.insert(all.end(), cases.begin(), cases.end());
  }
  return all;
}

std::vector<Content> contents(const std::vector<at::ScalarType>& dtypes) {
  constexpr std::int64_t kLargeBytes = std::int64_t{16} << 20;
  std::vector<Content> all;
  for (const at::ScalarType dtype : dtypes) {
    const std::int64_t large = kLargeBytes / static_cast<std::int64_t>(elementSize(dtype));
    for (const std::int64_t elements : {std::int64_t{0}, std::int64_t{1}, std::int64_t{13}, large}) {
      all.push_back({.dtype = dtype, .elements = elements});
    }
  }
  return all;
}

std::vector<Case> for_each_content(const std::string& name, const std::vector<at::ScalarType>& dtypes,
                                   const std::function<void(GroupFactory&, Content)>& run) {
  std::vector<Case> cases;
  for (const Content content : contents(dtypes)) {
    cases.push_back({.name = fmt::format("{}_{}_{}", name, toString(content.dtype), content.elements),
                     .run = [=](GroupFactory& factory) { run(factory, content); }});
  }
  return cases;
}

void on_each_group(GroupFactory& factory, const std::function<void(Communicator&)>& part) {
  const int size = factory.world_size();
  std::vector<int> reversed;
  for (int rank = size; rank-- > 0;) reversed.push_back(rank);
  std::vector<int> every_second;
  for (int rank = factory.world_rank() % 2; rank < size; rank += 2) every_second.push_back(rank);
  part(*factory.make_world_group());
  part(*factory.make_group("reversed", reversed));
  part(*factory.make_group("every_second", every_second));
}

void on_groups_for(Content content, GroupFactory& factory, const std::function<void(Communicator&)>& part) {
  if (content.elements < 1000) return on_each_group(factory, part);
  part(*factory.make_world_group());
}

at::Tensor ramp(at::ScalarType dtype, std::int64_t elements, std::int64_t begin) {
  constexpr std::int64_t kPeriod = 7;
  constexpr std::int64_t kBlock = 4096 * kPeriod;  // repeating a long block is quick
  const std::int64_t phase = begin % kPeriod;
  const at::Tensor block = at::remainder(at::arange(phase, phase + kBlock, at::kLong), kPeriod).to(dtype);
  return block.repeat({elements / kBlock + 1}).narrow(0, 0, elements);
}

bool same_bytes(const at::Tensor& a, const at::Tensor& b) {
  if (a.scalar_type() != b.scalar_type() || a.sizes() != b.sizes()) return false;
  const auto bytes = static_cast<std::size_t>(a.numel()) * a.element_size();
  return bytes == 0 || std::memcmp(a.contiguous().const_data_ptr(), b.contiguous().const_data_ptr(), bytes) == 0;
}

}  // namespace collimate::conformance
