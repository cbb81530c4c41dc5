#include "tensor_bytes.hpp"

#include <array>
#include <cstdint>
#include <cstring>
#include <utility>

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include "collimate/base/error.hpp"

namespace collimate::detail {

namespace {

constexpr std::array kWeightDtypes{std::pair{StorageDtype::kF64, at::kDouble},
                                   std::pair{StorageDtype::kF32, at::kFloat}, std::pair{StorageDtype::kF16, at::kHalf},
                                   std::pair{StorageDtype::kBF16, at::kBFloat16}};

}  // namespace

bool is_weight_dtype(StorageDtype dtype) {
  for (const auto& row : kWeightDtypes) {
    if (row.first == dtype) return true;
  }
  return false;
}

at::ScalarType scalar_type_of(StorageDtype dtype) {
  for (const auto& [stored, scalar] : kWeightDtypes) {
    if (stored == dtype) return scalar;
  }
  throw InvariantError("a dtype that weights do not have");
}

StorageDtype storage_dtype_of(at::ScalarType dtype) {
  for (const auto& [stored, scalar] : kWeightDtypes) {
    if (scalar == dtype) return stored;
  }
  throw InvariantError("a dtype that weights do not have");
}

at::Tensor copy_of(const TensorView& view) {
  at::Tensor tensor = at::empty(view.shape, at::TensorOptions().dtype(scalar_type_of(view.dtype)));
  if (!view.bytes.empty()) std::memcpy(tensor.data_ptr(), view.bytes.data(), view.bytes.size());
  return tensor;
}

at::Tensor tensor_on(const TensorView& view) {
  const bool is_aligned = reinterpret_cast<std::uintptr_t>(view.bytes.data()) % element_bytes(view.dtype) == 0;
  if (!is_aligned || view.bytes.empty()) return copy_of(view);
  void* const bytes = const_cast<std::byte*>(view.bytes.data());  // libtorch has no tensors of constants
  return at::from_blob(bytes, view.shape, at::TensorOptions().dtype(scalar_type_of(view.dtype)));
}

std::span<const std::byte> bytes_of(const at::Tensor& tensor) {
  check(tensor.is_contiguous() && tensor.device().is_cpu(), "a tensor is contiguous and on the CPU when it is written");
  return {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()};
}

TensorInfo info_of(const std::string& name, const at::Tensor& tensor) {
  return {.name = name, .dtype = storage_dtype_of(tensor.scalar_type()), .shape = tensor.sizes().vec()};
}

}  // namespace collimate::detail
