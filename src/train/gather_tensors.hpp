#pragma once
// From the parts that ranks hold to whole tensors on one rank.

#include <functional>
#include <vector>

#include "collimate/mesh/process_mesh.hpp"
#include "collimate/nn/model_shard.hpp"
#include "collimate/store/checkpoint.hpp"

namespace collimate::detail {

/// *Collective* over the job. World rank 0 gets every logical tensor, whole, in the model's order; the others nothing.
/// `part` gives this rank's part of its parameter of an index. Each element travels once.
std::vector<NamedTensor> gather_tensors(const ModelShard& shard, const ProcessMesh& mesh,
                                        const std::function<at::Tensor(std::size_t index)>& part);

}  // namespace collimate::detail
