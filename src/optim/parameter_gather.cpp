#include "collimate/optim/parameter_gather.hpp"

#include <algorithm>

#include "collimate/base/error.hpp"
#include "collimate/optim/flat_parameters.hpp"

namespace collimate {

void ParameterGather::start(const at::Tensor& flat) {
  check(std::ranges::all_of(works_, [](const WorkHandle& work) { return work == nullptr; }),
        "one gathering ends before the next one begins");
  works_.resize(plan_.buckets().size());
  std::vector<std::size_t> order = plan_.completion_order();
  std::ranges::reverse(order);
  for (const std::size_t i : order) {
    const Bucket& bucket = plan_.buckets()[i];
    at::Tensor whole = view_of(flat, bucket.flat);
    works_[i] = data_.start_all_gather(whole, view_of(flat, plan_.part(bucket, data_.rank())));
  }
}

void ParameterGather::wait_for(std::size_t parameter) {
  if (works_.empty()) return;
  const WorkHandle work = std::move(works_[plan_.bucket_of(parameter)]);
  if (work) work->wait();
}

void ParameterGather::wait() {
  for (WorkHandle& work : works_) {
    const WorkHandle own = std::move(work);
    if (own) own->wait();
  }
}

void gather_flat(Communicator& data, const ShardPlan& plan, const at::Tensor& flat) {
  ParameterGather gather(data, plan);
  gather.start(flat);
  gather.wait();
}

}  // namespace collimate
