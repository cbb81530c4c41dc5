#include "collimate/engine/reference_job.hpp"

#include <filesystem>
#include <map>

#include "block_scoring.hpp"
#include "collimate/base/activity_log.hpp"
#include "collimate/comm/agreement.hpp"
#include "collimate/io/atomic_file.hpp"
#include "collimate/io/file_lock.hpp"
#include "collimate/store/merge_blocks.hpp"

namespace collimate {

namespace {

using Numbers = std::vector<std::size_t>;

// The blocks that are still to be scored, as rank 0 finds the folder: all ranks must agree on them.
Numbers unfinished(BlockParts& parts, const std::vector<ReferenceBlock>& blocks, Communicator& world) {
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

// Every copy of the model takes blocks in turns, and waits for no other.
detail::BlockShare share_of(const std::vector<ReferenceBlock>& blocks, const Numbers& numbers,
                            const ProcessMesh& mesh) {
  detail::BlockShare share;
  const auto num_copies = static_cast<std::size_t>(mesh.shape().data);
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const ReferenceBlock& block = blocks[numbers[i]];
    share.num_pairs_of_all += block.places.size();
    const bool is_own = i % num_copies == static_cast<std::size_t>(mesh.coordinate().dp_rank);
    if (is_own) share.blocks.push_back(&block);
  }
  return share;
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
  BlockParts parts(path, job.identity, form);
  const Numbers numbers = unfinished(parts, blocks, world);
  if (numbers.size() < blocks.size()) {
    job.log.info("{} of {} blocks are scored already", blocks.size() - numbers.size(), blocks.size());
  }
  if (!numbers.empty()) detail::score_share(job, form, parts, share_of(blocks, numbers, job.mesh));
  leave_if_stopped(job.stop, world, "the blocks of reference scores that are finished are durable");
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
  note_work(world.activity(), "opening {}", path);
  std::optional<FileLock> lock;
  run_agreed(world, [&] {
    if (world.rank() != 0) return;
    lock.emplace(path, job.log);
    remove_staged_files(path);
  });
  leave_if_stopped(job.stop, world, "no reference score was begun");
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
