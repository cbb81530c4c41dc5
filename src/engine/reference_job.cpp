#include "collimate/engine/reference_job.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>

#include "collimate/comm/agreement.hpp"
#include "collimate/engine/batch_source.hpp"
#include "collimate/engine/build_shard.hpp"
#include "collimate/engine/memory_check.hpp"
#include "collimate/engine/progress.hpp"
#include "collimate/io/atomic_file.hpp"
#include "collimate/io/file_lock.hpp"
#include "collimate/store/merge_blocks.hpp"

namespace collimate {

namespace {

using Numbers = std::vector<std::size_t>;

// The blocks that are still to be scored, as rank 0 finds the folder: all ranks must agree on them.
Numbers unfinished(const BlockParts& parts, const std::vector<ReferenceBlock>& blocks, Communicator& world) {
  std::string flags(blocks.size(), '0');
  run_agreed(world, [&] {
    if (world.rank() != 0) return;
    parts.prepare();
    for (std::size_t i = 0; i < blocks.size(); ++i) flags[i] = parts.find(blocks[i].pair_ids) ? '1' : '0';
  });
  world.broadcast_bytes(flags, 0);
  Numbers numbers;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (flags[i] == '0') numbers.push_back(i);
  }
  return numbers;
}

// Rank 0's own copy of the model stands for all of them.
class ScoringLog {
 public:
  ScoringLog(const Log& log, std::size_t num_pairs, std::size_t num_copies)
      : log_(log), num_pairs_(num_pairs), num_copies_(num_copies) {}

  void add(std::size_t num_pairs) {
    num_own_ += num_pairs;
    const std::size_t num_scored = std::min(num_pairs_, num_own_ * num_copies_);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start_;
    const double rate = static_cast<double>(num_scored) / elapsed.count();
    log_.info("scored {}/{} pairs  pairs/s {:.2f}  left {}", num_scored, num_pairs_, rate,
              clock_text(static_cast<double>(num_pairs_ - num_scored) / rate));
  }

 private:
  const Log& log_;
  std::size_t num_pairs_;
  std::size_t num_copies_;
  std::size_t num_own_ = 0;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// Every copy of the model takes blocks in turns, and waits for no other.
std::vector<const ReferenceBlock*> blocks_of_copy(const std::vector<ReferenceBlock>& blocks, const Numbers& numbers,
                                                  const ProcessMesh& mesh) {
  std::vector<const ReferenceBlock*> own;
  const auto num_copies = static_cast<std::size_t>(mesh.shape().data);
  for (auto i = static_cast<std::size_t>(mesh.coordinate().dp_rank); i < numbers.size(); i += num_copies) {
    own.push_back(&blocks[numbers[i]]);
  }
  return own;
}

PackingOptions scoring_packing(const ReferenceJob& job, const ReferenceForm& form) {
  BatchConfig batch = job.config.batch;
  batch.microbatch_tokens = form.microbatch_tokens;
  return packing_options(batch, job.mesh.shape(), job.model.spec(), Responses::kBoth);
}

void score_own(const ReferenceJob& job, const ReferenceForm& form, const BlockParts& parts,
               const std::vector<ReferenceBlock>& blocks, const Numbers& numbers) {
  const ModelSpec& spec = job.model.spec();
  const PackingOptions packing = scoring_packing(job, form);
  const std::vector<const ReferenceBlock*> own = blocks_of_copy(blocks, numbers, job.mesh);
  std::vector<StreamSize> streams;
  for (const ReferenceBlock* block : own) {
    for (const StreamSize& stream : block_streams(block->places, packing)) streams.push_back(stream);
  }
  require_forward_fits(job.config, job.identity.dtype, spec, streams, job.mesh);
  const ModelShard shard = make_agreed(job.mesh.world(), [&] {
    const ShardLayout layout = shard_layout(job.config.parallel, spec, job.mesh);
    return build_shard(job.model, layout, stage_options(job.identity.dtype, ShardUse::kForwardOnly, job.mesh));
  });
  ModelPass pass(shard, job.mesh, job.config.parallel);
  std::size_t num_pairs = 0;
  for (const std::size_t number : numbers) num_pairs += blocks[number].places.size();
  ScoringLog log(job.log, num_pairs, static_cast<std::size_t>(job.mesh.shape().data));
  for (const ReferenceBlock* block : own) {
    std::vector<ReferenceRow> rows = score_block(pass, block->places, packing, form.per_token);
    if (pass.is_speaker()) parts.save(std::move(rows));
    log.add(block->places.size());
  }
}

std::optional<ReferenceStore> open_existing(const std::string& path, const ReferenceIdentity& identity,
                                            bool per_token) {
  if (!std::filesystem::exists(path)) {
    // Finds out now whether the store can be written at all.
    const AtomicFile probe(path);
    return std::nullopt;
  }
  ReferenceStore store = ReferenceStore::open(path);
  require_same_identity(store.identity(), identity, path);
  require_token_values(store.form(), per_token, path);
  return store;
}

// A store that has values of single tokens goes on having them.
ReferenceForm form_of(const RunConfig& config, const std::optional<ReferenceStore>& existing) {
  const ReferenceConfig& reference = config.reference;
  return {.microbatch_tokens = reference.microbatch_tokens.value_or(config.batch.microbatch_tokens),
          .block_pairs = reference.block_pairs,
          .per_token = existing ? existing->form().per_token : reference.per_token};
}

// Leaves the store whole, once each of the blocks is durable.
void score_blocks(const ReferenceJob& job, const std::vector<ReferenceBlock>& blocks,
                  const std::optional<ReferenceStore>& existing) {
  Communicator& world = job.mesh.world();
  const std::string& path = *job.config.reference.store;
  const ReferenceForm form = form_of(job.config, existing);
  const BlockParts parts(path, job.identity, form);
  const Numbers numbers = unfinished(parts, blocks, world);
  if (numbers.size() < blocks.size()) {
    job.log.info("{} of {} blocks are scored already", blocks.size() - numbers.size(), blocks.size());
  }
  if (!numbers.empty()) score_own(job, form, parts, blocks, numbers);
  world.barrier();  // every part is there
  std::vector<std::vector<Hash128>> ids;
  std::size_t num_rows = 0;
  for (const ReferenceBlock& block : blocks) {
    ids.push_back(block.pair_ids);
    num_rows += block.pair_ids.size();
  }
  merge_blocks(
      {.path = path, .identity = job.identity, .form = form, .parts = parts, .blocks = ids, .existing = existing},
      world);
  if (world.rank() == 0) parts.remove();
  job.log.info("wrote {} rows to {}", num_rows, path);
}

}  // namespace

std::vector<ReferenceBlock> reference_blocks(const RunData& data, const ReferenceStore* existing,
                                             std::int64_t block_pairs) {
  std::map<Hash128, PairPlace> places;
  const auto add = [&](const PreferenceDataset& dataset) {
    for (std::uint64_t pair = 0; pair < dataset.size(); ++pair) {
      const Hash128 id = dataset.pair_id(pair);
      if (existing == nullptr || !existing->find(id)) places.emplace(id, PairPlace{.dataset = &dataset, .pair = pair});
    }
  };
  add(data.train);
  if (data.eval) add(*data.eval);
  std::vector<ReferenceBlock> blocks;
  for (const auto& [id, place] : places) {
    if (blocks.empty() || std::ssize(blocks.back().places) == block_pairs) blocks.emplace_back();
    blocks.back().pair_ids.push_back(id);
    blocks.back().places.push_back(place);
  }
  return blocks;
}

void complete_reference_store(const ReferenceJob& job) {
  Communicator& world = job.mesh.world();
  const std::string& path = job.config.reference.store.value();
  std::optional<FileLock> lock;
  run_agreed(world, [&] {
    if (world.rank() == 0) lock.emplace(path);
  });
  const auto existing =
      make_agreed(world, [&] { return open_existing(path, job.identity, job.config.reference.per_token); });
  const std::vector<ReferenceBlock> blocks =
      reference_blocks(job.data, existing ? &*existing : nullptr, job.config.reference.block_pairs);
  if (blocks.empty()) {
    job.log.info("{} has every pair already", path);
  } else {
    score_blocks(job, blocks, existing);
  }
  world.barrier();  // nobody opens what is being written
}

}  // namespace collimate
