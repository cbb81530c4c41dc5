#include "mpi_messages.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "collimate/base/error.hpp"
#include "mpi_call.hpp"

namespace collimate::detail {

namespace {

// Between two looks of a thread beside the one that computes.
constexpr std::chrono::microseconds kShortestLook{50};
constexpr std::chrono::microseconds kLongestLook{200};

template <class Part>
void for_pieces(std::size_t num_bytes, const Part& part) {
  for (std::size_t begin = 0; begin < num_bytes; begin += kPieceBytes) {
    part(begin, static_cast<int>(std::min(kPieceBytes, num_bytes - begin)));
  }
}

}  // namespace

void MpiMessages::send(const std::byte* bytes, std::size_t num_bytes, int destination) {
  for_pieces(num_bytes, [&](std::size_t begin, int count) {
    MPI_Request& request = requests_.emplace_back(MPI_REQUEST_NULL);
    require_mpi(MPI_Isend(bytes + begin, count, MPI_BYTE, destination, static_cast<int>(tag_), group_, &request),
                "MPI_Isend", group_name_);
  });
}

void MpiMessages::receive(std::byte* bytes, std::size_t num_bytes, int source) {
  for_pieces(num_bytes, [&](std::size_t begin, int count) {
    MPI_Request& request = requests_.emplace_back(MPI_REQUEST_NULL);
    require_mpi(MPI_Irecv(bytes + begin, count, MPI_BYTE, source, static_cast<int>(tag_), group_, &request),
                "MPI_Irecv", group_name_);
  });
}

bool MpiMessages::is_done() {
  int done = 1;
  require_mpi(MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &done, MPI_STATUSES_IGNORE),
              "MPI_Testall", group_name_);
  if (done == 0) return false;
  requests_.clear();
  held_.reset();
  return true;
}

void MpiMessages::look_until_done() {
  std::chrono::microseconds pause = kShortestLook;
  while (!is_done()) {
    if (background_->stop_requested()) throw Error(fmt::format("an operation of group '{}' is given up", group_name_));
    std::this_thread::sleep_for(pause);
    pause = std::min(2 * pause, kLongestLook);
  }
}

void MpiMessages::wait() {
  if (background_ != nullptr) return look_until_done();
  const int code = MPI_Waitall(static_cast<int>(requests_.size()), requests_.data(), MPI_STATUSES_IGNORE);
  requests_.clear();
  held_.reset();
  require_mpi(code, "MPI_Waitall", group_name_);
}

}  // namespace collimate::detail
