#pragma once
// Between libtorch tensors and the bytes of safetensors files. Private to src/store.

#include <cstddef>
#include <span>
#include <string>

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>

#include "collimate/io/safetensors.hpp"

namespace collimate::detail {

/// The stored dtypes that weights may have: F64, F32, F16, BF16.
bool is_weight_dtype(StorageDtype dtype);

/// libtorch's dtype of a stored weight. Throws InvariantError for others than weight dtypes.
at::ScalarType scalar_type_of(StorageDtype dtype);
/// The stored dtype of a tensor. Throws InvariantError for others than weight dtypes.
StorageDtype storage_dtype_of(at::ScalarType dtype);

/// A tensor of its own with the view's bytes.
at::Tensor copy_of(const TensorView& view);

/// A tensor on the view's own bytes, which are not to be written; a copy where they are not aligned.
at::Tensor tensor_on(const TensorView& view);

/// The bytes of a contiguous CPU tensor; valid as long as it.
std::span<const std::byte> bytes_of(const at::Tensor& tensor);

/// Whether two tensors have the same shape and values, whatever dtypes they are stored in. Ends at the first
/// difference; reads both in parts, with all threads, and holds no more of them than a part a thread.
bool have_equal_values(const TensorView& first, const TensorView& second);

/// Name, stored dtype and shape of a tensor.
TensorInfo info_of(const std::string& name, const at::Tensor& tensor);

}  // namespace collimate::detail
