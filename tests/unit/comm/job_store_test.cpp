// The job's store serves those who know its key, whatever others do to its port.

#include "collimate/comm/job_store.hpp"

#include <array>
#include <atomic>
#include <filesystem>
#include <iterator>
#include <memory>
#include <random>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "collimate/base/error.hpp"
#include "collimate/comm/failure_channel.hpp"
#include "collimate/comm/health_channel.hpp"
#include "collimate/comm/job_store/descriptors.hpp"
#include "collimate/comm/job_store/key_values.hpp"
#include "collimate/comm/job_store/keyed_mac.hpp"
#include "collimate/comm/job_store/store_server.hpp"
#include "support/thread_world.hpp"

namespace collimate {
namespace {

using detail::Patience;
using detail::RemoteKeyValues;
using detail::SocketHandle;
using std::chrono::milliseconds;

constexpr const char* kHost = "127.0.0.1";
constexpr milliseconds kLong = std::chrono::minutes(1);

std::string random_text(std::mt19937& random, std::size_t most_bytes) {
  std::string text(random() % (most_bytes + 1), '\0');
  for (char& byte : text) byte = static_cast<char>(random());
  return text;
}

class JobStoreTest : public ::testing::Test {
 protected:
  JobStoreTest() {
    SocketHandle listening = detail::listen_at(kHost);
    address_ = {.host = kHost, .port = detail::port_of(listening)};
    server_.emplace(std::move(listening), key_, table_, 3);
    rank_.emplace(address_, key_);
  }

  [[nodiscard]] SocketHandle connect() const {
    Patience patience(kLong);
    return detail::connect_to(address_, patience);
  }
  // A stranger's words; the server may have closed the connection before they are through.
  void say(const std::string& words) const {
    const SocketHandle socket = connect();
    ::send(socket.get(), words.data(), words.size(), MSG_NOSIGNAL);
  }
  // All connections of this process that go to the server.
  void break_connections() const {
    for (int descriptor = 3; descriptor < 1024; ++descriptor) {
      sockaddr_in peer{};
      socklen_t length = sizeof(peer);
      if (::getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer), &length) != 0) continue;
      if (ntohs(peer.sin_port) == address_.port) ::shutdown(descriptor, SHUT_RDWR);
    }
  }

  std::string key_ = detail::random_bytes(detail::kKeyBytes);
  detail::StoreTable table_;
  detail::SocketAddress address_;
  std::optional<detail::StoreServer> server_;
  std::optional<RemoteKeyValues> rank_;
};

TEST_F(JobStoreTest, a_rank_sets_and_finds_adds_and_removes) {
  detail::LocalKeyValues rank_0(table_);
  EXPECT_EQ(rank_->find("a"), std::nullopt);
  rank_->set("a", "1");
  rank_0.set("a", std::string("2\0x", 3));
  EXPECT_EQ(rank_->find("a"), std::string("2\0x", 3));
  EXPECT_THAT(rank_->find_all({"a", "b", "a"}),
              testing::ElementsAre(std::string("2\0x", 3), std::nullopt, std::string("2\0x", 3)));
  EXPECT_EQ(rank_->add("n", 5), 5);
  EXPECT_EQ(rank_0.add("n", -7), -2);
  EXPECT_EQ(rank_->count(), 2);
  EXPECT_TRUE(rank_->remove("n"));
  EXPECT_FALSE(rank_->remove("n"));
  EXPECT_THROW((void)rank_->add("a", 1), Error);
  rank_->set("large", std::string(std::size_t{5} << 20, 'x'));
  EXPECT_EQ(rank_->find("large").value_or("").size(), std::size_t{5} << 20);
}

TEST_F(JobStoreTest, the_first_value_of_a_key_stays) {
  RemoteKeyValues other(address_, key_);
  rank_->put_first("outcome", "");
  other.put_first("outcome", "else");
  EXPECT_EQ(other.find("outcome"), "");
}

TEST_F(JobStoreTest, a_value_is_set_where_the_expected_one_is_there) {
  EXPECT_EQ(rank_->compare_set("a", "x", "y"), "x");
  EXPECT_EQ(rank_->find("a"), std::nullopt);
  EXPECT_EQ(rank_->compare_set("a", "", "y"), "y");
  EXPECT_EQ(rank_->compare_set("a", "x", "z"), "y");
  EXPECT_EQ(rank_->compare_set("a", "y", "z"), "z");
}

TEST_F(JobStoreTest, who_waits_for_a_key_does_not_hold_up_another_thread) {
  std::atomic<bool> has_come = false;
  std::thread waiting([&] { has_come = rank_->wait("late", kLong); });
  EXPECT_FALSE(rank_->wait("never", milliseconds(5)));
  rank_->set("late", "");
  waiting.join();
  EXPECT_TRUE(has_come);
}

TEST_F(JobStoreTest, who_waits_for_several_keys_has_one_patience_for_all) {
  detail::LocalKeyValues rank_0(table_);
  for (detail::KeyValues* values : std::initializer_list<detail::KeyValues*>{&*rank_, &rank_0}) {
    Patience patience(milliseconds(20));
    EXPECT_FALSE(values->wait("never", patience));
    EXPECT_TRUE(patience.is_over());
    EXPECT_FALSE(values->wait("nor this", patience)) << "at once";
    rank_->set("there", "");
    EXPECT_TRUE(values->wait("there", patience));
    rank_->remove("there");
  }
}

TEST_F(JobStoreTest, who_has_another_key_is_not_served) {
  rank_->set("a", "1");
  EXPECT_THROW(RemoteKeyValues(address_, detail::random_bytes(detail::kKeyBytes), milliseconds(200)), Error);
  EXPECT_THROW(RemoteKeyValues(address_, "", milliseconds(200)), Error);
  EXPECT_EQ(rank_->count(), 1);
}

TEST_F(JobStoreTest, a_client_of_libtorchs_store_neither_reads_nor_writes) {
  rank_->set("outcome", "1");
  c10d::TCPStoreOptions options;
  options.port = address_.port;
  options.waitWorkers = false;
  options.timeout = milliseconds(1000);
  EXPECT_ANY_THROW({
    c10d::TCPStore stranger(kHost, options);
    stranger.set("outcome", std::vector<std::uint8_t>{'2'});
    stranger.deleteKey("outcome");
    stranger.listKeys();
  });
  EXPECT_EQ(rank_->find("outcome"), "1");
  EXPECT_EQ(rank_->count(), 1);
}

TEST_F(JobStoreTest, a_thousand_malformed_messages_change_nothing) {
  std::mt19937 random(7);
  for (int i = 0; i < 1000; ++i) {
    say(random_text(random, 200));
    rank_->set("beat", std::to_string(i));
  }
  EXPECT_EQ(rank_->find("beat"), "999");
  EXPECT_EQ(rank_->count(), 1);
}

TEST_F(JobStoreTest, a_rank_whose_words_make_no_sense_is_told_so_and_served_on) {
  // As RemoteKeyValues does it, with other words.
  const SocketHandle socket = connect();
  Patience patience(kLong);
  std::string received;
  while (received.size() < detail::kNonceBytes) detail::receive_some(socket, received, patience);
  const std::string nonce = detail::random_bytes(detail::kNonceBytes);
  detail::SealedStream stream(key_, received, nonce, detail::StreamEnd::kRank);
  received.clear();
  detail::send_all(socket, nonce, patience);
  std::mt19937 random(8);
  for (int i = 0; i < 1000; ++i) {
    detail::send_all(socket, stream.seal("\xff" + random_text(random, 100)), patience);
    std::optional<std::string> answer;
    while (!(answer = stream.open(received))) detail::receive_some(socket, received, patience);
    EXPECT_EQ(answer, "");
  }
  EXPECT_EQ(rank_->count(), 0);
}

TEST_F(JobStoreTest, connections_that_say_nothing_keep_nobody_out) {
  std::vector<SocketHandle> silent;
  for (int i = 0; i < 3 * detail::kMostStrangers; ++i) silent.push_back(connect());
  rank_->set("a", "1");
  RemoteKeyValues another(address_, key_);
  EXPECT_EQ(another.find("a"), "1");
}

TEST_F(JobStoreTest, a_port_scan_is_survived) {
  for (int i = 0; i < 300; ++i) (void)connect();
  rank_->set("a", "1");
  EXPECT_EQ(rank_->count(), 1);
}

TEST_F(JobStoreTest, a_connection_that_breaks_is_made_anew) {
  rank_->set("a", "1");
  for (int i = 0; i < 3; ++i) {
    break_connections();
    EXPECT_EQ(rank_->find("a"), "1");
  }
}

TEST_F(JobStoreTest, a_store_that_has_gone_is_an_error_at_once) {
  server_.reset();
  EXPECT_THROW(rank_->set("a", "1"), Error);
  EXPECT_THROW((void)rank_->find("a"), Error);
}

TEST_F(JobStoreTest, an_impostor_of_the_store_is_not_believed) {
  const SocketHandle listening = detail::listen_at(kHost);
  std::jthread impostor([&](const std::stop_token& stop) {
    std::mt19937 random(9);
    while (!stop.stop_requested()) {
      const SocketHandle socket(::accept(listening.get(), nullptr, nullptr));
      if (socket) ::send(socket.get(), std::string(100, 'a').data(), 100, MSG_NOSIGNAL);
      std::this_thread::sleep_for(milliseconds(1));
    }
  });
  EXPECT_THROW(RemoteKeyValues({.host = kHost, .port = detail::port_of(listening)}, key_, milliseconds(300)), Error);
}

// Of any text under the outcome's key the job ends, and says what it was.
TEST(JobOutcomeTest, an_outcome_that_cannot_be_read_is_a_failure) {
  std::string heard;
  ExitCode heard_code = ExitCode::kDone;
  run_as_threads(2, [&](GroupFactory& factory) {
    const auto world = factory.make_world_group();
    JobStore store(*world);
    FailureChannel channel(store, *world, [&](const std::string& message, ExitCode code) {
      heard = message;
      heard_code = code;
    });
    if (world->rank() == 1) store.values().put_first("outcome", "99\nthe end");
    world->barrier();
  });
  EXPECT_EQ(heard, "99\nthe end");
  EXPECT_EQ(heard_code, ExitCode::kFailure);
}

// Rank 0 of 512 has few descriptors to give away: what a job says goes over the store's own connection of each rank.
TEST(JobStoreConnectionsTest, the_channels_open_none_of_their_own) {
  const auto num_open = [] {
    const std::filesystem::directory_iterator open("/proc/self/fd");
    return std::distance(begin(open), end(open));
  };
  run_as_threads(3, [&](GroupFactory& factory) {
    const auto world = factory.make_world_group();
    JobStore store(*world);
    world->barrier();
    // One thread looks: looking takes a descriptor, which another would count.
    const auto before = world->rank() == 0 ? num_open() : 0;
    world->barrier();
    ActivityLog activity;
    FailureChannel failures(store, *world, [](const std::string& /*message*/, ExitCode /*code*/) {});
    HealthChannel health(store, *world, activity, {.beat = milliseconds(10)});
    health.publish("notice", "1");
    EXPECT_EQ(health.find("notice"), "1");
    world->barrier();
    if (world->rank() == 0) {
      EXPECT_EQ(num_open(), before);
    }
    world->barrier();
  });
}

TEST(JobStoreConnectionsTest, the_ranks_of_a_job_of_512_connect_at_once) {
  constexpr int kThreads = 16;
  constexpr int kRanksOfAThread = 32;
  detail::require_descriptors(kThreads * kRanksOfAThread);  // both ends are in this process, which has 3 for a rank
  const std::string key = detail::random_bytes(detail::kKeyBytes);
  detail::StoreTable table;
  SocketHandle listening = detail::listen_at(kHost);
  const detail::SocketAddress address{.host = kHost, .port = detail::port_of(listening)};
  const detail::StoreServer server(std::move(listening), key, table, kThreads * kRanksOfAThread);
  std::vector<std::thread> threads;
  std::vector<std::vector<std::unique_ptr<RemoteKeyValues>>> ranks(kThreads);
  for (std::size_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < kRanksOfAThread; ++i) {
        ranks[thread].push_back(std::make_unique<RemoteKeyValues>(address, key));
        ranks[thread].back()->set(fmt::format("beat.{}.{}", thread, i), "1");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ranks.front().front()->count(), kThreads * kRanksOfAThread);
}

TEST(JobStoreInterfaceTest, one_that_is_not_there_is_refused_on_every_rank) {
  run_as_threads(2, [&](GroupFactory& factory) {
    const auto world = factory.make_world_group();
    try {
      const JobStore store(*world, "no0");
      FAIL() << "an interface of that name was found";
    } catch (const AgreedError& error) {
      EXPECT_EQ(error.exit_code(), ExitCode::kBadInput);
      EXPECT_THAT(error.what(), testing::HasSubstr("runtime.interface: no0: "));
      EXPECT_THAT(error.what(), testing::HasSubstr("lo (127.0.0.1)"));
    }
    const JobStore store(*world, "lo");
    EXPECT_EQ(store.own_address(), kHost);
  });
}

}  // namespace
}  // namespace collimate
