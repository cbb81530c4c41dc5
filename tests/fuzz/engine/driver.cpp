// The project's own engine: without Clang, and with a fixed seed, so that the same binary tries the same inputs every
// time.
//
//   NAME_fuzz [--seconds 30] [--seed 1] [--findings FOLDER] [CORPUS FOLDER or FILE...]
//
// Files are read first, those of folders too; with `--seconds 0` nothing else happens, which repeats a finding.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <sanitizer/common_interface_defs.h>
#include <signal.h>
#include <sys/time.h>

#include "fuzz/engine/coverage.hpp"
#include "fuzz/engine/entry.hpp"
#include "fuzz/engine/target.hpp"

namespace collimate::fuzz {

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostBytes = 1U << 17U;
/// Of the processor, so that a busy machine makes no finding.
constexpr int kMostSecondsEach = 10;

struct Options {
  std::string name;
  int seconds = 30;
  std::uint64_t seed = 1;
  std::string findings = ".";
  std::vector<std::string> inputs;
};

/// The input that is being read, for when the process dies of it.
struct Current {
  std::string input;
  std::string file;
};

Current& current() {
  static Current the_one;
  return the_one;
}

void keep_finding() {
  std::ofstream(current().file, std::ios::binary) << current().input;
  std::fprintf(stderr, "fuzz: the input is in %s; give it to this program with --seconds 0 to repeat the finding\n",
               current().file.c_str());
}

void end_hang(int /*signal*/) { report_finding("an input takes more than 10 s"); }

void limit_time(int seconds) {
  const itimerval limit{.it_interval = {}, .it_value = {.tv_sec = seconds, .tv_usec = 0}};
  ::setitimer(ITIMER_PROF, &limit, nullptr);
}

/// Whether the input reached something new.
bool try_input(std::string input) {
  current().input = std::move(input);
  begin_coverage();
  limit_time(kMostSecondsEach);
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(current().input.data()), current().input.size());
  limit_time(0);
  return reached_something_new();
}

std::string mutated(std::string input, std::uint64_t seed) {
  const std::size_t size = std::min(input.size(), kMostBytes);
  input.resize(kMostBytes);
  input.resize(LLVMFuzzerCustomMutator(reinterpret_cast<std::uint8_t*>(input.data()), size, kMostBytes,
                                       static_cast<unsigned int>(seed)));
  return input;
}

std::string read_whole(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path.string() + ": cannot be read");
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> first_inputs(const Options& options) {
  std::vector<std::string> inputs = seeds();
  for (const std::string& path : options.inputs) {
    std::vector<fs::path> files{path};
    if (fs::is_directory(path)) files.assign(fs::directory_iterator(path), {});
    std::ranges::sort(files);
    for (const fs::path& file : files) inputs.push_back(read_whole(file));
  }
  return inputs;
}

/// Newer inputs are chosen more often: they went where the older ones had not been.
const std::string& choose(const std::vector<std::string>& corpus, Dice& dice) {
  const std::size_t newest = std::min<std::size_t>(corpus.size(), 16);
  return dice.one_in(3) ? corpus[corpus.size() - 1 - dice.below(newest)] : corpus[dice.below(corpus.size())];
}

void run(const Options& options) {
  const auto began = Clock::now();
  std::vector<std::string> corpus = first_inputs(options);
  for (const std::string& input : corpus) try_input(input);
  Dice dice(options.seed);
  std::uint64_t num_inputs = corpus.size();
  while (Clock::now() - began < std::chrono::seconds(options.seconds)) {
    std::string input = mutated(choose(corpus, dice), dice.bits());
    if (try_input(input)) corpus.push_back(std::move(input));
    ++num_inputs;
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
  fmt::print(
      "fuzz: {}: {} inputs in {:.1f} s ({:.0f} per second), {} of them reached something new, seed {}: no finding\n",
      options.name, num_inputs, seconds, static_cast<double>(num_inputs) / seconds, corpus.size(), options.seed);
}

Options parse(int argc, char** argv) {
  Options options{.name = fs::path(argv[0]).filename().string()};
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const bool is_option = word.starts_with("--");
    if (is_option && i + 1 == argc) throw std::runtime_error(word + " needs a value");
    if (word == "--seconds") {
      options.seconds = std::stoi(argv[++i]);
    } else if (word == "--seed") {
      options.seed = std::stoull(argv[++i]);
    } else if (word == "--findings") {
      options.findings = argv[++i];
    } else if (is_option) {
      throw std::runtime_error("unknown option " + word);
    } else {
      options.inputs.push_back(word);
    }
  }
  return options;
}

}  // namespace

}  // namespace collimate::fuzz

int main(int argc, char** argv) {
  using namespace collimate::fuzz;
  try {
    const Options options = parse(argc, argv);
    fmt::print("fuzz: {}: seed {}, {} s\n", options.name, options.seed, options.seconds);
    std::fflush(stdout);
    current().file = fmt::format("{}/{}.seed-{}.finding", options.findings, options.name, options.seed);
    __sanitizer_set_death_callback(keep_finding);
    ::signal(SIGPROF, end_hang);
    LLVMFuzzerInitialize(&argc, &argv);
    run(options);
    __sanitizer_set_death_callback(nullptr);  // leaks, which are looked for at the end, are of no one input
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "fuzz: error: %s\n", error.what());
    return 2;
  }
}
