#include "staged_factory.hpp"

#include <ATen/core/Tensor.h>

#include "collimate/base/error.hpp"

namespace collimate::test {

namespace {

// A message whose tensor lies on the CPU until it is there.
class StagedWork final : public Work {
 public:
  StagedWork(WorkHandle work, at::Tensor staged, at::Tensor target)
      : work_(std::move(work)), staged_(std::move(staged)), target_(std::move(target)) {}

  [[nodiscard]] bool is_done() override { return work_->is_done(); }
  void wait() override {
    work_->wait();
    if (target_.defined()) target_.copy_(staged_);
    target_.reset();
  }

 private:
  WorkHandle work_;
  at::Tensor staged_;
  at::Tensor target_;  // undefined: a tensor that was sent, or one that has been received
};

class StagedCommunicator final : public Communicator {
 public:
  StagedCommunicator(std::unique_ptr<Communicator> inner, c10::Device device)
      : Communicator(inner->name(), inner->rank(), inner->size()), inner_(std::move(inner)), device_(device) {}

 private:
  [[nodiscard]] at::Tensor staged(const at::Tensor& tensor) const {
    check(tensor.device() == device_, "groups carry tensors of their device");
    return tensor.cpu();
  }

  void do_all_reduce(at::Tensor& tensor, ReduceOp op) override {
    at::Tensor values = staged(tensor);
    inner_->all_reduce(values, op);
    tensor.copy_(values);
  }
  void do_reduce_scatter(at::Tensor& output, const at::Tensor& input) override {
    at::Tensor part = staged(output);
    inner_->reduce_scatter(part, staged(input));
    output.copy_(part);
  }
  void do_all_gather(at::Tensor& output, const at::Tensor& input) override {
    at::Tensor all = staged(output);
    inner_->all_gather(all, staged(input));
    output.copy_(all);
  }
  WorkHandle do_start_reduce_scatter(at::Tensor& output, const at::Tensor& input) override {
    at::Tensor part = staged(output);
    WorkHandle work = inner_->start_reduce_scatter(part, staged(input));
    return std::make_unique<StagedWork>(std::move(work), std::move(part), output);
  }
  WorkHandle do_start_all_gather(at::Tensor& output, const at::Tensor& input) override {
    at::Tensor all = staged(output);
    WorkHandle work = inner_->start_all_gather(all, staged(input));
    return std::make_unique<StagedWork>(std::move(work), std::move(all), output);
  }
  void do_broadcast(at::Tensor& tensor, int root) override {
    at::Tensor values = staged(tensor);
    inner_->broadcast(values, root);
    tensor.copy_(values);
  }
  WorkHandle do_start_send(const at::Tensor& tensor, int destination) override {
    at::Tensor values = staged(tensor);
    WorkHandle work = inner_->start_send(values, destination);
    return std::make_unique<StagedWork>(std::move(work), std::move(values), at::Tensor());
  }
  WorkHandle do_start_receive(at::Tensor& tensor, int source) override {
    at::Tensor values = staged(tensor);
    WorkHandle work = inner_->start_receive(values, source);
    return std::make_unique<StagedWork>(std::move(work), std::move(values), tensor);
  }
  void do_broadcast_bytes(std::string& bytes, int root) override { inner_->broadcast_bytes(bytes, root); }
  std::vector<std::string> do_all_gather_bytes(const std::string& bytes) override {
    return inner_->all_gather_bytes(bytes);
  }
  bool do_all_hold(bool holds) override { return inner_->all_hold(holds); }
  void do_barrier() override { inner_->barrier(); }

  std::unique_ptr<Communicator> inner_;
  c10::Device device_;
};

class StagedFactory final : public GroupFactory {
 public:
  StagedFactory(GroupFactory& inner, c10::Device device) : inner_(inner), device_(device) {}

  [[nodiscard]] int world_rank() const override { return inner_.world_rank(); }
  [[nodiscard]] int world_size() const override { return inner_.world_size(); }
  [[nodiscard]] c10::Device device() const override { return device_; }
  [[nodiscard]] std::unique_ptr<Communicator> make_group(const std::string& name,
                                                         const std::vector<int>& world_ranks) override {
    return std::make_unique<StagedCommunicator>(inner_.make_group(name, world_ranks), device_);
  }

 private:
  GroupFactory& inner_;
  c10::Device device_;
};

}  // namespace

std::unique_ptr<GroupFactory> make_staged_factory(GroupFactory& inner, c10::Device device) {
  return std::make_unique<StagedFactory>(inner, device);
}

}  // namespace collimate::test
