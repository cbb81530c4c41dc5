#include "nccl.hpp"

namespace collimate::detail {

void require_gpu() {
  throw InputError(
      "runtime.device: cuda: this program was built with the CPU build of libtorch. Build it with the CUDA build "
      "(-DCOLLIMATE_LIBTORCH=FOLDER), or set runtime.device: cpu");
}

std::unique_ptr<GroupFactory> make_nccl_factory(MpiEnvironment& /*environment*/) {
  require_gpu();
  return nullptr;
}

}  // namespace collimate::detail
