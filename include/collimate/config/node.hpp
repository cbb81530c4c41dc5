#pragma once
// A YAML document as a plain tree with places: what lies between the YAML library, which only src/config/yaml.cpp
// knows, and the reader of fields.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "collimate/config/findings.hpp"

namespace collimate {

/// A value as it was written; nothing is converted yet.
struct ConfigNode {
  enum class Kind {
    kNull,
    kScalar,
    kList,
    kMap,
    kInvalid,  ///< reported already: to be passed over
  };
  Kind kind = Kind::kNull;
  std::string text{};      ///< of a scalar
  bool is_quoted = false;  ///< of a scalar: always text, never a number or the like
  /// Of a list, or the values of a map: in the order of the file, duplicates included.
  std::vector<ConfigNode> items{};
  Place place{};
  std::string key{};  ///< of a value in a map
  Place key_place{};

  /// How a message shows it: the text, "a list", "a map" or "null"; long texts are cut.
  [[nodiscard]] std::string shown() const;
  /// Whether it is a scalar that YAML takes for text: quoted, or neither a number nor true, false or null.
  [[nodiscard]] bool is_text() const;
};

/// Reads one YAML document. `place` names the source: a file when its line is 1 (nodes get places of their own), an
/// override when it is 0. Aliases, anchors, tags, merge keys, further documents, bytes that are no text and errors of
/// syntax are added to `findings`. Empty for an empty text and for one that cannot be read. *Local.*
std::optional<ConfigNode> parse_yaml(std::string_view text, const Place& place, Findings& findings);

}  // namespace collimate
