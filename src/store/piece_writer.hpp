#pragma once
// Writes one rank's file of a checkpoint, in a thread of its own if need be, while training goes on. Private to
// src/store.

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "collimate/base/activity_log.hpp"
#include "collimate/store/checkpoint.hpp"
#include "manifest.hpp"

namespace collimate::detail {

/// What it took to let go of values that were not yet written.
struct ReleaseCost {
  std::uint64_t copied_bytes = 0;
  std::uint64_t awaited_bytes = 0;  ///< of what was waited for, since the buffer did not hold it
};

/// One rank's pieces on their way to rank_00000.safetensors and so on. One thread writes, another releases.
class PieceWriter {
 public:
  /// Keeps the values' tensors, which must not change until release() has returned.
  PieceWriter(int rank, std::span<const SavedPiece> pieces);

  /// Writes all of them into `folder`, which all ranks share, and makes the file durable; no file where there are no
  /// pieces. Once. `activity` ticks as it goes on. Throws Error, also when a stop is requested.
  ManifestShare write(const std::string& folder, const std::stop_token& stop = {}, ActivityLog* activity = nullptr);

  /// Returns when the values may change: what is not yet written is copied to the host, at most `buffer_bytes` of it,
  /// from the end on; what comes before that is waited for. Further calls cost nothing. Returns at once when write()
  /// has failed.
  ReleaseCost release(std::uint64_t buffer_bytes);

 private:
  void write_file(const std::string& folder, const std::stop_token& stop, ActivityLog* activity);
  void place_pieces(std::uint64_t header_bytes);
  [[nodiscard]] at::Tensor next_portion();
  void finish_portion();
  // The last of the caller's values as a copy; whether that was before its writing had begun.
  bool replace_last(std::unique_lock<std::mutex>& lock);

  std::string name_;
  std::vector<TensorInfo> infos_;
  ManifestShare share_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<at::Tensor> portions_;  // what is written at a time, in the order of the file; gone when it is
  std::size_t num_begun_ = 0;
  std::size_t num_written_ = 0;
  std::size_t num_lent_ = 0;  // those before are the caller's values, those from here on copies
  bool has_failed_ = false;
};

}  // namespace collimate::detail
