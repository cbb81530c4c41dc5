#include "fuzz/engine/entry.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <typeinfo>

#include <fmt/format.h>

#include "collimate/base/error.hpp"
#include "fuzz/engine/target.hpp"

// Of the sanitizers' allocator; GCC 12 has no header that declares it.
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*allocated)(const volatile void*, std::size_t),
                                                         void (*released)(const volatile void*));

namespace collimate::fuzz {

namespace {

/// More than any input is large, times what a compressed value may grow by.
constexpr std::size_t kMostAllocated = 128U << 20U;

/// Whether an input is being read: what the engine takes for itself is not of interest.
constinit bool is_reading = false;

void watch_allocation(const volatile void* /*address*/, std::size_t num_bytes) {
  if (!is_reading || num_bytes <= kMostAllocated) return;
  is_reading = false;
  report_finding("an allocation of more than 128 MiB");
}

void watch_release(const volatile void* /*address*/) {}

const std::vector<std::string>& known_seeds() {
  static const std::vector<std::string> all = seeds();
  return all;
}

/// One change mostly, several at times.
std::string changed(std::string input, Dice& dice) {
  do input = mutate(std::move(input), dice);
  while (dice.one_in(3));
  return input;
}

[[noreturn]] void report_exception(const std::exception& error) {
  report_finding(fmt::format("{}: {}", typeid(error).name(), error.what()));
}

}  // namespace

void report_finding(std::string_view what) {
  std::fprintf(stderr, "fuzz: finding: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

}  // namespace collimate::fuzz

/// Aborting is a finding like any other.
extern "C" __attribute__((visibility("default"))) const char* __asan_default_options() {
  return "handle_abort=1:detect_stack_use_after_return=1";
}

int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  __sanitizer_install_malloc_and_free_hooks(collimate::fuzz::watch_allocation, collimate::fuzz::watch_release);
  return 0;
}

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using collimate::fuzz::is_reading;
  using collimate::fuzz::report_exception;
  const std::string input(reinterpret_cast<const char*>(data), size);
  is_reading = true;
  try {
    collimate::fuzz::read(input);
  } catch (const collimate::Error& error) {
    is_reading = false;
    if (error.exit_code() != collimate::ExitCode::kBadInput) report_exception(error);
  } catch (const std::exception& error) {
    is_reading = false;
    report_exception(error);
  }
  is_reading = false;
  return 0;
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned int seed) {
  collimate::fuzz::Dice dice(seed);
  std::string input(reinterpret_cast<const char*>(data), size);
  constexpr std::size_t kOftenASeed = 50;
  if (size == 0 || dice.one_in(kOftenASeed)) input = dice.pick(collimate::fuzz::known_seeds());
  input = collimate::fuzz::changed(std::move(input), dice);
  input.resize(std::min(input.size(), max_size));
  std::memcpy(data, input.data(), input.size());
  return input.size();
}
