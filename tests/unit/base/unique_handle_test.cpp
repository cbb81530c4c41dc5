#include "collimate/base/unique_handle.hpp"

#include <type_traits>
#include <vector>

#include <gtest/gtest.h>

namespace collimate {
namespace {

struct RecordingTraits {
  using Raw = int;
  static Raw null() { return -1; }
  static void close(Raw raw) noexcept { closed.push_back(raw); }
  static inline std::vector<int> closed;
};
using Handle = UniqueHandle<RecordingTraits>;

static_assert(!std::is_copy_constructible_v<Handle> && !std::is_copy_assignable_v<Handle>);

TEST(UniqueHandleTest, closes_once_whoever_owns_it_last) {
  RecordingTraits::closed.clear();
  {
    Handle first(3);
    Handle second(std::move(first));
    EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): what is left behind is the point
    Handle third(4);
    third = std::move(second);
    EXPECT_EQ(RecordingTraits::closed, std::vector<int>{4});
  }
  EXPECT_EQ(RecordingTraits::closed, (std::vector<int>{4, 3}));
}

}  // namespace
}  // namespace collimate
