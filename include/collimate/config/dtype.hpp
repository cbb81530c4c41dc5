#pragma once
// The element type that weights and activations have during computation, as a configuration names it.

#include "collimate/config/enum_names.hpp"

namespace collimate {

enum class ComputeDtype { kFloat32, kBFloat16, kFloat64 };

template <>
inline constexpr auto enum_names<ComputeDtype> = std::to_array<EnumName<ComputeDtype>>(
    {{ComputeDtype::kFloat32, "float32"}, {ComputeDtype::kBFloat16, "bfloat16"}, {ComputeDtype::kFloat64, "float64"}});

}  // namespace collimate
