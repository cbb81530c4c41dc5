#include "load_slices.hpp"

#include <algorithm>
#include <cstring>
#include <tuple>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "collimate/base/error.hpp"
#include "collimate/io/block_hashes.hpp"
#include "collimate/store/reshard_plan.hpp"
#include "tensor_bytes.hpp"

namespace collimate::detail {

namespace {

constexpr auto kSignedBlockBytes = static_cast<std::int64_t>(kBlockBytes);

void require_shape(const std::string& path, const ManifestTensor& tensor, const std::vector<std::int64_t>& needed) {
  if (tensor.info.shape == needed) return;
  throw InputError(fmt::format("{}: tensor {} has shape [{}], but the model needs [{}]", path, tensor.info.name,
                               fmt::join(tensor.info.shape, ", "), fmt::join(needed, ", ")));
}

/// Elements of a file from byte `offset` on, which `slice` says where to put, cut where blocks end.
void add_cut(BlockSlice slice, std::int64_t offset, std::int64_t element_bytes, std::vector<BlockSlice>& slices) {
  const std::int64_t first_block = slice.block;
  for (std::int64_t rest = slice.length; rest > 0; rest -= slice.length) {
    slice.block = first_block + offset / kSignedBlockBytes;
    slice.from = offset % kSignedBlockBytes;
    slice.length = std::min(rest, (kSignedBlockBytes - slice.from) / element_bytes);
    slices.push_back(slice);
    offset += slice.length * element_bytes;
    slice.to += slice.length;
  }
}

/// Those of one request that lie side by side there.
std::span<const BlockSlice> front_run(std::span<const BlockSlice> slices) {
  std::size_t length = 1;
  while (length < slices.size() && slices[length].request == slices.front().request &&
         slices[length].to == slices[length - 1].to + slices[length - 1].length) {
    ++length;
  }
  return slices.first(length);
}

void gather_run(std::span<const std::byte> bytes, std::span<const BlockSlice> run, std::uint64_t element_bytes,
                std::byte* begin) {
  for (const BlockSlice& slice : run) {
    std::memcpy(begin + static_cast<std::uint64_t>(slice.to - run.front().to) * element_bytes,
                bytes.data() + slice.from, static_cast<std::uint64_t>(slice.length) * element_bytes);
  }
}

void add_request(const std::string& path, const BlockTable& table, const LoadRequest& request, std::size_t index,
                 std::vector<BlockSlice>& slices) {
  check(request.into.numel() == request.piece.flat.length, "a request has room for its elements");
  const ManifestTensor& tensor = find_tensor(path, table.manifest(), request.group, request.name);
  require_shape(path, tensor, request.shape);
  std::vector<TensorPiece> saved;
  for (const ManifestPiece& each : tensor.pieces) saved.push_back(each.piece);
  const auto element = static_cast<std::int64_t>(element_bytes(tensor.info.dtype));
  std::int64_t num_found = 0;
  for (const PieceCopy& copy : reshard(tensor.info.shape, saved, request.piece)) {
    const ManifestPiece& piece = tensor.pieces[copy.saved];
    const BlockSlice slice{
        .block = table.first_block_of(piece.file), .request = index, .to = copy.to, .from = 0, .length = copy.length};
    add_cut(slice, static_cast<std::int64_t>(piece.offset) + copy.from * element, element, slices);
    num_found += copy.length;
  }
  if (num_found == request.piece.flat.length) return;
  throw InputError(fmt::format("{}: the pieces of '{}' of '{}' overlap: {} of {} elements were found", path,
                               request.name, request.group, num_found, request.piece.flat.length));
}

}  // namespace

const ManifestTensor& find_tensor(const std::string& path, const Manifest& manifest, const std::string& group,
                                  const std::string& name) {
  const ManifestTensor* const tensor = manifest.find(group, name);
  if (tensor == nullptr) throw InputError(fmt::format("{}: the checkpoint has no '{}' of '{}'", path, name, group));
  return *tensor;
}

std::vector<BlockSlice> slices_of(const std::string& path, const BlockTable& table,
                                  std::span<const LoadRequest> requests) {
  std::vector<BlockSlice> slices;
  for (std::size_t i = 0; i < requests.size(); ++i) add_request(path, table, requests[i], i, slices);
  std::ranges::sort(slices, {}, [](const BlockSlice& each) { return std::tuple(each.block, each.request, each.to); });
  return slices;
}

std::vector<ShardRange> blocks_of(std::span<const BlockSlice> slices) {
  std::vector<ShardRange> blocks;
  for (const BlockSlice& slice : slices) {
    const bool goes_on = !blocks.empty() && slice.block <= blocks.back().begin + blocks.back().length;
    if (!goes_on) blocks.push_back({.begin = slice.block, .length = 0});
    blocks.back().length = slice.block + 1 - blocks.back().begin;
  }
  return blocks;
}

// What lies side by side in the result, such as the rows of a slice of columns, is put together first where it must be
// converted or brought to another device.
void scatter_block(std::span<const std::byte> bytes, std::span<const BlockSlice> slices, const Manifest& manifest,
                   std::span<const LoadRequest> requests) {
  while (!slices.empty()) {
    const std::span<const BlockSlice> run = front_run(slices);
    const std::int64_t to = run.front().to;
    const LoadRequest& request = requests[run.front().request];
    const StorageDtype dtype = manifest.find(request.group, request.name)->info.dtype;
    const at::Tensor into = request.into.narrow(0, to, run.back().to + run.back().length - to);
    const at::ScalarType stored = scalar_type_of(dtype);
    const bool is_as_stored = into.is_cpu() && into.scalar_type() == stored;
    const at::Tensor values = is_as_stored ? into : at::empty(into.sizes(), stored);
    gather_run(bytes, run, element_bytes(dtype), static_cast<std::byte*>(values.data_ptr()));
    if (!is_as_stored) into.copy_(values);
    slices = slices.subspan(run.size());
  }
}

}  // namespace collimate::detail
