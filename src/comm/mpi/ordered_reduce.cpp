#include "ordered_reduce.hpp"

#include <algorithm>
#include <span>
#include <type_traits>
#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/util/BFloat16.h>
#include <fmt/format.h>

#include "collimate/base/error.hpp"
#include "collimate/base/shard_range.hpp"
#include "collimate/comm/exchange.hpp"
#include "mpi_messages.hpp"

namespace collimate::detail {

namespace {

// bfloat16 keeps 8 bits: it is summed in float32 and rounded once.
template <class Element>
using SumOf = std::conditional_t<std::is_same_v<Element, c10::BFloat16>, float, Element>;

template <class Element>
void combine(std::span<const Element* const> parts, std::int64_t count, Element* out, ReduceOp op) {
  for (std::int64_t i = 0; i < count; ++i) {
    SumOf<Element> result = parts[0][i];
    for (std::size_t k = 1; k < parts.size(); ++k) {
      const SumOf<Element> other = parts[k][i];
      result = op == ReduceOp::kSum ? result + other : std::max(result, other);
    }
    out[i] = static_cast<Element>(result);
  }
}

// The common case on one machine, in a loop that the compiler can vectorize.
template <class Element>
void add_two(const Element* first, const Element* second, std::int64_t count, Element* out) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) out[i] = first[i] + second[i];
}

template <class Element>
class OrderedReduce {
 public:
  OrderedReduce(const MpiGroup& group, const at::Tensor& values, at::Tensor& output, ReduceOp op)
      : group_(group),
        values_(values.const_data_ptr<Element>()),
        elements_(values.numel()),
        output_(output.data_ptr<Element>()),
        op_(op),
        block_elements_(exchange_block_elements(elements_, group.size)),
        received_(at::empty({block_elements_ * (group.size - 1)}, values.options().requires_grad(false))) {}

  void run() {
    const std::int64_t longest = shard_range(elements_, group_.size, 0).length;
    for (std::int64_t begin = 0; begin < longest; begin += block_elements_) reduce_block(begin);
  }

 private:
  // The block at `begin` of a rank's range.
  [[nodiscard]] ShardRange block_of(int rank, std::int64_t begin) const {
    const ShardRange range = shard_range(elements_, group_.size, rank);
    const std::int64_t length = std::clamp<std::int64_t>(range.length - begin, 0, block_elements_);
    return {.begin = range.begin + begin, .length = length};
  }

  void reduce_block(std::int64_t begin) {
    const ShardRange own = block_of(group_.rank, begin);
    MpiMessages messages(group_, MessageTag::kCollective);
    std::vector<const Element*> parts;
    Element* part = received_.data_ptr<Element>();
    for (int rank = 0; rank < group_.size; ++rank) {
      parts.push_back(rank == group_.rank ? values_ + own.begin : part);
      if (rank == group_.rank) continue;
      messages.receive(reinterpret_cast<std::byte*>(part), static_cast<std::size_t>(own.length) * sizeof(Element),
                       rank);
      part += own.length;
    }
    for (int rank = 0; rank < group_.size; ++rank) {
      if (rank == group_.rank) continue;
      const ShardRange theirs = block_of(rank, begin);
      messages.send(reinterpret_cast<const std::byte*>(values_ + theirs.begin),
                    static_cast<std::size_t>(theirs.length) * sizeof(Element), rank);
    }
    messages.wait();
    Element* const out = output_ + begin;
    if (parts.size() == 2 && op_ == ReduceOp::kSum && std::is_floating_point_v<Element>) {
      return add_two(parts[0], parts[1], own.length, out);
    }
    combine<Element>(parts, own.length, out, op_);
  }

  const MpiGroup& group_;
  const Element* values_;
  std::int64_t elements_;
  Element* output_;
  ReduceOp op_;
  std::int64_t block_elements_;
  at::Tensor received_;  // the others' blocks
};

template <class Element>
void reduce(const MpiGroup& group, const at::Tensor& values, at::Tensor& output, ReduceOp op) {
  OrderedReduce<Element>(group, values, output, op).run();
}

}  // namespace

void reduce_own_range(const MpiGroup& group, const at::Tensor& values, at::Tensor& output, ReduceOp op) {
  switch (values.scalar_type()) {
    case at::kFloat:
      return reduce<float>(group, values, output, op);
    case at::kDouble:
      return reduce<double>(group, values, output, op);
    case at::kBFloat16:
      return reduce<c10::BFloat16>(group, values, output, op);
    case at::kLong:
      return reduce<std::int64_t>(group, values, output, op);
    default:
      throw Error(fmt::format("group '{}' cannot reduce {} tensors", group.name, toString(values.scalar_type())));
  }
}

}  // namespace collimate::detail
