#pragma once
// The arithmetic type of loops over a storage type (nn/wide_dtype.hpp).

#include <type_traits>

#include <c10/util/BFloat16.h>

namespace collimate::detail::cpu {

template <class T>
using Wide = std::conditional_t<std::is_same_v<T, c10::BFloat16>, float, T>;

}  // namespace collimate::detail::cpu
