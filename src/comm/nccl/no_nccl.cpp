#include "nccl.hpp"

namespace collimate::detail {

void require_gpu() {
  throw InputError(
      "runtime.device: cuda: this program has no nccl backend, which carries a GPU's tensors; set runtime.device: cpu");
}

std::unique_ptr<GroupFactory> make_nccl_factory(MpiEnvironment& /*environment*/) {
  require_gpu();
  return nullptr;
}

}  // namespace collimate::detail
