#include "collimate/base/hash.hpp"

#include <gtest/gtest.h>

namespace collimate {
namespace {

TEST(HashTest, prints_what_xxhash_of_python_prints) {
  // xxhash.xxh3_128_hexdigest(b"") and of b"collimate"
  EXPECT_EQ(hash_text("").hex(), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(hash_text("collimate").hex(), "81ef495bcb3155f5856e02fbc65fcb29");
}

TEST(HashTest, is_the_same_in_pieces) {
  StreamingHash hash;
  hash.update("colli");
  hash.update("mate");
  EXPECT_EQ(hash.digest(), hash_text("collimate"));
}

}  // namespace
}  // namespace collimate
