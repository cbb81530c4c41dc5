#pragma once
// Several elementwise passes over a matrix, block by block, so that all but the first find their block in the cache.

#include <algorithm>

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include "collimate/base/shard_range.hpp"

namespace collimate::detail {

/// Calls work(first_row, num_rows) for blocks of a matrix, in parallel, without autograd; on another device than a CPU
/// once, for all rows.
template <class Work>
void for_row_blocks(const at::Tensor& matrix, const Work& work) {
  constexpr std::int64_t kBlockElements = 32768;
  const std::int64_t num_rows = matrix.size(0);
  const std::int64_t fitting_rows =
      std::max<std::int64_t>(1, kBlockElements / std::max<std::int64_t>(1, matrix.size(1)));
  const std::int64_t block_rows = matrix.is_cpu() ? fitting_rows : std::max<std::int64_t>(1, num_rows);
  const std::int64_t num_blocks = divide_up(num_rows, block_rows);
  at::parallel_for(0, num_blocks, 1, [&](std::int64_t first, std::int64_t last) {
    const at::NoGradGuard no_grad;  // Worker threads do not inherit the caller's mode.
    for (std::int64_t block = first; block < last; ++block) {
      const std::int64_t row = block * block_rows;
      work(row, std::min(block_rows, num_rows - row));
    }
  });
}

}  // namespace collimate::detail
