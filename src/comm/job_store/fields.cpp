#include "collimate/comm/job_store/fields.hpp"

namespace collimate::detail {

namespace {

constexpr std::uint32_t kAbsent = 0xffffffff;
constexpr std::size_t kNumberBytes = 4;

}  // namespace

std::string render_number(std::uint32_t number) {
  std::string bytes;
  for (unsigned shift = 0; shift < 32; shift += 8) bytes += static_cast<char>((number >> shift) & 0xffU);
  return bytes;
}

std::uint32_t number_at(std::string_view bytes) {
  std::uint32_t number = 0;
  for (std::size_t i = 0; i < kNumberBytes; ++i) number |= std::uint32_t{static_cast<unsigned char>(bytes[i])} << 8 * i;
  return number;
}

std::string render_fields(const Fields& fields) {
  std::string bytes;
  for (const std::optional<std::string>& field : fields) {
    bytes += render_number(field ? static_cast<std::uint32_t>(field->size()) : kAbsent);
    if (field) bytes += *field;
  }
  return bytes;
}

std::optional<Fields> try_read_fields(std::string_view bytes) {
  Fields fields;
  while (!bytes.empty()) {
    if (bytes.size() < kNumberBytes) return std::nullopt;
    const std::uint32_t length = number_at(bytes);
    bytes.remove_prefix(kNumberBytes);
    if (length == kAbsent) {
      fields.emplace_back();
      continue;
    }
    if (length > bytes.size()) return std::nullopt;
    fields.emplace_back(bytes.substr(0, length));
    bytes.remove_prefix(length);
  }
  return fields;
}

std::string render_request(const StoreRequest& request) {
  return static_cast<char>(request.operation) + render_fields(request.fields);
}

std::optional<StoreRequest> try_read_request(std::string_view bytes) {
  if (bytes.empty() || static_cast<std::uint8_t>(bytes[0]) > static_cast<std::uint8_t>(StoreOperation::kCount)) {
    return std::nullopt;
  }
  auto fields = try_read_fields(bytes.substr(1));
  if (!fields) return std::nullopt;
  return StoreRequest{.operation = static_cast<StoreOperation>(bytes[0]), .fields = std::move(*fields)};
}

}  // namespace collimate::detail
