#include "byte_shares.hpp"

#include <algorithm>
#include <cstdint>
#include <numeric>

namespace collimate::detail {

std::vector<std::vector<std::size_t>> byte_shares(std::span<const TensorInfo> tensors,
                                                  std::span<const std::size_t> chosen, int num_shares) {
  std::vector<std::size_t> largest_first(chosen.size());
  std::iota(largest_first.begin(), largest_first.end(), std::size_t{0});
  const auto bytes_of_place = [&](std::size_t place) { return tensors[chosen[place]].num_bytes(); };
  std::ranges::stable_sort(largest_first, std::ranges::greater(), bytes_of_place);
  std::vector<std::vector<std::size_t>> shares(static_cast<std::size_t>(num_shares));
  std::vector<std::uint64_t> bytes_of_share(shares.size(), 0);
  for (const std::size_t place : largest_first) {
    const auto smallest = static_cast<std::size_t>(std::ranges::min_element(bytes_of_share) - bytes_of_share.begin());
    shares[smallest].push_back(place);
    bytes_of_share[smallest] += bytes_of_place(place);
  }
  for (auto& share : shares) std::ranges::sort(share);  // files are read forwards
  return shares;
}

}  // namespace collimate::detail
