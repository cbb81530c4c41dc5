#include "tensor_bytes.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <utility>

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include "collimate/base/error.hpp"

namespace collimate::detail {

namespace {

constexpr std::array kWeightDtypes{std::pair{StorageDtype::kF64, at::kDouble},
                                   std::pair{StorageDtype::kF32, at::kFloat}, std::pair{StorageDtype::kF16, at::kHalf},
                                   std::pair{StorageDtype::kBF16, at::kBFloat16}};

/// A thread's part of a comparison: some megabytes.
constexpr std::int64_t kComparedElements = 1048576;

TensorView part_of(const TensorView& view, std::int64_t offset, std::int64_t length) {
  const auto size = static_cast<std::int64_t>(element_bytes(view.dtype));
  return {{.name = view.name, .dtype = view.dtype, .shape = {length}},
          view.bytes.subspan(static_cast<std::size_t>(offset * size), static_cast<std::size_t>(length * size))};
}

// Equal bytes are equal values; equal values may differ in bytes: 0 and -0, and those of two dtypes. float64 has all.
bool are_equal_parts(const TensorView& first, const TensorView& second) {
  if (first.dtype == second.dtype && std::memcmp(first.bytes.data(), second.bytes.data(), first.bytes.size()) == 0) {
    return true;
  }
  return tensor_on(first).to(at::kDouble).equal(tensor_on(second).to(at::kDouble));
}

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

bool have_equal_values(const TensorView& first, const TensorView& second) {
  if (first.shape != second.shape) return false;
  const auto num_elements = static_cast<std::int64_t>(first.num_bytes() / element_bytes(first.dtype));
  const std::int64_t num_parts = (num_elements + kComparedElements - 1) / kComparedElements;
  std::atomic<bool> are_equal = true;
  at::parallel_for(0, num_parts, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t part = begin; part < end && are_equal; ++part) {
      const std::int64_t offset = part * kComparedElements;
      const std::int64_t length = std::min(kComparedElements, num_elements - offset);
      if (!are_equal_parts(part_of(first, offset, length), part_of(second, offset, length))) are_equal = false;
    }
  });
  return are_equal;
}

TensorInfo info_of(const std::string& name, const at::Tensor& tensor) {
  return {.name = name, .dtype = storage_dtype_of(tensor.scalar_type()), .shape = tensor.sizes().vec()};
}

}  // namespace collimate::detail
