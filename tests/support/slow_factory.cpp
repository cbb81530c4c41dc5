#include "slow_factory.hpp"

#include <chrono>
#include <thread>

#include <ATen/core/Tensor.h>

#include "collimate/comm/operation_queue.hpp"

namespace collimate::test {

namespace {

class SlowCommunicator final : public Communicator {
 public:
  SlowCommunicator(std::unique_ptr<Communicator> inner, const SlowLink& link)
      : Communicator(inner->name(), inner->rank(), inner->size()), inner_(std::move(inner)), link_(link) {}

 private:
  void delay(const at::Tensor& tensor) const {
    const auto megabytes = static_cast<double>(tensor.numel() * tensor.element_size()) / 1e6;
    std::this_thread::sleep_for(
        std::chrono::duration<double>(link_.seconds_per_operation + megabytes * link_.seconds_per_megabyte));
  }

  template <class Operation>
  WorkHandle start(at::Tensor output, const at::Tensor& input, const Operation& operation) {
    const at::Tensor whole = output.numel() > input.numel() ? output : input;
    const auto slow_operation = [this, output, input = input, whole, operation](const std::stop_token&) mutable {
      delay(whole);
      operation(*inner_, output, input)->wait();
    };
    WorkHandle work = queue_.start(slow_operation);
    if (!link_.overlaps) work->wait();
    return work;
  }

  WorkHandle do_start_reduce_scatter(at::Tensor& output, const at::Tensor& input) override {
    return start(output, input, [](Communicator& inner, at::Tensor& sum, const at::Tensor& values) {
      return inner.start_reduce_scatter(sum, values);
    });
  }
  WorkHandle do_start_all_gather(at::Tensor& output, const at::Tensor& input) override {
    return start(output, input, [](Communicator& inner, at::Tensor& all, const at::Tensor& part) {
      return inner.start_all_gather(all, part);
    });
  }
  void do_reduce_scatter(at::Tensor& output, const at::Tensor& input) override {
    do_start_reduce_scatter(output, input)->wait();
  }
  void do_all_gather(at::Tensor& output, const at::Tensor& input) override {
    do_start_all_gather(output, input)->wait();
  }
  void do_all_reduce(at::Tensor& tensor, ReduceOp op) override {
    queue_.wait_until_idle();
    delay(tensor);
    inner_->all_reduce(tensor, op);
  }
  void do_broadcast(at::Tensor& tensor, int root) override { inner_->broadcast(tensor, root); }
  WorkHandle do_start_send(const at::Tensor& tensor, int destination) override {
    return inner_->start_send(tensor, destination);
  }
  WorkHandle do_start_receive(at::Tensor& tensor, int source) override { return inner_->start_receive(tensor, source); }
  void do_broadcast_bytes(std::string& bytes, int root) override { inner_->broadcast_bytes(bytes, root); }
  std::vector<std::string> do_all_gather_bytes(const std::string& bytes) override {
    return inner_->all_gather_bytes(bytes);
  }
  bool do_all_hold(bool holds) override { return inner_->all_hold(holds); }
  void do_barrier() override { inner_->barrier(); }

  std::unique_ptr<Communicator> inner_;
  SlowLink link_;
  OperationQueue queue_;  // last: ends before what its operations use
};

class SlowFactory final : public GroupFactory {
 public:
  SlowFactory(GroupFactory& inner, SlowLink link) : inner_(inner), link_(std::move(link)) {}

  [[nodiscard]] int world_rank() const override { return inner_.world_rank(); }
  [[nodiscard]] int world_size() const override { return inner_.world_size(); }
  [[nodiscard]] c10::Device device() const override { return inner_.device(); }
  [[nodiscard]] std::unique_ptr<Communicator> make_group(const std::string& name,
                                                         const std::vector<int>& world_ranks) override {
    std::unique_ptr<Communicator> group = inner_.make_group(name, world_ranks);
    if (name != link_.group) return group;
    return std::make_unique<SlowCommunicator>(std::move(group), link_);
  }

 private:
  GroupFactory& inner_;
  SlowLink link_;
};

}  // namespace

std::unique_ptr<GroupFactory> make_slow_factory(GroupFactory& inner, const SlowLink& link) {
  return std::make_unique<SlowFactory>(inner, link);
}

}  // namespace collimate::test
