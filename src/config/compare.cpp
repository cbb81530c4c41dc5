#include "collimate/config/compare.hpp"

#include <map>

#include <fmt/format.h>

namespace collimate {

std::string FieldDifference::text() const { return fmt::format("{}: {} -> {}", key_path, first, second); }

std::vector<FieldDifference> compare_fields(std::span<const FieldValue> first, std::span<const FieldValue> second) {
  std::map<std::string_view, std::string_view> text_of;
  for (const FieldValue& field : second) text_of.emplace(field.key_path, field.text);
  std::vector<FieldDifference> differences;
  for (const FieldValue& field : first) {
    const auto other = text_of.find(field.key_path);
    if (other == text_of.end() || other->second == field.text) continue;
    differences.push_back({field.key_path, field.role, field.text, std::string(other->second)});
  }
  return differences;
}

Hash128 hash_identity(std::span<const FieldValue> fields) {
  StreamingHash hash;
  for (const FieldValue& field : fields) {
    if (field.role == Role::kIdentity) hash.update(fmt::format("{}: {}\n", field.key_path, field.text));
  }
  return hash.digest();
}

}  // namespace collimate
