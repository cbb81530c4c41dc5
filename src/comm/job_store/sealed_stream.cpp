#include "collimate/comm/job_store/sealed_stream.hpp"

#include <fmt/format.h>

#include "collimate/base/error.hpp"
#include "collimate/comm/job_store/fields.hpp"
#include "collimate/comm/job_store/keyed_mac.hpp"

namespace collimate::detail {

namespace {

constexpr std::size_t kHeadBytes = 4 + kTagBytes;

}  // namespace

SealedStream::SealedStream(const std::string& key, const std::string& store_nonce, const std::string& rank_nonce,
                           StreamEnd own)
    : key_(keyed_mac(key, "connection" + store_nonce + rank_nonce)), own_(own) {}

std::string SealedStream::tag(StreamEnd sender, std::uint64_t number, std::string_view message) const {
  return keyed_mac(key_, fmt::format("{}{:016x}{}", static_cast<char>(sender), number, message)).substr(0, kTagBytes);
}

std::string SealedStream::seal(std::string_view message) {
  check(message.size() <= kMostMessageBytes, "a message to or of the store is of bounded length");
  return render_number(static_cast<std::uint32_t>(message.size())) + tag(own_, num_sealed_++, message) +
         std::string(message);
}

std::optional<std::string> SealedStream::open(std::string& received) {
  if (received.size() < kHeadBytes) return std::nullopt;
  const std::size_t length = number_at(received);
  if (length > (is_known() ? kMostMessageBytes : kMostFirstBytes)) throw Error("a message is too long");
  if (received.size() < kHeadBytes + length) return std::nullopt;
  const StreamEnd other = own_ == StreamEnd::kRank ? StreamEnd::kStore : StreamEnd::kRank;
  std::string message = received.substr(kHeadBytes, length);
  if (!are_same_tags(tag(other, num_opened_, message), std::string_view(received).substr(4, kTagBytes))) {
    throw Error("a message is of one who does not know the job's key");
  }
  ++num_opened_;
  received.erase(0, kHeadBytes + length);
  return message;
}

}  // namespace collimate::detail
