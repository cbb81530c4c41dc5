// What the job's store is made of: tags, messages, texts, the choice of a network and of limits.

#include <algorithm>
#include <cstdlib>
#include <random>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "collimate/comm/failure_text.hpp"
#include "collimate/comm/heartbeat.hpp"
#include "collimate/comm/job_store/descriptors.hpp"
#include "collimate/comm/job_store/fields.hpp"
#include "collimate/comm/job_store/interfaces.hpp"
#include "collimate/comm/job_store/keyed_mac.hpp"
#include "collimate/comm/job_store/sealed_stream.hpp"
#include "collimate/comm/job_store/sockets.hpp"
#include "collimate/comm/job_store/store_server.hpp"

namespace collimate::detail {
namespace {

using testing::HasSubstr;

// `text` with a few bytes changed, taken away or added.
std::string damaged(std::string text, std::mt19937& random) {
  for (unsigned i = 0; i <= random() % 4; ++i) {
    const std::size_t place = random() % (text.size() + 1);
    switch (random() % 3) {
      case 0:
        text.insert(place, 1, static_cast<char>(random()));
        break;
      case 1:
        if (place < text.size()) text[place] = static_cast<char>(random());
        break;
      default:
        text.erase(place, random() % 4);
    }
  }
  return text;
}

// The second example of RFC 4231.
TEST(KeyedMacTest, is_hmac_sha256) {
  std::string hex;
  for (const char byte : keyed_mac("Jefe", "what do ya want for nothing?")) {
    hex += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  }
  EXPECT_EQ(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(KeyedMacTest, two_keys_are_not_the_same) {
  EXPECT_EQ(random_bytes(kKeyBytes).size(), kKeyBytes);
  EXPECT_NE(random_bytes(kKeyBytes), random_bytes(kKeyBytes));
  EXPECT_TRUE(are_same_tags("abc", "abc"));
  EXPECT_FALSE(are_same_tags("abc", "abd"));
  EXPECT_FALSE(are_same_tags("abc", "abcd"));
}

class SealedStreamTest : public ::testing::Test {
 protected:
  static SealedStream stream(StreamEnd end, const std::string& key = "key") { return {key, "store", "rank", end}; }

  SealedStream rank_ = stream(StreamEnd::kRank);
  SealedStream store_ = stream(StreamEnd::kStore);
};

TEST_F(SealedStreamTest, messages_arrive_in_order_however_they_are_cut) {
  std::string sent;
  for (const char* message : {"one", "", "three"}) sent += rank_.seal(message);
  std::string received;
  std::vector<std::string> opened;
  for (const char byte : sent) {
    received += byte;
    while (const auto message = store_.open(received)) opened.push_back(*message);
  }
  EXPECT_THAT(opened, testing::ElementsAre("one", "", "three"));
  EXPECT_TRUE(store_.is_known());
}

TEST_F(SealedStreamTest, a_message_that_was_recorded_is_not_taken_again) {
  const std::string sent = rank_.seal("set outcome");
  std::string received = sent + sent;
  EXPECT_EQ(store_.open(received), "set outcome");
  EXPECT_THROW((void)store_.open(received), Error);
  std::string elsewhere = sent;  // of another connection
  SealedStream other("key", "another store's nonce", "rank", StreamEnd::kStore);
  EXPECT_THROW((void)other.open(elsewhere), Error);
}

TEST_F(SealedStreamTest, neither_another_key_nor_the_own_words_are_taken) {
  std::string forged = stream(StreamEnd::kRank, "another key").seal("x");
  EXPECT_THROW((void)store_.open(forged), Error);
  std::string echo = rank_.seal("x");
  EXPECT_THROW((void)rank_.open(echo), Error);
  EXPECT_FALSE(store_.is_known());
}

TEST_F(SealedStreamTest, a_first_message_is_short) {
  std::string first = rank_.seal(std::string(kMostFirstBytes + 1, 'x'));
  EXPECT_THROW((void)store_.open(first), Error);
}

TEST_F(SealedStreamTest, of_a_message_that_is_changed_anywhere_nothing_is_taken) {
  const std::string sent = rank_.seal("a message");
  for (std::size_t i = 4; i < sent.size(); ++i) {
    std::string received = sent;
    received[i] = static_cast<char>(received[i] ^ 1);
    EXPECT_THROW((void)stream(StreamEnd::kStore).open(received), Error) << i;
  }
}

TEST(StoreRequestTest, reads_back_and_no_damage_does_harm) {
  const StoreRequest request{.operation = StoreOperation::kFind, .fields = {"a", std::nullopt, "", "bc"}};
  EXPECT_EQ(try_read_request(render_request(request)), request);
  EXPECT_EQ(try_read_request(""), std::nullopt);
  EXPECT_EQ(try_read_request("\x07"), std::nullopt);
  EXPECT_EQ(try_read_fields(std::string("\x05\0\0\0abc", 7)), std::nullopt);
  std::mt19937 random(1);
  for (int i = 0; i < 1000; ++i) {
    const auto read = try_read_request(damaged(render_request(request), random));
    if (!read) continue;
    EXPECT_EQ(try_read_request(render_request(*read)), read);
  }
}

TEST(HeartbeatTest, reads_back_and_no_damage_does_harm) {
  const Heartbeat beat{.number = 7,
                       .host = "n1",
                       .work = "reading a b",
                       .waiting = "",
                       .step = -1,
                       .progress = 3,
                       .age = std::chrono::milliseconds(12)};
  const std::string text = render_heartbeat(beat);
  EXPECT_EQ(try_read_heartbeat(text), beat);
  for (const char* other : {"", "\n", "1 2 3 4", "1 2 3 4\n\n\n", "1 2 3 4\n\n\n\nx", "x 2 3 4\n\n\n\n",
                            "99999999999999999999999 2 3 4\n\n\n\n", "-1 2 3 4\n\n\n\n"}) {
    EXPECT_EQ(try_read_heartbeat(other), std::nullopt) << other;
  }
  std::mt19937 random(2);
  for (int i = 0; i < 1000; ++i) {
    const auto read = try_read_heartbeat(damaged(text, random));
    if (!read) continue;
    EXPECT_EQ(try_read_heartbeat(render_heartbeat(*read)), read);
  }
}

TEST(FailureTextTest, any_text_is_a_failure) {
  const Failure failure{.code = ExitCode::kBadInput, .message = "two\nlines"};
  EXPECT_EQ(read_failure(render_failure(failure)), failure);
  EXPECT_EQ(read_failure("130\nx"), (Failure{.code = ExitCode::kInterrupted, .message = "x"}));
  for (const char* text : {"", "0\ndone", "77\nx", "x\ny", "2", " 2\nx", "2x\ny", "99999999999999999999\nx"}) {
    EXPECT_EQ(read_failure(text), (Failure{.code = ExitCode::kFailure, .message = text})) << text;
  }
}

class ChooseAddressTest : public ::testing::Test {
 protected:
  static std::string refusal(const InterfaceChoice& choice, const std::vector<NetworkInterface>& interfaces) {
    try {
      return "chosen: " + choose_address(choice, interfaces);
    } catch (const InputError& error) {
      return error.what();
    }
  }

  std::vector<NetworkInterface> interfaces_{
      {"lo", {"127.0.0.1"}, true}, {"eth0", {"10.0.0.3"}, false}, {"ib0", {"10.1.0.3"}, false}};
};

TEST_F(ChooseAddressTest, is_that_of_the_interface_that_is_wanted) {
  EXPECT_EQ(choose_address({.wanted = "ib0", .is_on_one_machine = false}, interfaces_), "10.1.0.3");
  EXPECT_EQ(choose_address({.wanted = "ib0", .is_on_one_machine = true}, interfaces_), "10.1.0.3");
  const std::string message = refusal({.wanted = "ib1", .host = "n3"}, interfaces_);
  EXPECT_THAT(message, HasSubstr("runtime.interface: ib1: n3 "));
  EXPECT_THAT(message, HasSubstr("lo (127.0.0.1), eth0 (10.0.0.3), ib0 (10.1.0.3)"));
}

TEST_F(ChooseAddressTest, is_the_loopbacks_on_one_machine) { EXPECT_EQ(choose_address({}, interfaces_), "127.0.0.1"); }

TEST_F(ChooseAddressTest, is_that_of_the_hosts_name_or_the_only_one) {
  InterfaceChoice choice{.is_on_one_machine = false, .host = "n3", .host_addresses = {"127.0.1.1", "10.1.0.3"}};
  EXPECT_EQ(choose_address(choice, interfaces_), "10.1.0.3");
  choice.host_addresses = {"127.0.0.1"};  // nobody else reaches that
  EXPECT_THAT(refusal(choice, interfaces_), HasSubstr("runtime.interface: auto: "));
  interfaces_.pop_back();
  EXPECT_EQ(choose_address(choice, interfaces_), "10.0.0.3");
  interfaces_.pop_back();
  EXPECT_THAT(refusal(choice, interfaces_), HasSubstr("it has lo (127.0.0.1)"));
}

TEST_F(ChooseAddressTest, is_that_of_the_hosts_name_among_several_of_an_interface) {
  interfaces_.back().addresses = {"10.1.0.3", "10.1.0.4", "fd00::4"};
  for (const char* address : {"10.1.0.4", "fd00::4"}) {
    const InterfaceChoice choice{.is_on_one_machine = false, .host = "n3", .host_addresses = {"127.0.1.1", address}};
    EXPECT_EQ(choose_address(choice, interfaces_), address);
  }
}

TEST(PatienceTest, is_over_when_others_have_waited_for_as_long) {
  Patience patience(std::chrono::seconds(3));
  patience.charge(std::chrono::seconds(2));
  EXPECT_EQ(patience.left(), std::chrono::seconds(1));
  patience.charge(std::chrono::seconds(1));
  EXPECT_TRUE(patience.is_over());
}

TEST(NetworkInterfacesTest, have_the_loopback) {
  const auto found = network_interfaces();
  EXPECT_TRUE(std::ranges::any_of(
      found, [](const auto& one) { return one.is_loopback && one.addresses.front() == "127.0.0.1"; }));
  EXPECT_EQ(loopback_name(), loopback_name());
}

TEST(DescriptorsTest, each_rank_takes_three) {
  EXPECT_EQ(descriptors_needed(2) - descriptors_needed(1), 3);
  EXPECT_EQ(descriptors_needed(512), 3 * 511 + kMostStrangers + 256);
}

// In processes of their own: a hard limit does not go up again.
void set_limits(rlim_t soft, rlim_t hard) {
  const rlimit limit{.rlim_cur = soft, .rlim_max = hard};
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) std::exit(9);
}

void refuse_512_ranks() {
  set_limits(1000, 1000);
  try {
    require_descriptors(512);
  } catch (const InputError& error) {
    fmt::print(stderr, "{}\n", error.what());
    std::exit(static_cast<int>(error.exit_code()));
  }
}

void raise_for_512_ranks() {
  set_limits(1000, 4000);
  require_descriptors(512);
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  std::exit(limit.rlim_cur >= static_cast<rlim_t>(descriptors_needed(512)) && limit.rlim_cur < 4000 ? 0 : 1);
}

TEST(DescriptorsDeathTest, too_few_are_refused_with_what_to_do) {
  EXPECT_EXIT(refuse_512_ranks(), testing::ExitedWithCode(2),
              "rank 0 of 512 ranks needs .* allows it 1000: raise the hard limit there .ulimit -n");
}

TEST(DescriptorsDeathTest, the_limit_is_raised_as_far_as_is_needed) {
  EXPECT_EXIT(raise_for_512_ranks(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace collimate::detail
