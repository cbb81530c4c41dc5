#include "collimate/base/activity_log.hpp"

#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace collimate {
namespace {

TEST(ActivityLogTest, says_the_last_work_and_what_it_waits_for) {
  ActivityLog log;
  EXPECT_EQ(log.read().step, -1);
  log.set_step(17);
  log.note("forward of microbatch 3", ActivityKind::kWork);
  EXPECT_EQ(log.read().work, "forward of microbatch 3");
  EXPECT_FALSE(log.read().waits_for_others());
  {
    const WaitScope wait(&log, "all_reduce of group 'tensor'");
    EXPECT_EQ(log.read().work, "forward of microbatch 3");
    EXPECT_EQ(log.read().waiting, "all_reduce of group 'tensor'");
  }
  EXPECT_FALSE(log.read().waits_for_others());
  EXPECT_EQ(log.read().work, "forward of microbatch 3");
  EXPECT_EQ(log.read().step, 17);
}

TEST(ActivityLogTest, new_work_ends_what_was_waited_for) {
  ActivityLog log;
  log.note("barrier", ActivityKind::kWaiting);
  log.note("reading", ActivityKind::kWork);
  EXPECT_FALSE(log.read().waits_for_others());
}

TEST(ActivityLogTest, a_tick_renews_the_time_and_keeps_the_text) {
  ActivityLog log;
  log.note("writing", ActivityKind::kWork);
  const Activity before = log.read();
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  log.tick();
  const Activity after = log.read();
  EXPECT_EQ(after.work, "writing");
  EXPECT_GT(after.since, before.since);
  EXPECT_GT(after.progress, before.progress);
}

TEST(ActivityLogTest, long_texts_are_cut_and_keep_to_one_line) {
  ActivityLog log;
  log.note(std::string(200, 'x') + "\n", ActivityKind::kWork);
  EXPECT_EQ(log.read().work, std::string(95, 'x'));
  log.note("two\nlines", ActivityKind::kWork);
  EXPECT_EQ(log.read().work, "two lines");
  note_work(&log, "{}{}", std::string(90, 'y'), 1234567890);
  EXPECT_EQ(log.read().work, std::string(90, 'y') + "12345");
  note_work(nullptr, "{}", 1);  // nobody listens
}

// A text is one letter, many times: two letters in one would be of two notes.
bool is_whole(const std::string& text) { return text.find_first_not_of(text[0]) == std::string::npos; }

TEST(ActivityLogTest, a_reader_never_sees_parts_of_two_notes) {
  constexpr int kNotes = 40000;
  ActivityLog log;
  log.note("a", ActivityKind::kWork);
  std::vector<std::jthread> writers;
  for (int writer = 0; writer < 3; ++writer) {
    writers.emplace_back([&log, writer] {
      for (int i = 0; i < kNotes; ++i) {
        const int letter = 3 * (i % 8) + writer;
        log.note(std::string(static_cast<std::size_t>(1 + 4 * letter), static_cast<char>('a' + letter)),
                 ActivityKind::kWork);
      }
    });
  }
  const std::uint64_t all = 1 + 1 + 3 * kNotes;  // the constructor's too
  std::uint64_t last = 0;
  while (last < all) {
    const Activity seen = log.read();
    ASSERT_TRUE(is_whole(seen.work)) << seen.work;
    ASSERT_EQ(seen.work.size(), 1 + 4 * static_cast<std::size_t>(seen.work[0] - 'a'));
    ASSERT_GE(seen.progress, last);
    last = seen.progress;
  }
  EXPECT_EQ(log.read().progress, all);
}

}  // namespace
}  // namespace collimate
