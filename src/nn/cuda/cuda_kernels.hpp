#pragma once
// What a CUDA device has of its own; see device_kernels.hpp.

#include "../device_kernels.hpp"

namespace collimate::detail::cuda {

/// FlashAttention for a whole stream where its kernels take dtype and heads; else block by block.
std::shared_ptr<const StreamAttention> make_attention(const StreamRows& rows, at::Device device);

}  // namespace collimate::detail::cuda
