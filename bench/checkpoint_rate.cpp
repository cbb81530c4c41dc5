// How long training waits for a checkpoint that is written behind it, and how near a checkpoint comes to the disk:
// bytes a second of saving and of loading it (with every checksum, from a cold cache), each beside a plain file of the
// same size in the same minute, since a disk's rate changes from one to the next. Prints the medians of all repetitions
// and of the ratios within each. One more goes before and does not count: on a virtual machine memory that is used for
// the first time, here by the page cache, can be slower than the disk. The plain file goes past the page cache, by
// 8 MiB at a time.

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <CLI/CLI.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "collimate/base/error.hpp"
#include "collimate/base/random.hpp"
#include "collimate/comm/solo.hpp"
#include "collimate/io/block_hashes.hpp"
#include "collimate/io/output_file.hpp"
#include "collimate/store/checkpoint_saver.hpp"
#include "collimate/store/load_pieces.hpp"

namespace collimate {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::int64_t num_parameters = 100'000'000;
  std::string folder = fs::temp_directory_path();
  int num_repeats = 5;
  int num_threads = 2;
};

constexpr std::int64_t kHiddenSize = 2048;
constexpr std::size_t kPlainBytes = 8U << 20U;  // of one read or write
constexpr std::size_t kPageBytes = 4096;
constexpr double kMegabyte = 1e6;

double seconds_of(const std::function<void()>& part) {
  const auto start = std::chrono::steady_clock::now();
  part();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

void require_disk(const std::string& folder) {
  struct statfs system = {};
  if (::statfs(folder.c_str(), &system) != 0) throw InputError(fmt::format("{}: is no folder", folder));
  if (system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC) {
    throw InputError(fmt::format("{}: is in memory, not on a disk; give --folder", folder));
  }
}

// Weights and moments of square float32 matrices, of bits that no disk can make smaller.
std::vector<SavedPiece> make_pieces(std::int64_t num_parameters) {
  const std::vector<std::int64_t> shape{kHiddenSize, kHiddenSize};
  const std::int64_t num_tensors = std::max<std::int64_t>(1, num_parameters / (kHiddenSize * kHiddenSize));
  const RandomStream random(17, "checkpoint_rate");
  std::vector<SavedPiece> pieces;
  for (const char* group : {"model", "exp_avg", "exp_avg_sq"}) {
    for (std::int64_t i = 0; i < num_tensors; ++i) {
      const at::Tensor value = at::empty({kHiddenSize * kHiddenSize}, at::kFloat);
      auto* const words = static_cast<std::uint64_t*>(value.data_ptr());
      std::uint64_t state = random.bits(pieces.size());
      for (std::int64_t word = 0; word < value.numel() / 2; ++word) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        words[word] = state;
      }
      pieces.push_back({.group = group,
                        .name = fmt::format("layers.{}.weight", i),
                        .shape = shape,
                        .piece = whole_piece(shape),
                        .value = value});
    }
  }
  return pieces;
}

std::span<const std::byte> bytes_of(const SavedPiece& piece) {
  return {static_cast<const std::byte*>(piece.value.data_ptr()), static_cast<std::size_t>(piece.value.nbytes())};
}

// A file's pages that are on the disk leave memory.
void forget(const fs::path& file) {
  const FileDescriptor descriptor(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  check(descriptor && ::fsync(descriptor.get()) == 0, "the file can be made durable");
  check(::posix_fadvise(descriptor.get(), 0, 0, POSIX_FADV_DONTNEED) == 0, "its pages can be given up");
}

// Where the disk reads and writes past the page cache.
class PlainBuffer {
 public:
  [[nodiscard]] std::byte* data() const { return static_cast<std::byte*>(memory_.get()); }

 private:
  std::unique_ptr<void, decltype(&std::free)> memory_{std::aligned_alloc(kPageBytes, kPlainBytes), &std::free};
};

// Pieces are whole pages.
double write_plain_file(const std::string& path, std::span<const SavedPiece> pieces) {
  const PlainBuffer buffer;
  return seconds_of([&] {
    const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_DIRECT, 0666));
    for (const SavedPiece& piece : pieces) {
      const auto bytes = bytes_of(piece);
      for (std::size_t begin = 0; begin < bytes.size(); begin += kPlainBytes) {
        const auto part = bytes.subspan(begin, std::min(kPlainBytes, bytes.size() - begin));
        std::ranges::copy(part, buffer.data());
        check(::write(file.get(), buffer.data(), part.size()) == static_cast<ssize_t>(part.size()),
              "the disk has room");
      }
    }
    check(::fsync(file.get()) == 0, "the file can be made durable");
  });
}

double read_plain_file(const std::string& path) {
  const PlainBuffer buffer;
  forget(path);
  return seconds_of([&] {
    const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT));
    while (::read(file.get(), buffer.data(), kPlainBytes) > 0) {
    }
  });
}

double save(const CheckpointStore& store, std::span<const SavedPiece> pieces, Communicator& world) {
  const CheckpointState state{.step = 1, .trainer_state = {}, .fingerprints = {}, .configuration = {}, .layout = {}};
  return seconds_of([&] { save_checkpoint(store, state, pieces, world); });
}

// As a run that goes on does: every block is read once, verified and copied into tensors that are there already.
double load(const CheckpointStore& store, std::span<const SavedPiece> pieces, Communicator& world) {
  for (const auto& entry : fs::directory_iterator(store.path_of(1))) forget(entry.path());
  std::vector<LoadRequest> requests;
  for (const SavedPiece& each : pieces) {
    requests.push_back(
        {.group = each.group, .name = each.name, .shape = each.shape, .piece = each.piece, .into = each.value});
  }
  return seconds_of([&] { load_pieces(Checkpoint::open(store.path_of(1)), requests, world); });
}

// Products on all threads, as a step that does not touch what is saved.
void compute_for(double seconds) {
  constexpr std::int64_t kSize = 512;
  const at::Tensor factor = at::ones({kSize, kSize}, at::kFloat);
  const auto start = std::chrono::steady_clock::now();
  while (std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() < seconds) {
    static_cast<void>(at::mm(factor, factor));
  }
}

// Of a save during which steps of so many seconds are made; the values change at the end of each.
double stall(const CheckpointStore& store, std::span<const SavedPiece> pieces, double step_seconds,
             Communicator& world) {
  const CheckpointState state{.step = 1, .trainer_state = {}, .fingerprints = {}, .configuration = {}, .layout = {}};
  std::optional<SaveReport> report;
  CheckpointSaver saver(store, {.buffer_bytes = 1U << 31U, .on_commit = [&](const SaveReport& done) { report = done; }},
                        world);
  saver.start(state, pieces);
  while (!report) {
    compute_for(step_seconds);
    const SaveProgress progress = saver.progress();
    check(progress.failure.empty(), "the disk has room");
    saver.release_values();
    if (!progress.is_busy) saver.advance();
  }
  return report->stall_seconds;
}

double hash(std::span<const SavedPiece> pieces) {
  return seconds_of([&] {
    BlockHashes hashes;
    for (const SavedPiece& piece : pieces) hashes.update(bytes_of(piece));
    check(!hashes.digests().empty(), "there is something to hash");
  });
}

struct Seconds {
  double plain_write = 0;
  double plain_read = 0;
  double save = 0;
  double load = 0;
  std::vector<double> stalls;  // [kStepsOfASave]
};

// Lengths of a step, in synchronous saves.
constexpr std::array kStepsOfASave{0.0, 0.5, 1.0, 2.0, 4.0};

Seconds measure(const fs::path& folder, std::span<const SavedPiece> pieces, Communicator& world) {
  const std::string plain = folder / "plain";
  const CheckpointStore store(folder / "checkpoints", 1);
  Seconds seconds;
  ::sync();
  seconds.plain_write = write_plain_file(plain, pieces);
  seconds.plain_read = read_plain_file(plain);
  fs::remove(plain);  // whose memory is then the checkpoint's
  ::sync();
  seconds.save = save(store, pieces, world);
  seconds.load = load(store, pieces, world);
  for (const double length : kStepsOfASave) {
    fs::remove_all(folder / "checkpoints");
    ::sync();
    seconds.stalls.push_back(stall(store, pieces, length * seconds.save, world));
  }
  fs::remove_all(folder / "checkpoints");
  return seconds;
}

void print_medians(const std::vector<Seconds>& all, double num_bytes) {
  const auto of_all = [&](const std::function<double(const Seconds&)>& value) {
    std::vector<double> values;
    for (const Seconds& seconds : all) values.push_back(value(seconds));
    return median(values);
  };
  const double megabytes = num_bytes / kMegabyte;
  fmt::print("write  disk {:.0f} MB/s, save {:.0f} MB/s, save/disk {:.2f}\n",
             of_all([&](const Seconds& s) { return megabytes / s.plain_write; }),
             of_all([&](const Seconds& s) { return megabytes / s.save; }),
             of_all([](const Seconds& s) { return s.plain_write / s.save; }));
  fmt::print("read   disk {:.0f} MB/s, load {:.0f} MB/s, load/disk {:.2f}\n",
             of_all([&](const Seconds& s) { return megabytes / s.plain_read; }),
             of_all([&](const Seconds& s) { return megabytes / s.load; }),
             of_all([](const Seconds& s) { return s.plain_read / s.load; }));
  for (std::size_t i = 0; i < kStepsOfASave.size(); ++i) {
    fmt::print(
        "stall  of an asynchronous save, beside the time of a synchronous one, with steps of {} such times: {:.3f}\n",
        kStepsOfASave[i], of_all([&](const Seconds& s) { return s.stalls[i] / s.save; }));
  }
}

void run(const Options& options) {
  require_disk(options.folder);
  at::set_num_threads(options.num_threads);
  const fs::path folder = fs::path(options.folder) / fmt::format("checkpoint_rate.{}", ::getpid());
  fs::create_directory(folder);
  const auto world = SoloFactory().make_world_group();
  const std::vector<SavedPiece> pieces = make_pieces(options.num_parameters);
  double num_bytes = 0;
  for (const SavedPiece& piece : pieces) num_bytes += static_cast<double>(piece.value.nbytes());
  fmt::print("{:.0f} MB in {}; hashing alone {:.0f} MB/s\n", num_bytes / kMegabyte, options.folder,
             num_bytes / kMegabyte / hash(pieces));
  static_cast<void>(measure(folder, pieces, *world));
  std::vector<Seconds> all;
  for (int i = 0; i < options.num_repeats; ++i) {
    all.push_back(measure(folder, pieces, *world));
    const Seconds& last = all.back();
    fmt::print("  seconds: disk writes {:.2f}, save {:.2f}; disk reads {:.2f}, load {:.2f}\n", last.plain_write,
               last.save, last.plain_read, last.load);
  }
  fs::remove_all(folder);
  print_medians(all, num_bytes);
}

}  // namespace
}  // namespace collimate

int main(int argc, char** argv) {
  collimate::Options options;
  CLI::App app("Rates of saving and loading a checkpoint beside the disk's own");
  app.add_option("--parameters", options.num_parameters, "of the model; each has 12 bytes")->check(CLI::PositiveNumber);
  app.add_option("--folder", options.folder, "on the disk that is measured")->check(CLI::ExistingDirectory);
  app.add_option("--repeats", options.num_repeats)->check(CLI::PositiveNumber);
  app.add_option("--threads", options.num_threads, "of copies and of the steps' products");
  CLI11_PARSE(app, argc, argv);
  try {
    collimate::run(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "checkpoint_rate: error: {}\n", error.what());
    return 1;
  }
  return 0;
}
