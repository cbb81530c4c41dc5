#include "piece_writer.hpp"

#include <algorithm>
#include <filesystem>
#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include "collimate/base/error.hpp"
#include "collimate/io/output_file.hpp"
#include "tensor_bytes.hpp"

namespace collimate::detail {

namespace {

// Small enough to be waited for, large enough to be written well.
constexpr std::int64_t kPortionBytes = std::int64_t{4} * 1024 * 1024;

std::vector<std::string> hex_of(const std::vector<Hash128>& hashes) {
  std::vector<std::string> texts;
  for (const Hash128& hash : hashes) texts.push_back(hash.hex());
  return texts;
}

std::string key_of(const SavedPiece& piece) { return piece.group + "/" + piece.name; }

std::vector<at::Tensor> portions_of(const at::Tensor& value) {
  if (value.numel() == 0) return {value};
  return value.detach().split(std::max<std::int64_t>(1, kPortionBytes / value.element_size()));
}

}  // namespace

PieceWriter::PieceWriter(int rank, std::span<const SavedPiece> pieces)
    : name_(fmt::format("rank_{:05}.safetensors", rank)) {
  for (const SavedPiece& piece : pieces) {
    const StorageDtype dtype = storage_dtype_of(piece.value.scalar_type());
    check(piece.value.numel() == piece.piece.flat.length, "a piece has the elements that it says");
    infos_.push_back({.name = key_of(piece), .dtype = dtype, .shape = {piece.piece.flat.length}});
    share_.tensors.push_back({.group = piece.group,
                              .info = {.name = piece.name, .dtype = dtype, .shape = piece.shape},
                              .pieces = {{.file = name_, .offset = 0, .piece = piece.piece}}});
    for (at::Tensor& portion : portions_of(piece.value)) portions_.push_back(std::move(portion));
  }
  num_lent_ = portions_.size();
}

ManifestShare PieceWriter::write(const std::string& folder, const std::stop_token& stop, ActivityLog* activity) {
  try {
    if (!infos_.empty()) write_file(folder, stop, activity);
    return std::move(share_);
  } catch (...) {
    {
      const std::scoped_lock lock(mutex_);
      has_failed_ = true;
    }
    changed_.notify_all();
    throw;
  }
}

void PieceWriter::write_file(const std::string& folder, const std::stop_token& stop, ActivityLog* activity) {
  OutputFile file((std::filesystem::path(folder) / name_).string());
  SafetensorsWriter writer(file, infos_);
  place_pieces(file.num_bytes());
  for (at::Tensor portion = next_portion(); portion.defined(); portion = next_portion()) {
    if (stop.stop_requested()) throw Error(fmt::format("{}: is given up, since the job is ending", file.path()));
    writer.append(bytes_of(portion.to(at::kCPU).contiguous()));
    portion.reset();
    finish_portion();
    if (activity != nullptr) activity->tick();
  }
  writer.finish();
  file.close();
  share_.files.push_back({.name = name_, .num_bytes = file.num_bytes(), .blocks = hex_of(file.block_hashes())});
}

void PieceWriter::place_pieces(std::uint64_t header_bytes) {
  std::uint64_t offset = header_bytes;
  for (std::size_t i = 0; i < infos_.size(); ++i) {
    check(offset % element_bytes(infos_[i].dtype) == 0, "a rank saves pieces of wider dtypes before narrower ones");
    share_.tensors[i].pieces.front().offset = offset;
    offset += infos_[i].num_bytes();
  }
}

at::Tensor PieceWriter::next_portion() {
  const std::scoped_lock lock(mutex_);
  if (num_begun_ == portions_.size()) return {};
  return std::exchange(portions_[num_begun_++], at::Tensor());
}

void PieceWriter::finish_portion() {
  {
    const std::scoped_lock lock(mutex_);
    ++num_written_;
  }
  changed_.notify_all();
}

ReleaseCost PieceWriter::release(std::uint64_t buffer_bytes) {
  ReleaseCost cost;
  std::unique_lock lock(mutex_);
  while (num_lent_ > num_begun_ && !has_failed_) {
    const std::uint64_t num_bytes = portions_[num_lent_ - 1].nbytes();
    if (cost.copied_bytes + num_bytes > buffer_bytes || !replace_last(lock)) break;
    cost.copied_bytes += num_bytes;
  }
  for (std::size_t i = num_begun_; i < num_lent_; ++i) cost.awaited_bytes += portions_[i].nbytes();
  changed_.wait(lock, [&] { return num_written_ >= num_lent_ || has_failed_; });
  num_lent_ = 0;
  return cost;
}

bool PieceWriter::replace_last(std::unique_lock<std::mutex>& lock) {
  const at::Tensor value = portions_[num_lent_ - 1];
  lock.unlock();  // the writer goes on
  at::Tensor copy = value.to(value.options().device(at::kCPU), /*non_blocking=*/false, /*copy=*/true);
  lock.lock();
  if (num_begun_ >= num_lent_) return false;
  portions_[--num_lent_] = std::move(copy);
  return true;
}

}  // namespace collimate::detail
