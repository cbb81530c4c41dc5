#include "checkpoint_choice.hpp"

#include <filesystem>

#include <fmt/format.h>

#include "collimate/base/error.hpp"
#include "collimate/store/checkpoint_store.hpp"

namespace collimate::app {

std::optional<Checkpoint> open_chosen_checkpoint(const RunConfig& config, const std::string& choice) {
  if (choice == "initial") return std::nullopt;
  if (choice != "latest" && choice != "best") return Checkpoint::open(choice);
  const std::string folder = (std::filesystem::path(config.output.directory) / "checkpoints").string();
  const auto path = CheckpointStore(folder, config.checkpoint.save_total_limit).find_pointer(choice);
  if (!path) {
    throw InputError(fmt::format("--checkpoint {}: {} has none; train first, or give initial or a checkpoint folder",
                                 choice, folder));
  }
  return Checkpoint::open(*path);
}

}  // namespace collimate::app
