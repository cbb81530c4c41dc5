#pragma once
// Numbers of the host on their way to a device.

#include <cstring>
#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

namespace collimate::detail {

/// A tensor of these numbers on the device. To a GPU they go through pinned memory, so that the host does not wait for
/// what the device still has to compute.
template <class T>
at::Tensor upload(const std::vector<T>& values, at::Device device) {
  const auto size = static_cast<std::int64_t>(values.size());
  const auto options = at::TensorOptions().dtype(c10::CppTypeToScalarType<T>::value).pinned_memory(device.is_cuda());
  const at::Tensor host = at::empty({size}, options);
  if (size > 0) std::memcpy(host.mutable_data_ptr(), values.data(), host.nbytes());
  return device.is_cpu() ? host : host.to(device, /*non_blocking=*/true);
}

}  // namespace collimate::detail
