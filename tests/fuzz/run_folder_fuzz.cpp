// What `inspect` reads of a run's folder: run.json, metrics.jsonl and the links to the latest and the best checkpoint.
// The first letter of an input says what the rest is the content of, or where the link leads.

#include "collimate/store/inspect.hpp"
#include "fuzz/engine/mutate.hpp"
#include "fuzz/engine/scratch.hpp"
#include "fuzz/engine/target.hpp"
#include "support/checkpoints.hpp"
#include "support/temporary_folder.hpp"

namespace collimate::fuzz {

namespace {

namespace fs = std::filesystem;

fs::path run() { return scratch() / "run"; }

void make_run() {
  static const bool is_made = [] {
    fs::create_directories(run() / "checkpoints");
    const auto world = solo_group();
    write_checkpoint(run() / "checkpoints" / "step_00000003", sample_state(3), sample_pieces(3), *world);
    return true;
  }();
  static_cast<void>(is_made);
}

void place_link(const std::string& name, const std::string& target) {
  const fs::path path = run() / "checkpoints" / name;
  fs::remove(path);
  std::error_code refused;  // the system makes no link to nowhere, or to a name without end
  fs::create_symlink(target, path, refused);
}

}  // namespace

std::vector<std::string> seeds() {
  return {"r{\"collimate_version\": \"0.1.0\", \"world_size\": 1, \"layout\": {\"data\": 1}, \"hosts\": [\"a\"]}",
          "m{\"step\": 1, \"epoch\": 0.5, \"loss\": 0.69}", "lstep_00000003", "bstep_00000003"};
}

void read(const std::string& input) {
  make_run();
  const char kind = input.empty() ? ' ' : input[0];
  const std::string rest = input.empty() ? "" : input.substr(1);
  write_bytes(run() / "run.json", kind == 'r' ? rest : "{}");
  write_bytes(run() / "metrics.jsonl", kind == 'm' ? rest : "");
  place_link("latest", kind == 'l' ? rest : "step_00000003");
  place_link("best", kind == 'b' ? rest : "step_00000003");
  static_cast<void>(inspect_path(run(), InspectDepth::kVerify));
}

std::string mutate(std::string input, Dice& dice) {
  if (input.empty()) return input;
  const std::string rest = input.substr(1);
  if (input[0] == 'r' || input[0] == 'm') return input[0] + mutate_json(rest, dice);
  constexpr std::array<std::string_view, 6> kTargets{"latest", "best", "..", "/", "step_00000004", "."};
  constexpr std::size_t kLongName = 300;
  if (dice.one_in(4)) return input[0] + std::string(kLongName, 'n');
  if (dice.one_in(2)) return input[0] + std::string(dice.pick(kTargets));
  return input[0] + mutate_bytes(rest, dice);
}

}  // namespace collimate::fuzz
