#pragma once
// The part of reading fields that does not depend on the struct: messages about keys and lists, and their places.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "collimate/config/findings.hpp"
#include "collimate/config/node.hpp"

namespace collimate {

/// What readers of all structs of one configuration share. *Local.* Not owned: the findings.
class ReadContext {
 public:
  /// `all_keys` are the key paths of the whole configuration, for hints about keys in a wrong section.
  ReadContext(Findings& findings, std::vector<std::string> all_keys)
      : findings_(findings), all_keys_(std::move(all_keys)) {}

  [[nodiscard]] Findings& findings() const { return findings_; }

  /// Adds "expected ..., got ..." at the place of `node`, with a hint after it.
  void add_unexpected(const ConfigNode& node, const std::string& path, std::string_view expected,
                      std::string_view hint = "") const;
  /// Adds a finding about a key that its section lacks, with the keys that may be meant.
  void add_unknown(const Place& place, const std::string& section, std::string_view key,
                   std::span<const std::string_view> known) const;

  /// The values of the map `node` whose keys are among `known`, each once; the others are added as unknown or
  /// duplicate.
  [[nodiscard]] std::vector<const ConfigNode*> known_values(const ConfigNode& node, const std::string& section,
                                                            std::span<const std::string_view> known) const;

 private:
  /// Key paths that `key` may be meant for: the same key of other sections, the nearest one of this section.
  [[nodiscard]] std::vector<std::string> meant_keys(const std::string& section, std::string_view key,
                                                    std::span<const std::string_view> known) const;

  Findings& findings_;
  std::vector<std::string> all_keys_;
};

/// "section.key", or "key" in the root.
std::string join_key(std::string_view section, std::string_view key);

/// "one of a, b, c", or "a" when there is one only.
std::string one_of(std::span<const std::string_view> words);

/// " (did you mean x?)", or nothing when no known word is near.
std::string near_miss_hint(std::string_view word, std::span<const std::string_view> known);

}  // namespace collimate
