#include "collimate/store/load_pieces.hpp"

#include <algorithm>
#include <cstring>

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include "block_reader.hpp"
#include "collimate/base/activity_log.hpp"
#include "collimate/comm/agreement.hpp"
#include "collimate/comm/solo.hpp"
#include "collimate/store/load_plan.hpp"
#include "load_slices.hpp"
#include "tensor_bytes.hpp"

namespace collimate {

namespace {

std::string bytes_of(const std::vector<ShardRange>& ranges) {
  const auto bytes = std::as_bytes(std::span(ranges));
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::vector<ShardRange> ranges_of(const std::string& bytes) {
  std::vector<ShardRange> ranges(bytes.size() / sizeof(ShardRange));
  if (!ranges.empty()) std::memcpy(ranges.data(), bytes.data(), bytes.size());
  return ranges;
}

std::vector<std::vector<ShardRange>> gather_ranges(const std::vector<ShardRange>& own, Communicator& world) {
  std::vector<std::vector<ShardRange>> all;
  for (const std::string& bytes : world.all_gather_bytes(bytes_of(own))) all.push_back(ranges_of(bytes));
  return all;
}

/// Loads round by round.
class PieceLoader {
 public:
  PieceLoader(const Checkpoint& checkpoint, std::span<const LoadRequest> requests, Communicator& world)
      : requests_(requests),
        world_(world),
        table_(checkpoint.manifest()),
        reader_(checkpoint.path(), table_),
        slices_(make_agreed(world, [&] { return detail::slices_of(checkpoint.path(), table_, requests); })) {}

  std::int64_t run() {
    const LoadPlan plan = plan_loading(gather_ranges(detail::blocks_of(slices_), world_), table_.bytes());
    const std::vector<LoadRound> rounds = rounds_of(plan, world_.rank(), table_.bytes());
    const at::Tensor buffer = make_agreed(world_, [&] {
      std::int64_t most_bytes = 0;
      for (const LoadRound& round : rounds) most_bytes = std::max(most_bytes, round.buffer_bytes);
      return at::empty({most_bytes}, at::kByte);
    });
    for (std::size_t i = 0; i < rounds.size(); ++i) {
      note_work(world_.activity(), "loading a checkpoint, round {} of {}", i + 1, rounds.size());
      if (i + 1 < rounds.size()) expect(rounds[i + 1]);
      run_round(rounds[i], buffer);
    }
    return reader_.num_blocks_read();
  }

 private:
  void run_round(const LoadRound& round, const at::Tensor& buffer) {
    run_agreed(world_, [&] {
      for (const HeldBlock& held : round.held) {
        if (held.is_read) reader_.read(held.block, bytes_of(held, buffer));
      }
    });
    exchange(round, buffer);
    for (const HeldBlock& held : round.held) scatter(held, buffer);
  }

  // So that the disk goes on while this round is verified and copied.
  void expect(const LoadRound& round) {
    for (const HeldBlock& held : round.held) {
      if (held.is_read) reader_.expect(held.block);
    }
  }

  void exchange(const LoadRound& round, const at::Tensor& buffer) {
    std::vector<WorkHandle> works;
    for (const LoadMessage& message : round.messages) {
      at::Tensor bytes = buffer.narrow(0, message.bytes.begin, message.bytes.length);
      works.push_back(message.reader == world_.rank() ? world_.start_send(bytes, message.receiver)
                                                      : world_.start_receive(bytes, message.reader));
    }
    for (const WorkHandle& work : works) work->wait();
  }

  void scatter(const HeldBlock& held, const at::Tensor& buffer) const {
    const auto [first, last] = std::ranges::equal_range(slices_, held.block, {}, &detail::BlockSlice::block);
    detail::scatter_block(bytes_of(held, buffer), {first, last}, table_.manifest(), requests_);
  }

  [[nodiscard]] std::span<std::byte> bytes_of(const HeldBlock& held, const at::Tensor& buffer) const {
    const auto length = static_cast<std::size_t>(table_.bytes()[static_cast<std::size_t>(held.block)]);
    return {static_cast<std::byte*>(buffer.data_ptr()) + held.begin, length};
  }

  std::span<const LoadRequest> requests_;
  Communicator& world_;
  detail::BlockTable table_;
  detail::BlockReader reader_;
  std::vector<detail::BlockSlice> slices_;  // by block
};

}  // namespace

std::int64_t load_pieces(const Checkpoint& checkpoint, std::span<const LoadRequest> requests, Communicator& world) {
  return PieceLoader(checkpoint, requests, world).run();
}

at::Tensor load_tensor(const Checkpoint& checkpoint, const std::string& group, const std::string& name) {
  const auto alone = SoloFactory().make_world_group();
  LoadRequest request{.group = group, .name = name, .shape = {}, .piece = {}, .into = {}};
  run_agreed(*alone, [&] {
    const TensorInfo& info = detail::find_tensor(checkpoint.path(), checkpoint.manifest(), group, name).info;
    request.shape = info.shape;
    request.piece = whole_piece(info.shape);
    request.into = at::empty({request.piece.flat.length}, detail::scalar_type_of(info.dtype));
  });
  load_pieces(checkpoint, std::span(&request, 1), *alone);
  return request.into.view(request.shape);
}

}  // namespace collimate
