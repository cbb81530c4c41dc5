#pragma once
// Loading a checkpoint on all ranks of a job together, at whatever layout: each block is read and verified by one of
// the ranks that need it, and comes to the others from there.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "collimate/comm/communicator.hpp"
#include "collimate/store/checkpoint.hpp"

namespace collimate {

/// What one rank wants of a logical tensor, and where.
struct LoadRequest {
  std::string group;
  std::string name;
  std::vector<std::int64_t> shape;  ///< of the whole tensor
  TensorPiece piece;
  at::Tensor into;  ///< [piece.flat.length], contiguous, on any device, in any floating dtype: values are converted
};

/// *Collective.* Fills what all ranks ask for; a rank may ask for nothing, and several for the same. `world` carries
/// tensors of the CPU. Returns the number of blocks that this rank has read: over the job, of all that anyone needs.
///
/// Throws AgreedError, of exit code 2, where a tensor is missing, has another shape or is damaged; then some requests
/// may have been filled in part.
std::int64_t load_pieces(const Checkpoint& checkpoint, std::span<const LoadRequest> requests, Communicator& world);

/// *Local.* A whole tensor on the CPU, in the dtype it was saved in, from whatever pieces it was saved as. Throws as
/// load_pieces.
at::Tensor load_tensor(const Checkpoint& checkpoint, const std::string& group, const std::string& name);

}  // namespace collimate
