#include "collimate/plan/device_peak_table.hpp"

#include <algorithm>
#include <array>

#include "collimate/base/error.hpp"

namespace collimate {

namespace {

// TFLOP/s. bfloat16: tensor cores, dense (data sheets also print twice that, with sparsity).
struct DataSheet {
  std::string_view name;  // a part of what the driver calls the GPU
  double bfloat16;
  double float32;
  double float64;
};

// A name that is part of another stands behind it. Sources: NVIDIA's data sheets of A100 (2021), H100 (2023), H200
// (2024), HGX B200 and GB200 (2025), L40S (2023) and the Ada architecture's white paper (RTX 4090, 2022).
constexpr std::array kDataSheets{DataSheet{.name = "GB200", .bfloat16 = 2500, .float32 = 80, .float64 = 40},
                                 DataSheet{.name = "B200", .bfloat16 = 2250, .float32 = 75, .float64 = 37},
                                 DataSheet{.name = "H200 NVL", .bfloat16 = 835.5, .float32 = 60, .float64 = 60},
                                 DataSheet{.name = "H200", .bfloat16 = 989.4, .float32 = 67, .float64 = 67},
                                 DataSheet{.name = "H100 NVL", .bfloat16 = 835.5, .float32 = 60, .float64 = 60},
                                 DataSheet{.name = "H100 PCIe", .bfloat16 = 756, .float32 = 51, .float64 = 51},
                                 DataSheet{.name = "H100", .bfloat16 = 989.4, .float32 = 67, .float64 = 67},
                                 DataSheet{.name = "A100", .bfloat16 = 312, .float32 = 19.5, .float64 = 19.5},
                                 DataSheet{.name = "L40S", .bfloat16 = 362, .float32 = 91.6, .float64 = 1.4},
                                 DataSheet{.name = "RTX 4090", .bfloat16 = 165.2, .float32 = 82.6, .float64 = 1.3}};

double tflops_of(const DataSheet& sheet, ComputeDtype dtype) {
  switch (dtype) {
    case ComputeDtype::kBFloat16:
      return sheet.bfloat16;
    case ComputeDtype::kFloat32:
      return sheet.float32;
    case ComputeDtype::kFloat64:
      return sheet.float64;
  }
  throw InvariantError("every dtype has a peak");
}

}  // namespace

std::optional<double> data_sheet_flops(std::string_view name, ComputeDtype dtype) {
  const auto* const sheet = std::ranges::find_if(
      kDataSheets, [&](const DataSheet& candidate) { return name.find(candidate.name) != std::string_view::npos; });
  if (sheet == kDataSheets.end()) return std::nullopt;
  return tflops_of(*sheet, dtype) * 1e12;
}

}  // namespace collimate
