#include <array>
#include <utility>

#include "collimate/base/error.hpp"
#include "collimate/io/safetensors.hpp"

namespace collimate {

namespace {

struct DtypeRow {
  StorageDtype dtype;
  std::string_view name;
  std::uint64_t bytes;
};

constexpr std::array kDtypes{
    DtypeRow{StorageDtype::kF64, "F64", 8},        DtypeRow{StorageDtype::kF32, "F32", 4},
    DtypeRow{StorageDtype::kBF16, "BF16", 2},      DtypeRow{StorageDtype::kF16, "F16", 2},
    DtypeRow{StorageDtype::kF8E4M3, "F8_E4M3", 1}, DtypeRow{StorageDtype::kF8E5M2, "F8_E5M2", 1},
    DtypeRow{StorageDtype::kI64, "I64", 8},        DtypeRow{StorageDtype::kI32, "I32", 4},
    DtypeRow{StorageDtype::kI16, "I16", 2},        DtypeRow{StorageDtype::kI8, "I8", 1},
    DtypeRow{StorageDtype::kU64, "U64", 8},        DtypeRow{StorageDtype::kU32, "U32", 4},
    DtypeRow{StorageDtype::kU16, "U16", 2},        DtypeRow{StorageDtype::kU8, "U8", 1},
    DtypeRow{StorageDtype::kBool, "BOOL", 1}};

const DtypeRow& row_of(StorageDtype dtype) {
  for (const DtypeRow& row : kDtypes) {
    if (row.dtype == dtype) return row;
  }
  throw InvariantError("unknown StorageDtype");
}

}  // namespace

std::string_view storage_dtype_name(StorageDtype dtype) { return row_of(dtype).name; }

std::optional<StorageDtype> find_storage_dtype(std::string_view name) {
  for (const DtypeRow& row : kDtypes) {
    if (row.name == name) return row.dtype;
  }
  return std::nullopt;
}

std::uint64_t element_bytes(StorageDtype dtype) { return row_of(dtype).bytes; }

std::uint64_t TensorInfo::num_bytes() const {
  std::uint64_t bytes = element_bytes(dtype);
  for (const std::int64_t size : shape) bytes *= static_cast<std::uint64_t>(size);
  return bytes;
}

}  // namespace collimate
