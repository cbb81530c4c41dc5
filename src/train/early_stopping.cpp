#include "collimate/train/early_stopping.hpp"

#include <utility>

#include <fmt/format.h>

namespace collimate {

EarlyStopping::EarlyStopping(std::optional<EarlyStoppingConfig> config, std::string metric)
    : config_(config), metric_(std::move(metric)) {}

void EarlyStopping::count(double gain) {
  if (config_) num_without_ = gain > config_->threshold ? 0 : num_without_ + 1;
}

bool EarlyStopping::is_reached() const { return config_ && num_without_ >= config_->patience; }

std::string EarlyStopping::reason() const {
  return fmt::format("none of {} evaluations in a row was better by more than {} in {}", num_without_,
                     config_ ? config_->threshold : 0.0, metric_);
}

nlohmann::json EarlyStopping::state() const {
  if (!config_) return nullptr;
  return {
      {"metric", metric_}, {"threshold", config_->threshold}, {"num_evaluations_without_improvement", num_without_}};
}

void EarlyStopping::restore(const nlohmann::json& state) {
  if (!config_ || state.is_null()) return;
  if (state.at("metric") != metric_ || state.at("threshold") != config_->threshold) return;
  num_without_ = state.at("num_evaluations_without_improvement").get<std::int64_t>();
}

}  // namespace collimate
