#pragma once
// Names of a program's functions, those that it does not export among them.

#include <cstdint>
#include <string>
#include <vector>

namespace collimate::detail {

/// The function symbols of one ELF file. *Local.*
class ElfSymbols {
 public:
  /// Of a file that cannot be read, is no 64-bit ELF file or has been stripped: none.
  explicit ElfSymbols(const std::string& path);

  /// The mangled name of the function at a place in the file's own addresses; empty where none is known.
  [[nodiscard]] std::string name_at(std::uint64_t address) const;

 private:
  struct Function {
    std::uint64_t begin = 0;
    std::uint64_t bytes = 0;
    std::uint64_t name = 0;  // a place in names_
  };
  std::vector<Function> functions_;  // by ascending place
  std::string names_;
};

}  // namespace collimate::detail
