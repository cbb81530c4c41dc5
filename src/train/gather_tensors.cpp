#include "gather_tensors.hpp"

#include <map>
#include <string>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include "collimate/base/error.hpp"

namespace collimate::detail {

namespace {

std::vector<PlacedTensor> tensors_of_rank(const ModelShard& shard, const MeshShape& shape, int world_rank) {
  const Coordinate place = coordinate_of(shape, world_rank);
  const ShardLayout& layout = shard.layout();
  return rank_tensors(shard.spec(), layout.pipeline, place.pp_rank,
                      tensor_shard(shape, place, layout.axis.sequence_parallel));
}

// A rank's primary parts, one after the other, on the CPU: what it sends.
at::Tensor joined_parts(const std::vector<PlacedTensor>& tensors, const at::Tensor& like,
                        const std::function<at::Tensor(std::size_t)>& part) {
  std::vector<at::Tensor> parts{at::empty({0}, like.options().requires_grad(false))};
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (tensors[i].placement.is_primary) parts.push_back(part(i).detach().reshape({-1}));
  }
  return at::cat(parts).cpu();
}

// Puts the parts of one rank where they belong in the whole tensors.
void put_parts(const std::vector<PlacedTensor>& tensors, const at::Tensor& joined,
               std::map<std::string, at::Tensor>& whole) {
  std::int64_t begin = 0;
  for (const PlacedTensor& placed : tensors) {
    if (!placed.placement.is_primary) continue;
    const std::vector<std::int64_t> shape = part_shape(placed.tensor, placed.placement);
    at::Tensor target = part_of(whole.at(placed.tensor.name), placed.placement);
    const std::int64_t elements = target.numel();
    target.copy_(joined.narrow(0, begin, elements).view(shape));
    begin += elements;
  }
  check(begin == joined.numel(), "a rank sends the parts that its layout says");
}

std::int64_t num_primary_elements(const std::vector<PlacedTensor>& tensors) {
  std::int64_t elements = 0;
  for (const PlacedTensor& placed : tensors) {
    if (placed.placement.is_primary) elements += num_part_elements(placed.tensor, placed.placement);
  }
  return elements;
}

}  // namespace

std::vector<NamedTensor> gather_tensors(const ModelShard& shard, const ProcessMesh& mesh,
                                        const std::function<at::Tensor(std::size_t)>& part) {
  Communicator& world = mesh.world();
  const at::Tensor like = part(0);
  const std::vector<PlacedTensor> own = tensors_of_rank(shard, mesh.shape(), world.rank());
  if (world.rank() != 0) {
    if (mesh.coordinate().dp_rank == 0) world.start_send(joined_parts(own, like, part), 0)->wait();
    return {};
  }
  std::map<std::string, at::Tensor> whole;
  for (const LogicalTensor& tensor : logical_tensors(shard.spec())) {
    whole.emplace(tensor.name, at::empty(tensor.shape, like.scalar_type()));
  }
  put_parts(own, joined_parts(own, like, part), whole);
  for (const int rank : ranks_along(mesh.shape(), mesh.coordinate(), MeshAxis::kModel)) {
    if (rank == 0) continue;
    const std::vector<PlacedTensor> theirs = tensors_of_rank(shard, mesh.shape(), rank);
    at::Tensor joined = at::empty({num_primary_elements(theirs)}, like.scalar_type());
    world.start_receive(joined, rank)->wait();
    put_parts(theirs, joined, whole);
  }
  std::vector<NamedTensor> tensors;
  for (const LogicalTensor& tensor : logical_tensors(shard.spec())) {
    tensors.push_back({.name = tensor.name, .value = whole.at(tensor.name)});
  }
  return tensors;
}

}  // namespace collimate::detail
