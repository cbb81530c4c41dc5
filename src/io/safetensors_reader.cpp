#include <algorithm>
#include <bit>
#include <cstring>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "collimate/base/error.hpp"
#include "collimate/base/json.hpp"
#include "collimate/io/safetensors.hpp"

namespace collimate {

static_assert(std::endian::native == std::endian::little, "safetensors is little-endian, and is mapped as it is");

namespace {

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit

/// One entry of the header, in place.
struct Entry {
  TensorInfo info;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

std::string_view header_text(const std::string& path, std::span<const std::byte> file) {
  if (file.size() < kLengthBytes) {
    throw InputError(
        fmt::format("{}: has {} bytes; a safetensors file has at least {}", path, file.size(), kLengthBytes));
  }
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data(), kLengthBytes);
  if (header_bytes > std::min<std::uint64_t>(file.size() - kLengthBytes, kMaxHeaderBytes)) {
    throw InputError(
        fmt::format("{}: header length is {} bytes, but only {} follow: the file is cut or not safetensors", path,
                    header_bytes, file.size() - kLengthBytes));
  }
  const auto text = file.subspan(kLengthBytes, header_bytes);
  return {reinterpret_cast<const char*>(text.data()), text.size()};
}

const nlohmann::json& required_field(const std::string& place, const nlohmann::json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  if (!object.is_object() || found == object.end()) {
    throw InputError(fmt::format("{}: has no \"{}\"; dtype, shape and data_offsets are expected", place, key));
  }
  return *found;
}

std::vector<std::uint64_t> whole_numbers(const std::string& place, const nlohmann::json& field, const char* key) {
  std::vector<std::uint64_t> numbers;
  for (const auto& item : field) {
    if (!field.is_array() || !item.is_number_unsigned()) {
      throw InputError(
          fmt::format("{}: {} is {}; a list of whole numbers from 0 on is expected", place, key, field.dump()));
    }
    numbers.push_back(item.get<std::uint64_t>());
  }
  if (!field.is_array()) throw InputError(fmt::format("{}: {} is {}; a list is expected", place, key, field.dump()));
  return numbers;
}

/// Bytes that dtype and shape ask for; throws where the product leaves 63 bits.
std::uint64_t checked_bytes(const std::string& place, const TensorInfo& info) {
  std::int64_t bytes = static_cast<std::int64_t>(element_bytes(info.dtype));
  for (const std::int64_t size : info.shape) {
    if (__builtin_mul_overflow(bytes, size, &bytes)) {
      throw InputError(fmt::format("{}: shape [{}] has more elements than can be", place, fmt::join(info.shape, ", ")));
    }
  }
  return static_cast<std::uint64_t>(bytes);
}

Entry parse_entry(const std::string& path, const std::string& name, const nlohmann::json& object) {
  const std::string place = fmt::format("{}: tensor '{}'", path, name);
  Entry entry{.info = {.name = name, .dtype = {}, .shape = {}}};
  const auto& dtype = required_field(place, object, "dtype");
  const auto known = dtype.is_string() ? find_storage_dtype(dtype.get<std::string>()) : std::nullopt;
  if (!known) throw InputError(fmt::format("{}: dtype is {}, which is none of the format's", place, dtype.dump()));
  entry.info.dtype = *known;
  for (const std::uint64_t size : whole_numbers(place, required_field(place, object, "shape"), "shape")) {
    if (size > INT64_MAX) throw InputError(fmt::format("{}: shape has a size of {}", place, size));
    entry.info.shape.push_back(static_cast<std::int64_t>(size));
  }
  const auto offsets = whole_numbers(place, required_field(place, object, "data_offsets"), "data_offsets");
  if (offsets.size() != 2 || offsets[0] > offsets[1]) {
    throw InputError(
        fmt::format("{}: data_offsets are [{}]; begin and end are expected", place, fmt::join(offsets, ", ")));
  }
  entry.begin = offsets[0];
  entry.end = offsets[1];
  const std::uint64_t bytes = checked_bytes(place, entry.info);
  if (entry.end - entry.begin != bytes) {
    throw InputError(fmt::format("{}: data_offsets [{}, {}] hold {} bytes, but {} of shape [{}] has {}", place,
                                 entry.begin, entry.end, entry.end - entry.begin, storage_dtype_name(entry.info.dtype),
                                 fmt::join(entry.info.shape, ", "), bytes));
  }
  return entry;
}

std::map<std::string, std::string> parse_metadata(const std::string& path, const nlohmann::json& object) {
  if (!object.is_object()) {
    throw InputError(fmt::format("{}: __metadata__ is {}; an object is expected", path, object.dump()));
  }
  std::map<std::string, std::string> metadata;
  for (const auto& [key, value] : object.items()) {
    if (!value.is_string()) {
      throw InputError(fmt::format("{}: __metadata__ \"{}\" is {}; text is expected", path, key, value.dump()));
    }
    metadata.emplace(key, value.get<std::string>());
  }
  return metadata;
}

/// Sorts by place and demands that the tensors cover the data without gap or overlap.
void require_contiguous(const std::string& path, std::vector<Entry>& entries, std::uint64_t data_bytes) {
  std::ranges::sort(entries, {}, [](const Entry& entry) { return std::pair(entry.begin, entry.end); });
  std::uint64_t expected = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != expected) {
      throw InputError(fmt::format("{}: tensor '{}': data begin at {}, but the tensor before ends at {}", path,
                                   entry.info.name, entry.begin, expected));
    }
    expected = entry.end;
  }
  if (expected != data_bytes) {
    throw InputError(
        fmt::format("{}: the tensors have {} bytes, but {} follow the header: the file is cut or has foreign "
                    "bytes at its end",
                    path, expected, data_bytes));
  }
}

}  // namespace

SafetensorsFile::SafetensorsFile(std::string path) : file_(std::move(path)) {
  const std::string_view text = header_text(file_.path(), file_.bytes());
  const nlohmann::json header = parse_json(text, file_.path() + ": header");
  if (text.front() != '{') throw InputError(fmt::format("{}: the header is not a JSON object", file_.path()));
  std::vector<Entry> entries;
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") {
      metadata_ = parse_metadata(file_.path(), value);
    } else {
      entries.push_back(parse_entry(file_.path(), name, value));
    }
  }
  const auto data = file_.bytes().subspan(kLengthBytes + text.size());
  require_contiguous(file_.path(), entries, data.size());
  for (Entry& entry : entries) {
    index_.emplace(entry.info.name, tensors_.size());
    tensors_.push_back({std::move(entry.info), data.subspan(entry.begin, entry.end - entry.begin)});
  }
}

const TensorView* SafetensorsFile::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

}  // namespace collimate
