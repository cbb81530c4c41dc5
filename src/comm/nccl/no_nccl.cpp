#include "nccl.hpp"

namespace collimate::detail {

void require_gpu() {
  throw InputError(
      "runtime.device: cuda: this program was built against a libtorch for CPUs alone, without the nccl backend; set "
      "runtime.device: cpu, or build it against a CUDA build of libtorch (launch/setup --libtorch FOLDER)");
}

std::unique_ptr<GroupFactory> make_nccl_factory(MpiEnvironment& /*environment*/, JobStore& /*store*/) {
  require_gpu();
  return nullptr;
}

}  // namespace collimate::detail
