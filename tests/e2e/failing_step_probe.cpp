// failing_step_probe CONFIG PLACE RANK: the program's own session around a training step in which one rank fails, in
// the forward pass, in the backward pass or in an autograd hook, while the others wait for it.

#include <stdexcept>
#include <string>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/ones.h>

#include "../../src/app/session.hpp"
#include "parity/layouts/training.hpp"
#include "support/temporary_folder.hpp"

namespace collimate {
namespace {

// A weight of another size: the first product with it throws.
void spoil_forward(const ModelShard& shard) {
  at::Tensor weight = shard.parameters().back().value;
  weight.set_data(at::ones({3, 3}, weight.options().requires_grad(false)));
}

// The gradient's buffer loses its size: adding to it throws inside the engine.
void spoil_backward(const ModelShard& shard) {
  const at::Tensor& weight = shard.parameters().front().value;
  weight.mutable_grad() = at::ones({0}, weight.options().requires_grad(false));
  weight.register_hook([](const at::Tensor& grad) { return grad.view({-1}).narrow(0, 0, 1).view({7, 3}); });
}

void spoil_hook(const ModelShard& shard) {
  shard.parameters().front().value.register_hook(
      [](const at::Tensor&) -> at::Tensor { throw std::runtime_error("a hook went wrong"); });
}

void spoil(const ModelShard& shard, const std::string& place) {
  if (place == "forward") return spoil_forward(shard);
  place == "backward" ? spoil_backward(shard) : spoil_hook(shard);
}

ExitCode run(const std::string& config, const std::string& place, int failing_rank) {
  return app::run_session({.file = config, .overrides = {}}, [&](const app::Session& session) {
    const TemporaryFolder folder;
    const test::LayoutData data = test::make_layout_data(folder.path().string());
    const ParallelConfig& parallel = session.config.parallel;
    const test::Layout layout{.data = session.mesh.shape().data,
                              .pipeline = parallel.pipeline,
                              .tensor = parallel.tensor,
                              .schedule = parallel.schedule};
    test::train_layout(layout, data, session.mesh, [&](const ModelShard& shard) {
      if (session.mesh.world().rank() == failing_rank) spoil(shard, place);
    });
    return ExitCode::kDone;
  });
}

}  // namespace
}  // namespace collimate

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  return static_cast<int>(collimate::run(argv[1], argv[2], std::stoi(argv[3])));
}
