#pragma once
// The blocks of a checkpoint's files, numbered through all of them, and reading them verified. Private to src/store.

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "collimate/io/input_file.hpp"
#include "manifest.hpp"

namespace collimate::detail {

/// Which block is what of which file.
class BlockTable {
 public:
  /// Not owned: `manifest`.
  explicit BlockTable(const Manifest& manifest);

  [[nodiscard]] std::int64_t num_blocks() const { return static_cast<std::int64_t>(bytes_.size()); }
  /// [blocks]
  [[nodiscard]] const std::vector<std::int64_t>& bytes() const { return bytes_; }
  /// Number of the first block of a file that the manifest lists.
  [[nodiscard]] std::int64_t first_block_of(const std::string& file) const { return first_block_.at(file); }
  /// Place of a block's file in the manifest.
  [[nodiscard]] std::size_t file_of(std::int64_t block) const;

  [[nodiscard]] const Manifest& manifest() const { return *manifest_; }

 private:
  const Manifest* manifest_;
  std::vector<std::int64_t> bytes_;
  std::map<std::string, std::int64_t> first_block_;
  std::vector<std::int64_t> first_blocks_;  // [files]
};

/// Reads blocks of a checkpoint's folder. One file is open at a time. Used by one thread at a time.
class BlockReader {
 public:
  /// Not owned: `table`.
  BlockReader(std::string folder, const BlockTable& table) : folder_(std::move(folder)), table_(table) {}

  /// Fills `into`, of the block's size. *Local.* Throws InputError, which names the file, and where the block does not
  /// fit its checksum its bytes and the tensors that have some of them.
  void read(std::int64_t block, std::span<std::byte> into);

  /// *Local.* Says that a block will be read soon; of use where it is of the file that was read last.
  void expect(std::int64_t block) const;

  [[nodiscard]] std::int64_t num_blocks_read() const noexcept { return num_blocks_read_; }

 private:
  std::string folder_;
  const BlockTable& table_;
  std::optional<InputFile> file_;
  std::size_t file_index_ = 0;
  std::int64_t num_blocks_read_ = 0;
};

/// *Local.* Reads every block once, with all threads. Throws InputError as BlockReader does, of the damaged block of
/// the lowest number.
void verify_blocks(const std::string& folder, const BlockTable& table);

}  // namespace collimate::detail
