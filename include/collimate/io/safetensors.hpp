#pragma once
// The safetensors format: an 8-byte little-endian header length, a JSON header of tensor places, the tensors' bytes.
// The reader accepts only files in which every byte of the data belongs to exactly one tensor.

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "collimate/io/input_file.hpp"
#include "collimate/io/output_file.hpp"

namespace collimate {

/// Element types of the format that are whole bytes.
enum class StorageDtype {
  kF64,
  kF32,
  kBF16,
  kF16,
  kF8E4M3,
  kF8E5M2,
  kI64,
  kI32,
  kI16,
  kI8,
  kU64,
  kU32,
  kU16,
  kU8,
  kBool
};

/// "F32", as the header spells it.
std::string_view storage_dtype_name(StorageDtype dtype);
std::optional<StorageDtype> find_storage_dtype(std::string_view name);
std::uint64_t element_bytes(StorageDtype dtype);

/// What the header says of one tensor.
struct TensorInfo {
  std::string name;
  StorageDtype dtype = StorageDtype::kF32;
  std::vector<std::int64_t> shape;

  bool operator==(const TensorInfo&) const = default;
  /// Product of the shape times the element's bytes.
  [[nodiscard]] std::uint64_t num_bytes() const;
};

/// A tensor inside a mapped file. `bytes` is valid as long as the SafetensorsFile, row-major, little-endian, and
/// aligned to nothing.
struct TensorView : TensorInfo {
  std::span<const std::byte> bytes;
};

/// A file opened for reading.
class SafetensorsFile {
 public:
  /// Maps the file and checks its header fully. *Local.* Throws InputError naming file, tensor, value and what is
  /// right.
  explicit SafetensorsFile(std::string path);

  [[nodiscard]] const std::string& path() const noexcept { return file_.path(); }
  /// As the file was when it was opened.
  [[nodiscard]] const FileState& state() const noexcept { return file_.state(); }
  /// The whole file, header included.
  [[nodiscard]] std::span<const std::byte> file_bytes() const noexcept { return file_.bytes(); }
  /// In the order of their bytes.
  [[nodiscard]] const std::vector<TensorView>& tensors() const noexcept { return tensors_; }
  /// Null when there is none of that name.
  [[nodiscard]] const TensorView* find(std::string_view name) const;
  /// The header's `__metadata__`.
  [[nodiscard]] const std::map<std::string, std::string>& metadata() const noexcept { return metadata_; }

 private:
  MappedFile file_;
  std::vector<TensorView> tensors_;
  std::map<std::string, std::size_t, std::less<>> index_;
  std::map<std::string, std::string> metadata_;
};

/// Writes a file tensor by tensor, so that only one needs to be in memory.
class SafetensorsWriter {
 public:
  /// Writes the header, padded to 8 bytes, with `__metadata__` {"format": "pt"}. `file` must outlive the writer.
  SafetensorsWriter(OutputFile& file, std::vector<TensorInfo> tensors);

  /// Appends bytes of the next tensor of the list: all of them, or the next ones.
  void append(std::span<const std::byte> bytes);
  /// Checks that all tensors were appended; the file stays open.
  void finish() const;

 private:
  OutputFile& file_;
  std::vector<TensorInfo> tensors_;
  std::size_t num_appended_ = 0;      // tensors that are there
  std::uint64_t appended_bytes_ = 0;  // of the one after them
};

}  // namespace collimate
