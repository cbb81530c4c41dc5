#pragma once
// One group of ranks. Each backend lives in its own folder (comm/mpi, comm/c10d); callers know this interface alone. A
// group of one is the identity, whatever the backend, so nothing above branches on the world size.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "collimate/comm/comm_counts.hpp"
#include "collimate/comm/config.hpp"
#include "collimate/comm/work.hpp"

namespace at {
class Tensor;
}

namespace collimate {

class ActivityLog;
class TraceRecorder;

enum class ReduceOp { kSum, kMax };

/// A group of ranks that call its collective operations together and in the same order. Used by one thread at a time.
/// Tensors are contiguous and on the backend's device. Operations throw Error with the group's name when the backend
/// fails.
class Communicator {
 public:
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  [[nodiscard]] int rank() const noexcept { return rank_; }
  [[nodiscard]] int size() const noexcept { return size_; }
  /// The mesh axis, for messages: "world", "data".
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

  /// *Collective.* Reduces a tensor (float32, float64, bfloat16, int64) of any size in place. Every rank gets the same
  /// bits; with the `mpi` backend sums run in rank order, those of bfloat16 in float32.
  void all_reduce(at::Tensor& tensor, ReduceOp op);
  /// *Collective.* `input` is `size()` equal parts along its first dimension; `output` becomes the sum, as above, of
  /// the parts number `rank()`. It may be that part of `input` itself.
  void reduce_scatter(at::Tensor& output, const at::Tensor& input);
  /// *Collective.* `output` becomes everyone's `input`, of equal sizes, one after the other in rank order. Any dtype.
  /// `input` may be the own part of `output` itself.
  void all_gather(at::Tensor& output, const at::Tensor& input);
  /// *Collective.* As reduce_scatter and all_gather, but they return at once: the result is there when the work is
  /// done, and until then no other operation may touch the tensors. Further operations of the group may follow.
  [[nodiscard]] WorkHandle start_reduce_scatter(at::Tensor& output, const at::Tensor& input);
  [[nodiscard]] WorkHandle start_all_gather(at::Tensor& output, const at::Tensor& input);
  /// *Collective.* Gives every rank the root's tensor. Any dtype.
  void broadcast(at::Tensor& tensor, int root);

  /// *Local.* Messages between two ranks arrive in the order in which they were sent; both sides give the same shape
  /// and dtype. Not to a rank itself.
  [[nodiscard]] WorkHandle start_send(const at::Tensor& tensor, int destination);
  [[nodiscard]] WorkHandle start_receive(at::Tensor& tensor, int source);
  /// *Collective.* Prepares messages between ranks that follow one another, the last and the first too. Where messages
  /// may cross it must come first: the `nccl` backend connects two ranks at their first message, and both wait for
  /// that.
  void connect_neighbours();

  /// *Collective.* Gives every rank the root's bytes.
  void broadcast_bytes(std::string& bytes, int root);
  /// *Collective.* Every rank's bytes, in rank order, on every rank: an exchange of their lengths, then one of bytes
  /// or, where they are many, of slices of them.
  std::vector<std::string> all_gather_bytes(const std::string& bytes);
  /// *Collective.* Whether `holds` is true on every rank.
  [[nodiscard]] bool all_hold(bool holds);
  /// *Collective.* Returns when every rank has called it.
  void barrier();

  /// At kFull every collective first agrees on (number, operation, root, dtype, elements); ranks that differ all throw
  /// Error, which names both calls. The same on every rank.
  void set_check_level(CheckLevel level) noexcept { check_level_ = level; }
  [[nodiscard]] const CommCounts& counts() const noexcept { return counts_; }
  /// Records every operation from now on; not owned, null for none.
  void set_trace(TraceRecorder* trace) noexcept { trace_ = trace; }
  /// Notes from now on what waits for other ranks; not owned, null for none.
  void set_activity(ActivityLog* activity) noexcept { activity_ = activity; }
  /// The rank's record, for whoever works with this group: null where nobody reads one.
  [[nodiscard]] ActivityLog* activity() const noexcept { return activity_; }

 protected:
  Communicator(std::string name, int rank, int size);

 private:
  // What a backend does, for groups of two and more.
  virtual void do_all_reduce(at::Tensor& tensor, ReduceOp op) = 0;
  virtual void do_reduce_scatter(at::Tensor& output, const at::Tensor& input) = 0;
  virtual void do_all_gather(at::Tensor& output, const at::Tensor& input) = 0;
  virtual WorkHandle do_start_reduce_scatter(at::Tensor& output, const at::Tensor& input) = 0;
  virtual WorkHandle do_start_all_gather(at::Tensor& output, const at::Tensor& input) = 0;
  virtual void do_broadcast(at::Tensor& tensor, int root) = 0;
  virtual WorkHandle do_start_send(const at::Tensor& tensor, int destination) = 0;
  virtual WorkHandle do_start_receive(at::Tensor& tensor, int source) = 0;
  virtual void do_connect_neighbours() {}
  virtual void do_broadcast_bytes(std::string& bytes, int root) = 0;
  virtual std::vector<std::string> do_all_gather_bytes(const std::string& bytes) = 0;
  virtual bool do_all_hold(bool holds) = 0;
  virtual void do_barrier() = 0;

  /// One operation, as it is checked, counted and traced.
  struct Call {
    CommOperation operation = CommOperation::kControl;
    const char* name = "";
    std::int64_t sent_bytes = 0;
    const at::Tensor* tensor = nullptr;
    int root = -1;  ///< -1: none
  };
  template <class Part>
  void run(const Call& call, const Part& part);
  /// `work` that says while it is waited for which call it is of; `peer` is the rank at the other end, -1: all.
  [[nodiscard]] WorkHandle noted(WorkHandle work, const char* call, int peer = -1) const;
  [[nodiscard]] Call reduce_scatter_call(const at::Tensor& output, const at::Tensor& input) const;
  [[nodiscard]] Call all_gather_call(const at::Tensor& output, const at::Tensor& input) const;
  void agree_on(const Call& call);
  void require_reducible(const at::Tensor& tensor) const;
  void require_peer(int peer) const;

  std::string name_;
  int rank_;
  int size_;
  CheckLevel check_level_ = CheckLevel::kNormal;
  std::uint64_t num_collectives_ = 0;
  CommCounts counts_;
  TraceRecorder* trace_ = nullptr;
  ActivityLog* activity_ = nullptr;
};

}  // namespace collimate
