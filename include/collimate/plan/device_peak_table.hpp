#pragma once
// What GPUs reach by their data sheets. Pure.

#include <optional>
#include <string_view>

#include "collimate/config/dtype.hpp"

namespace collimate {

/// FLOP/s of dense matrix products, float32 without TF32, of a GPU that calls itself `name` ("NVIDIA H100 80GB HBM3");
/// nothing for one that the table does not have. *Local.*
std::optional<double> data_sheet_flops(std::string_view name, ComputeDtype dtype);

}  // namespace collimate
