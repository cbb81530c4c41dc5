#pragma once
// What is wrong in many places, told once for each cause.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace collimate {

/// Problems, by cause. *Local.*
class ProblemList {
 public:
  /// One more place where `cause` shows; `text` names the place, and is told if it is the first one.
  void add(std::string_view cause, std::string text);

  [[nodiscard]] bool empty() const noexcept { return causes_.empty(); }
  /// A line for each cause, in the order in which they were met: its first text, and how many more places there are.
  /// Each stands behind `separator`.
  [[nodiscard]] std::string text(std::string_view separator) const;

 private:
  struct Cause {
    std::string name;
    std::string first_text;
    std::uint64_t num_places = 1;
  };
  std::vector<Cause> causes_;
};

}  // namespace collimate
