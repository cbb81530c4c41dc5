#pragma once
// One group of ranks. Each backend lives in its own folder (comm/mpi); callers know this interface alone. A group of
// one is the identity, so nothing above branches on the world size.

#include <string>
#include <vector>

namespace at {
class Tensor;
}

namespace collimate {

enum class ReduceOp { kSum, kMax };

/// A group of ranks that call its operations together and in the same order. Used by one thread. Operations throw Error
/// with the group's name when the backend fails.
class Communicator {
 public:
  virtual ~Communicator() = default;
  Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  [[nodiscard]] virtual int rank() const = 0;
  [[nodiscard]] virtual int size() const = 0;
  /// The mesh axis, for messages: "world", "data".
  [[nodiscard]] virtual const std::string& name() const = 0;

  /// *Collective.* Reduces a contiguous CPU tensor (float32, float64, int64) of any size in place. Sums run in rank
  /// order, so that the result is the same to the bit on every rank and in every run.
  virtual void all_reduce(at::Tensor& tensor, ReduceOp op) = 0;
  /// *Collective.* Gives every rank the root's bytes.
  virtual void broadcast_bytes(std::string& bytes, int root) = 0;
  /// *Collective.* Every rank's bytes, in rank order, on every rank.
  virtual std::vector<std::string> all_gather_bytes(const std::string& bytes) = 0;
  /// *Collective.* Returns when every rank has called it.
  virtual void barrier() = 0;
};

}  // namespace collimate
