#include "collimate/store/merge_blocks.hpp"

#include <algorithm>

#include "collimate/base/activity_log.hpp"
#include "collimate/base/error.hpp"
#include "collimate/base/shard_range.hpp"
#include "collimate/comm/agreement.hpp"
#include "collimate/io/hdf5_rows.hpp"
#include "reference_file.hpp"

namespace collimate {

namespace {

constexpr std::size_t kExisting = static_cast<std::size_t>(-1);

// Where a row of the store comes from.
struct RowSource {
  Hash128 pair_id;
  std::size_t block;  ///< kExisting: the store as it is
  std::size_t index;  ///< of the row there
};

std::vector<RowSource> sources_of(const MergeInputs& inputs) {
  std::vector<RowSource> sources;
  if (inputs.existing) {
    const auto& rows = inputs.existing->rows();
    for (std::size_t i = 0; i < rows.size(); ++i) sources.push_back({rows[i].pair_id, kExisting, i});
  }
  for (std::size_t block = 0; block < inputs.blocks.size(); ++block) {
    const std::vector<Hash128>& ids = inputs.blocks[block];
    for (std::size_t i = 0; i < ids.size(); ++i) sources.push_back({ids[i], block, i});
  }
  std::ranges::sort(sources, {}, &RowSource::pair_id);
  return sources;
}

// Rows of some sources, which are in the store's order: of each block that they are of, and of the old store, the rows
// follow one another.
class RowReader {
 public:
  explicit RowReader(const MergeInputs& inputs) : inputs_(inputs) {}

  [[nodiscard]] std::vector<ReferenceRow> read(std::span<const RowSource> sources) {
    std::vector<ReferenceRow> rows;
    rows.reserve(sources.size());
    for (const RowSource& source : sources) {
      rows.push_back(source.block == kExisting ? inputs_.existing->rows()[source.index] : row_of_block(source));
    }
    if (inputs_.existing && inputs_.form.per_token) add_tokens(sources, rows);
    return rows;
  }

 private:
  ReferenceRow row_of_block(const RowSource& source) {
    if (source.block != open_block_) {
      part_ = inputs_.parts.find(inputs_.blocks[source.block]);
      open_block_ = source.block;
    }
    if (!part_) throw Error("a block that was finished is not to be found any more");
    return part_->rows()[source.index];
  }

  // The old store is in memory without values of single tokens.
  void add_tokens(std::span<const RowSource> sources, std::vector<ReferenceRow>& rows) const {
    const auto is_existing = [](const RowSource& source) { return source.block == kExisting; };
    const auto first = std::ranges::find_if(sources, is_existing);
    if (first == sources.end()) return;
    std::vector<ReferenceRow> old_rows;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (is_existing(sources[i])) old_rows.push_back(rows[i]);
    }
    const detail::ReferenceFile file(inputs_.path);
    file.read_tokens(inputs_.existing->rows(), first->index, old_rows);
    auto filled = old_rows.begin();
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (is_existing(sources[i])) rows[i] = std::move(*filled++);
    }
  }

  const MergeInputs& inputs_;
  std::size_t open_block_ = kExisting;
  std::optional<ReferenceStore> part_;
};

// How many rows, or values, the ranks before this one have, and all of them.
struct Share {
  std::uint64_t begin = 0;
  std::uint64_t total = 0;
};

Share share_of(std::uint64_t own, Communicator& world) {
  const std::vector<std::string> counts = world.all_gather_bytes(std::to_string(own));
  Share share;
  for (int rank = 0; rank < world.size(); ++rank) {
    const std::uint64_t count = std::stoull(counts[static_cast<std::size_t>(rank)]);
    share.total += count;
    if (rank < world.rank()) share.begin += count;
  }
  return share;
}

// An empty file of the store's whole size, with room for what compression may make longer.
std::string stage(Hdf5Writer& writer, const MergeInputs& inputs, std::uint64_t num_rows, std::uint64_t num_values) {
  constexpr std::uint64_t kSlackBytes = 1U << 20U;
  detail::write_reference_header(writer, inputs.identity, inputs.form);
  writer.reserve<std::uint64_t>(detail::kPairId, {num_rows, 2});
  detail::for_each_column(
      [&]<class T>(const char* name, T ReferenceRow::* /*member*/) { writer.reserve<T>(name, {num_rows}); });
  if (!inputs.form.per_token) return writer.stage();
  writer.reserve<float>(detail::kTokenLogps, {num_values}, Hdf5Coding::kCompressed);
  return writer.stage(num_values * sizeof(float) + num_values / 8 + kSlackBytes);
}

void write_rows(const std::string& staged, std::span<const ReferenceRow> own, const Share& rows, const Share& values,
                bool per_token) {
  Hdf5Rows file(staged);
  const std::vector<std::uint64_t> halves = detail::pair_id_halves(own);
  file.write(detail::kPairId, rows.begin, std::span(halves));
  detail::for_each_column([&]<class T>(const char* name, T ReferenceRow::* member) {
    const std::vector<T> values_of_rows = detail::column(own, member);
    file.write(name, rows.begin, std::span(values_of_rows));
  });
  if (per_token) {
    const std::vector<float> tokens = detail::joined_token_logps(own);
    file.write(detail::kTokenLogps, values.begin, std::span(tokens));
  }
  file.close();
}

}  // namespace

void merge_blocks(const MergeInputs& inputs, Communicator& world) {
  const std::vector<RowSource> sources = sources_of(inputs);
  note_work(world.activity(), "writing {}", inputs.path);
  const ShardRange part = shard_range(std::ssize(sources), world.size(), world.rank());
  const std::vector<ReferenceRow> own = make_agreed(world, [&] {
    return RowReader(inputs).read(
        std::span(sources).subspan(static_cast<std::size_t>(part.begin), static_cast<std::size_t>(part.length)));
  });
  const Share rows = share_of(own.size(), world);
  const Share values = share_of(detail::num_labelled_tokens(own), world);
  std::optional<Hdf5Writer> writer;
  std::string staged = make_agreed(world, [&] {
    if (world.rank() != 0) return std::string();
    writer.emplace(inputs.path);
    return stage(*writer, inputs, rows.total, values.total);
  });
  world.broadcast_bytes(staged, 0);
  write_rows(staged, own, rows, values, inputs.form.per_token);
  world.barrier();
  run_agreed(world, [&] {
    if (!writer) return;
    note_work(world.activity(), "reading {} back", staged);
    static_cast<void>(ReferenceStore::open(staged, TokenValues::kRead));
    writer->commit();
  });
}

}  // namespace collimate
