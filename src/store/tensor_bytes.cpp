#include "tensor_bytes.hpp"

#include <array>
#include <cstring>
#include <utility>

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

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

std::span<const std::byte> bytes_of(const at::Tensor& tensor) {
  check(tensor.is_contiguous() && tensor.device().is_cpu(), "a tensor is contiguous and on the CPU when it is written");
  return {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()};
}

TensorInfo info_of(const std::string& name, const at::Tensor& tensor) {
  return {.name = name, .dtype = storage_dtype_of(tensor.scalar_type()), .shape = tensor.sizes().vec()};
}

}  // namespace collimate::detail
