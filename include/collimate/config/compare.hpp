#pragma once
// Two configurations side by side, and the hash of one: what decides whether a run may be resumed.

#include <span>
#include <string>
#include <vector>

#include "collimate/base/hash.hpp"
#include "collimate/config/walk.hpp"

namespace collimate {

/// A value in which two configurations differ.
struct FieldDifference {
  std::string key_path;
  Role role;
  std::string first;  ///< canonical text
  std::string second;

  /// "key.path: 1 -> 2".
  [[nodiscard]] std::string text() const;
  bool operator==(const FieldDifference&) const = default;
};

/// The values that both lists have and that differ, in the order of `first`. Where the number of a list's elements
/// differs, that number is the difference, and elements that only one side has are not named. *Local.*
std::vector<FieldDifference> compare_fields(std::span<const FieldValue> first, std::span<const FieldValue> second);

/// Hash of the key paths and values that are the identity of a run. *Local.*
Hash128 hash_identity(std::span<const FieldValue> fields);

}  // namespace collimate
