#include "collimate/engine/reduce_metrics.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>

namespace collimate {

void reduce_metrics(std::vector<double>& values, Communicator& group) {
  at::Tensor view = at::from_blob(values.data(), {static_cast<std::int64_t>(values.size())}, at::kDouble);
  group.all_reduce(view, ReduceOp::kSum);
}

}  // namespace collimate
