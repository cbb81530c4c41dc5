#include "trainer_state.hpp"

#include <string>

#include "collimate/optim/lr_schedule.hpp"

namespace collimate::detail {

nlohmann::json derived_trainer_state(const RunConfig& config, const Sampler& sampler, std::int64_t step,
                                     std::int64_t num_steps) {
  const EpochPosition next = sampler.position(step);
  return {{"epoch", sampler.epochs_done(step)},
          {"sampler",
           {{"seed", config.train.seed},
            {"shuffle", config.data.shuffle},
            {"global_batch_size", config.batch.global_batch_size},
            {"epoch", next.epoch},
            {"batch", next.batch}}},
          {"schedule",
           {{"lr_scheduler_type", std::string(enum_name(config.optimizer.lr_scheduler_type))},
            {"learning_rate", learning_rate(config.optimizer, step, num_steps)},
            {"num_steps", num_steps}}}};
}

}  // namespace collimate::detail
