#pragma once
// Finished blocks of a reference store that is being made. What is scored is durable at once; the store itself appears
// when all of it is there.

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "collimate/io/folders_above.hpp"
#include "collimate/store/reference_store.hpp"

namespace collimate {

/// The folder "<store>.parts": a small reference store for each block of rows, named by what it is of. Of a block that
/// is damaged, scored otherwise, or of another model, tokenization or set of pairs nothing is found. *Local*
/// throughout.
class BlockParts {
 public:
  BlockParts(std::string store_path, ReferenceIdentity identity, ReferenceForm form);

  /// Makes the folder, which goes with this object if nothing was put into it. Throws InputError where it cannot be
  /// written.
  void prepare();
  /// The block of exactly these pairs, if it is finished.
  [[nodiscard]] std::optional<ReferenceStore> find(std::span<const Hash128> pair_ids) const;
  /// Rows of a finished block, in any order: durable when it returns. Throws Error, also where the folder has
  /// gone.
  void save(std::vector<ReferenceRow> rows) const;
  /// Removes the folder with all that is of this store's making in it.
  void remove() const;

 private:
  [[nodiscard]] std::string path_of(std::span<const Hash128> pair_ids) const;

  std::string folder_;
  std::optional<FoldersAbove> made_;
  ReferenceIdentity identity_;
  ReferenceForm form_;
};

}  // namespace collimate
