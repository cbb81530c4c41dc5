#include "block_scoring.hpp"

#include <algorithm>
#include <chrono>
#include <future>

#include "collimate/base/activity_log.hpp"
#include "collimate/engine/batch_source.hpp"
#include "collimate/engine/memory_check.hpp"
#include "collimate/engine/progress.hpp"
#include "frozen_model.hpp"

namespace collimate::detail {

namespace {

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

PackingOptions scoring_packing(const ReferenceJob& job, const ReferenceForm& form) {
  BatchConfig batch = job.config.batch;
  batch.microbatch_tokens = form.microbatch_tokens;
  return packing_options(batch, job.mesh.shape(), job.model.spec(), Responses::kBoth);
}

void require_fits(const ReferenceJob& job, const BlockShare& share, const PackingOptions& packing) {
  std::vector<StreamSize> streams;
  for (const ReferenceBlock* block : share.blocks) {
    for (const StreamSize& stream : block_streams(block->places, packing)) streams.push_back(stream);
  }
  const bool offloaded = job.shard == nullptr && job.config.reference.placement == ReferencePlacement::kOffloaded;
  require_forward_fits(job.config, {.dtype = job.identity.dtype, .offloaded = offloaded}, job.model.spec(), streams,
                       job.mesh);
}

// In a thread of its own, in which libtorch has no part.
std::future<BlockStreams> start_reading(const ReferenceBlock& block, const PackingOptions& packing) {
  return std::async(std::launch::async, [&block, packing] { return read_block(block.places, packing); });
}

// Waits for the block before: one at a time is on its way to the disk.
void start_saving(std::future<void>& saved, const BlockParts& parts, std::vector<ReferenceRow> rows) {
  if (saved.valid()) saved.get();
  saved = std::async(std::launch::async, [&parts, rows = std::move(rows)]() mutable { parts.save(std::move(rows)); });
}

}  // namespace

void score_share(const ReferenceJob& job, const ReferenceForm& form, const BlockParts& parts, const BlockShare& share) {
  const PackingOptions packing = scoring_packing(job, form);
  require_fits(job, share, packing);
  const FrozenModel model(job);
  ModelPass pass(model.shard(), job.mesh, job.config.parallel);
  StopPoll poll(
      job.stop == nullptr ? StopPoll::Ask() : [&job] { return job.stop->heard(); }, job.mesh.model(),
      job.mesh.device());
  ScoringLog log(job.log, share.num_pairs_of_all, static_cast<std::size_t>(job.mesh.shape().data));
  std::future<BlockStreams> next;
  std::future<void> saved;
  if (!share.blocks.empty()) next = start_reading(*share.blocks.front(), packing);
  for (std::size_t i = 0; i < share.blocks.size() && poll.next() == StopKind::kNone; ++i) {
    note_work(job.mesh.world().activity(), "reading block {} of {}", i + 1, share.blocks.size());
    const BlockStreams streams = next.get();
    if (i + 1 < share.blocks.size()) next = start_reading(*share.blocks[i + 1], packing);
    std::vector<ReferenceRow> rows = score_block(pass, share.blocks[i]->places, streams, form.per_token);
    note_work(job.mesh.world().activity(), "writing the rows of block {} of {}", i + 1, share.blocks.size());
    if (pass.is_speaker()) start_saving(saved, parts, std::move(rows));
    log.add(share.blocks[i]->places.size());
  }
  if (saved.valid()) saved.get();
}

}  // namespace collimate::detail
