#include "gather_state.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>

#include <ATen/ops/empty.h>

#include "collimate/base/error.hpp"
#include "collimate/model/logical_tensor.hpp"

namespace collimate::test {

namespace {

constexpr std::array kGroups{"model", "exp_avg", "exp_avg_sq"};

struct WholeTensor {
  at::Tensor value;
  std::int64_t num_found = 0;
};
using Whole = std::map<std::pair<std::string, std::string>, WholeTensor>;

void add(const SavedPiece& piece, const at::Tensor& values, Whole& whole) {
  WholeTensor& target = whole[{piece.group, piece.name}];
  if (!target.value.defined()) target.value = at::empty(piece.shape, values.scalar_type());
  const at::Tensor flat = target.value.view({-1});
  for (const PieceCopy& copy : reshard(piece.shape, std::array{piece.piece}, whole_piece(piece.shape))) {
    flat.narrow(0, copy.to, copy.length).copy_(values.narrow(0, copy.from, copy.length));
    target.num_found += copy.length;
  }
}

// The values of a rank's pieces of one rank's turn, whose places all ranks are told.
std::string bytes_of(const at::Tensor& value) {
  const at::Tensor own = value.cpu().contiguous();
  return {static_cast<const char*>(own.const_data_ptr()), own.nbytes()};
}

nlohmann::json place_of(const SavedPiece& piece) {
  return {piece.group,
          piece.name,
          piece.shape,
          piece.piece.dim,
          piece.piece.part.begin,
          piece.piece.part.length,
          piece.piece.flat.begin,
          piece.piece.flat.length};
}

SavedPiece piece_at(const nlohmann::json& json) {
  return {.group = json[0],
          .name = json[1],
          .shape = json[2],
          .piece = {.dim = json[3], .part = {json[4], json[5]}, .flat = {json[6], json[7]}},
          .value = {}};
}

}  // namespace

std::vector<TensorGroup> gather_state(Policy& policy, Communicator& world) {
  policy.wait_for_parameters();
  const std::vector<SavedPiece> own = policy.pieces();
  nlohmann::json places = nlohmann::json::array();
  std::string values;
  for (const SavedPiece& piece : own) {
    places.push_back(place_of(piece));
    values += bytes_of(piece.value);
  }
  const auto dtype = own.empty() ? at::kFloat : own.front().value.scalar_type();
  const std::vector<std::string> all_places = world.all_gather_bytes(places.dump());
  const std::vector<std::string> all_values = world.all_gather_bytes(values);
  if (world.rank() != 0) return {};
  Whole whole;
  for (std::size_t rank = 0; rank < all_places.size(); ++rank) {
    std::size_t offset = 0;
    for (const nlohmann::json& json : nlohmann::json::parse(all_places[rank])) {
      const SavedPiece piece = piece_at(json);
      at::Tensor part = at::empty({piece.piece.flat.length}, dtype);
      std::memcpy(part.mutable_data_ptr(), all_values[rank].data() + offset, part.nbytes());
      offset += part.nbytes();
      add(piece, part, whole);
    }
  }
  std::vector<TensorGroup> groups;
  for (const char* name : kGroups) {
    TensorGroup& group = groups.emplace_back(TensorGroup{.name = name, .tensors = {}});
    for (const LogicalTensor& tensor : logical_tensors(policy.shard().spec())) {
      const WholeTensor& found = whole.at({name, tensor.name});
      check(found.num_found == found.value.numel(), "every element is saved once");
      group.tensors.push_back({.name = tensor.name, .value = found.value});
    }
  }
  return groups;
}

}  // namespace collimate::test
