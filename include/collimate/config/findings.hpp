#pragma once
// What is wrong with a configuration, all of it at once, and where each of its keys was given. The reader and the
// checks that span several keys add to one Findings; at the end it throws one ConfigError.

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "collimate/base/error.hpp"

namespace collimate {

/// A place in a configuration file, or (line 0) an override.
struct Place {
  std::string source;  ///< file name, or "--set key.path=value"
  int line = 0;        ///< from 1
  int column = 0;      ///< from 1

  /// "file:line:column", or the override.
  [[nodiscard]] std::string text() const;
  bool operator==(const Place&) const = default;
};

/// One thing that is wrong.
struct Finding {
  Place place;
  std::string key_path{};  ///< as objective.beta or data.train.0.path; empty when it is about the file as a whole
  std::string message;     ///< with the value, and what would be right

  /// "file:line:column: key.path: message".
  [[nodiscard]] std::string text() const;
};

/// A configuration that cannot be used (exit code 2). The message has a line for each finding.
class ConfigError : public InputError {
 public:
  explicit ConfigError(std::vector<Finding> findings);
  [[nodiscard]] const std::vector<Finding>& findings() const noexcept { return findings_; }

 private:
  std::vector<Finding> findings_;
};

/// Collects findings and the places of keys.
class Findings {
 public:
  /// `root` is the place of what no key can be named for, as a missing section.
  explicit Findings(Place root) : root_(std::move(root)) {}

  void add(Finding finding) { findings_.push_back(std::move(finding)); }
  /// Adds those of `others`, as being about `key_path`.
  void add_all(const Findings& others, std::string_view key_path);
  /// Adds a finding at the place where `key_path`, or the nearest section around it, was given.
  void add(std::string_view key_path, std::string message);
  /// The same, unless one of these keys (the first is the one to name) has a finding already that this one may follow
  /// from.
  void add_about(std::span<const std::string_view> key_paths, std::string message);

  /// Records that `key_path` was given at `place`; forgets what was known below it.
  void mark_given(const std::string& key_path, Place place);
  [[nodiscard]] bool is_given(const std::string& key_path) const { return places_.contains(key_path); }
  /// Records that the value of `key_path` could not be read, which a finding without a key path tells.
  void mark_unread(std::string key_path) { unread_.push_back(std::move(key_path)); }
  /// Whether there is a finding about the key, something below it or a section around it.
  [[nodiscard]] bool concern(std::string_view key_path) const;
  [[nodiscard]] const Place& place_of(std::string_view key_path) const;
  [[nodiscard]] bool empty() const noexcept { return findings_.empty(); }

  /// Throws ConfigError with all findings in the order of the file, then of the overrides, if there are any.
  void throw_if_any() const;

 private:
  Place root_;
  std::vector<Finding> findings_;
  std::vector<std::string> unread_;
  std::map<std::string, Place, std::less<>> places_;
};

}  // namespace collimate
