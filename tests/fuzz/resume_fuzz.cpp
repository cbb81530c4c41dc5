// What a run that goes on reads: the trainer's state in a checkpoint, which the manifest's checksum does not make
// right, and the metrics of the run so far. The first letter of an input says which it is.

#include "collimate/base/json.hpp"
#include "collimate/engine/metrics_writer.hpp"
#include "collimate/train/best_metric.hpp"
#include "collimate/train/early_stopping.hpp"
#include "collimate/train/trainer.hpp"
#include "fuzz/engine/mutate.hpp"
#include "fuzz/engine/scratch.hpp"
#include "fuzz/engine/target.hpp"
#include "support/temporary_folder.hpp"

namespace collimate::fuzz {

namespace {

constexpr std::int64_t kStep = 2;

void read_metrics(const std::string& text) {
  const std::filesystem::path path = scratch() / "metrics.jsonl";
  write_bytes(path, text);
  std::filesystem::remove(scratch() / "metrics.discarded.jsonl");
  const MetricsWriter writer(path, kStep);
}

void read_state(const std::string& text) {
  const nlohmann::json state = parse_json(text, "manifest.json");
  const TrainProgress progress =
      progress_of({.step = kStep, .trainer_state = state, .configuration = "", .layout = {}});
  const std::vector<Metric> known{{.name = "loss", .better = Better::kLess}};
  BestMetric best("eval_loss", known);
  best.restore(progress.best);
  EarlyStopping stopping(EarlyStoppingConfig{}, best.name());
  stopping.restore(progress.early_stopping);
  static_cast<void>(best.text() + stopping.reason());
}

}  // namespace

std::vector<std::string> seeds() {
  return {R"(s{"num_pairs": 8, "num_tokens": 100, "owes_evaluation": true,
               "best": {"metric": "eval_loss", "value": 0.6, "step": 1},
               "early_stopping": {"metric": "eval_loss", "threshold": 0.0, "num_evaluations_without_improvement": 1}})",
          "m{\"step\": 1, \"loss\": 0.69}\n{\"step\": 2, \"loss\": 0.68}\n{\"step\": 3, \"loss\": 0.67}\n{\"ste",
          "m{\"step\": 1, \"loss\": 0.69}"};
}

void read(const std::string& input) {
  if (input.empty()) return;
  input[0] == 'm' ? read_metrics(input.substr(1)) : read_state(input.substr(1));
}

std::string mutate(std::string input, Dice& dice) {
  if (input.empty()) return input;
  std::string changed = mutate_json(input.substr(1), dice);
  // A line of metrics has no line breaks, and changed JSON is indented.
  if (input[0] == 'm' && dice.one_in(2)) std::erase(changed, '\n');
  return input[0] + changed;
}

}  // namespace collimate::fuzz
