#include "collimate/engine/metrics_writer.hpp"

#include <cmath>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "collimate/base/error.hpp"
#include "collimate/base/json.hpp"
#include "collimate/io/atomic_file.hpp"

namespace collimate {

namespace {

void require_good(const std::ios& stream, const std::filesystem::path& file) {
  if (!stream) throw Error(fmt::format("{}: cannot be written", file.string()));
}

// Keeps the lines of steps up to `last_step` and moves the rest, with any cut line, to the discarded ones.
void discard_lines_after(const std::filesystem::path& file, std::int64_t last_step) {
  std::ifstream input(file);
  std::string kept;
  std::string discarded;
  for (std::string line; std::getline(input, line);) {
    const auto object = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    const bool has_step = object.is_object() && object.contains("step");
    const auto step = has_step ? find_whole_number(object.at("step")) : std::nullopt;
    const bool keep = step && *step <= last_step;
    (keep ? kept : discarded) += line + "\n";
  }
  if (discarded.empty()) return;
  const std::filesystem::path elsewhere = std::filesystem::path(file).replace_filename("metrics.discarded.jsonl");
  std::ofstream(elsewhere, std::ios::app) << discarded;
  write_file_atomically(file.string(), kept);
}

nlohmann::ordered_json number(double value) {
  constexpr double kExactIntegers = 0x1.0p53;
  if (std::trunc(value) == value && std::abs(value) < kExactIntegers) return static_cast<std::int64_t>(value);
  return value;
}

}  // namespace

MetricsWriter::MetricsWriter(std::filesystem::path file, std::int64_t resumed_step) : file_(std::move(file)) {
  if (std::filesystem::exists(file_)) discard_lines_after(file_, resumed_step);
  stream_.open(file_, std::ios::app);
  require_good(stream_, file_);
}

void MetricsWriter::on_step(const StepReport& report) {
  write_line(report.step, report.epoch, report.metrics, report.timing);
}

void MetricsWriter::on_evaluation(const EvaluationReport& report) {
  write_line(report.step, report.epoch, report.metrics, report.timing);
}

void MetricsWriter::write_line(std::int64_t step, double epoch, const NamedMetrics& metrics,
                               const NamedMetrics& timing) {
  nlohmann::ordered_json line{{"step", step}, {"epoch", epoch}};
  for (const NamedMetrics* values : {&metrics, &timing}) {
    for (const auto& [name, value] : *values) line[name] = number(value);
  }
  stream_ << line.dump() << '\n' << std::flush;
  require_good(stream_, file_);
}

}  // namespace collimate
