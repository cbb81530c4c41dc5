// More bytes in one message than an int counts.

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "support/mpi_world.hpp"

namespace collimate {
namespace {

constexpr std::int64_t kBytes = (std::int64_t{1} << 31) + (std::int64_t{16} << 20);
constexpr std::int64_t kWords = kBytes / 8;

// The words 0, 1, 2, ... seen as bytes, so that a byte from a wrong place shows.
at::Tensor counting_words() { return at::arange(kWords, at::kLong); }

// In blocks: a second whole tensor would not fit beside those of the other rank.
bool counts_up(const at::Tensor& words) {
  constexpr std::int64_t kBlock = std::int64_t{1} << 22;
  for (std::int64_t begin = 0; begin < words.numel(); begin += kBlock) {
    const std::int64_t length = std::min(kBlock, words.numel() - begin);
    if (!at::equal(words.narrow(0, begin, length), at::arange(begin, begin + length, at::kLong))) return false;
  }
  return true;
}

// There and back in the same memory: more of it would have to be made first, which takes longer than the way.
TEST(LargeMessageTest, more_than_two_gibibytes_arrive_whole) {
  const auto group = make_world_group();
  if (group->rank() == 0) {
    at::Tensor bytes = counting_words().view(at::kByte);
    group->start_send(bytes, 1)->wait();
    bytes.zero_();
    group->broadcast(bytes, 1);
    EXPECT_TRUE(counts_up(bytes.view(at::kLong)));
  } else {
    at::Tensor bytes = at::empty({kBytes}, at::kByte);
    group->start_receive(bytes, 0)->wait();
    EXPECT_TRUE(counts_up(bytes.view(at::kLong)));
    group->broadcast(bytes, 1);
  }
}

}  // namespace
}  // namespace collimate
