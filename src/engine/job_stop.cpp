#include "collimate/engine/job_stop.hpp"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include "collimate/base/host_name.hpp"
#include "collimate/base/number_text.hpp"
#include "collimate/engine/reduce_metrics.hpp"

namespace collimate {

namespace {

constexpr const char* kRequestKey = "stop";

}  // namespace

ExitCode exit_code_of(StopKind kind) {
  check(kind != StopKind::kNone, "a job that nobody stops goes on");
  return kind == StopKind::kInterrupt ? ExitCode::kInterrupted : ExitCode::kPreempted;
}

JobStop::JobStop(const StopSignal& signal, Notices& notices, int world_rank, double grace_seconds)
    : signal_(signal),
      notices_(notices),
      place_(fmt::format("rank {} ({})", world_rank, host_name())),
      grace_seconds_(grace_seconds) {}

// A request travels as "<signal> <nanoseconds since the epoch> <place>".
StopKind JobStop::own() {
  const auto received = signal_.received();
  if (!received) return StopKind::kNone;
  const StopKind kind = stop_kind(received->number);
  if (is_told_) return kind;
  const auto since_epoch = std::chrono::duration_cast<std::chrono::nanoseconds>(received->at.time_since_epoch());
  notices_.publish(kRequestKey, fmt::format("{} {} {}", received->number, since_epoch.count(), place_));
  is_told_ = true;
  return kind;
}

StopKind JobStop::heard() {
  const StopKind own_kind = own();
  if (own_kind != StopKind::kNone) return own_kind;
  const auto request = find_request();
  return request ? stop_kind(request->signal) : StopKind::kNone;
}

std::optional<JobStop::Request> JobStop::find_request() {
  using Clock = std::chrono::system_clock;
  const std::string text = notices_.find(kRequestKey).value_or("");
  const std::size_t end_of_signal = text.find(' ');
  const std::size_t end_of_time =
      end_of_signal == std::string::npos ? end_of_signal : text.find(' ', end_of_signal + 1);
  if (end_of_time == std::string::npos) return std::nullopt;
  const std::string_view view(text);
  const auto signal = try_number<int>(view.substr(0, end_of_signal));
  const auto time = try_number<std::int64_t>(view.substr(end_of_signal + 1, end_of_time - end_of_signal - 1));
  if (!signal || !time) return std::nullopt;
  const std::chrono::nanoseconds since_epoch(*time);
  return Request{.signal = *signal,
                 .at = Clock::time_point(std::chrono::duration_cast<Clock::duration>(since_epoch)),
                 .place = text.substr(end_of_time + 1)};
}

JobStop::Request JobStop::request() {
  if (const auto heard = find_request()) return *heard;
  const auto own = signal_.received();
  if (!own) return {.at = std::chrono::system_clock::now(), .place = "another rank"};
  return {.signal = own->number, .at = own->at, .place = place_};
}

std::string JobStop::Request::cause() const { return fmt::format("{} on {}", signal_name(signal), place); }

double JobStop::Request::seconds_since() const {
  return std::chrono::duration<double>(std::chrono::system_clock::now() - at).count();
}

std::string JobStop::cause() { return request().cause(); }

double JobStop::seconds_since() { return request().seconds_since(); }

std::string JobStop::account() {
  const Request first = request();
  const double seconds = first.seconds_since();
  std::string text = fmt::format("{:.1f} s after {}", seconds, first.cause());
  if (stop_kind(first.signal) == StopKind::kPreemption) {
    text += fmt::format(", {:.1f} s of runtime.grace_seconds left", grace_seconds_ - seconds);
  }
  return text;
}

std::array<double, 2> StopVotes::of(StopKind own) {
  return {own == StopKind::kPreemption ? 1.0 : 0.0, own == StopKind::kInterrupt ? 1.0 : 0.0};
}

StopKind StopVotes::read(std::span<const double, 2> sums) {
  if (sums[1] > 0.0) return StopKind::kInterrupt;
  return sums[0] > 0.0 ? StopKind::kPreemption : StopKind::kNone;
}

StopKind agree_on_stop(JobStop* stop, Communicator& world) {
  if (stop == nullptr) return StopKind::kNone;
  const std::array<double, 2> own = StopVotes::of(stop->own());
  std::vector<double> sums(own.begin(), own.end());
  reduce_metrics(sums, world);
  return StopVotes::read(std::span<const double, 2>(sums));
}

void leave_if_stopped(JobStop* stop, Communicator& world, const std::string& state) {
  const StopKind kind = agree_on_stop(stop, world);
  if (kind == StopKind::kNone) return;
  throw Stopped(fmt::format("{}; stopped {}", state, stop->account()), exit_code_of(kind));
}

StopPoll::StopPoll(Ask ask, Communicator& group, at::Device device) : ask_(std::move(ask)), group_(group) {
  if (!ask_) return;
  const auto options = at::TensorOptions(device).dtype(at::kDouble);
  own_ = at::zeros({2}, options);
  all_ = at::zeros({group.size(), 2}, options);
}

StopPoll::~StopPoll() {
  try {
    if (work_) work_->wait();
  } catch (const std::exception&) {
    work_.reset();  // whoever uses the group next finds out
  }
}

StopKind StopPoll::next() {
  if (!ask_) return StopKind::kNone;
  const StopKind former = answer();
  const std::array<double, 2> votes = StopVotes::of(ask_());
  own_.copy_(at::from_blob(const_cast<double*>(votes.data()), {2}, at::kDouble));
  work_ = group_.start_all_gather(all_, own_);
  return former;
}

StopKind StopPoll::answer() {
  if (!work_) return StopKind::kNone;
  work_->wait();
  const at::Tensor sums = all_.sum(0).cpu();
  return StopVotes::read(std::span<const double, 2>(sums.const_data_ptr<double>(), 2));
}

}  // namespace collimate
