#include "collimate/base/thread_stacks.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include <cxxabi.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <fmt/format.h>
#include <link.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "collimate/base/error.hpp"
#include "elf_symbols.hpp"

namespace collimate {

namespace detail {

constexpr std::size_t kMostFrames = 64;

// Where one thread puts its stack.
struct StackSlot {
  int thread = 0;
  std::array<void*, kMostFrames> frames{};
  std::atomic<int> num_frames{0};  // written last
};

}  // namespace detail

namespace {

// The handler itself and the kernel's way into it.
constexpr int kOwnFrames = 2;
constexpr std::size_t kMostNameBytes = 300;

using Slot = detail::StackSlot;

int stack_signal() { return SIGRTMIN + 7; }

// Runs in the thread that is asked. The signal carries the thread's slot, so that this needs nothing global.
void answer(int /*signal*/, siginfo_t* info, void* /*context*/) {
  if (info->si_code != SI_QUEUE || info->si_pid != getpid()) return;
  const int error = errno;
  Slot& slot = *static_cast<Slot*>(info->si_value.sival_ptr);
  slot.num_frames.store(backtrace(slot.frames.data(), static_cast<int>(slot.frames.size())), std::memory_order_release);
  errno = error;
}

void ask(Slot& slot) {
  siginfo_t info{};
  info.si_signo = stack_signal();
  info.si_code = SI_QUEUE;
  info.si_pid = getpid();
  info.si_uid = getuid();
  info.si_value.sival_ptr = &slot;
  syscall(SYS_rt_tgsigqueueinfo, getpid(), slot.thread, info.si_signo, &info);
}

std::vector<int> other_threads() {
  std::vector<int> threads;
  const auto own = static_cast<int>(syscall(SYS_gettid));
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    const int thread = std::stoi(entry.path().filename().string());
    if (thread != own) threads.push_back(thread);
  }
  std::ranges::sort(threads);
  return threads;
}

std::string name_of_thread(int thread) {
  std::ifstream file(fmt::format("/proc/self/task/{}/comm", thread));
  std::string name;
  std::getline(file, name);
  return name;
}

std::string demangled(const char* name) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(abi::__cxa_demangle(name, nullptr, nullptr, &status), std::free);
  std::string result = status == 0 ? text.get() : name;
  if (result.size() > kMostNameBytes) result.resize(kMostNameBytes);
  return result;
}

std::string describe_frame(void* frame, const detail::ElfSymbols& own) {
  // It is where the call returns to, which may be the next function.
  auto* const place = static_cast<char*>(frame) - 1;
  Dl_info info{};
  link_map* map = nullptr;
  if (dladdr1(place, &info, reinterpret_cast<void**>(&map), RTLD_DL_LINKMAP) == 0) {
    return fmt::format("{}", frame);
  }
  std::string name;
  const bool is_program = map != nullptr && std::strlen(map->l_name) == 0;
  if (is_program) name = own.name_at(reinterpret_cast<std::uint64_t>(place) - map->l_addr);
  if (name.empty() && info.dli_sname != nullptr) name = info.dli_sname;
  const std::string file = std::filesystem::path(info.dli_fname).filename();
  const auto offset = static_cast<const char*>(frame) - static_cast<const char*>(info.dli_fbase);
  return fmt::format("{} ({}+{:#x})", name.empty() ? "?" : demangled(name.c_str()), file, offset);
}

bool have_all_answered(std::span<const std::reference_wrapper<Slot>> slots) {
  return std::ranges::all_of(slots, [](const Slot& slot) { return slot.num_frames.load() > 0; });
}

std::string describe_slot(const Slot& slot, const detail::ElfSymbols& own) {
  std::string text = fmt::format("thread {} ({})\n", slot.thread, name_of_thread(slot.thread));
  const int num_frames = slot.num_frames.load(std::memory_order_acquire);
  if (num_frames == 0) return text + "  does not answer: it is inside the kernel, or has ended\n";
  for (int i = kOwnFrames; i < num_frames; ++i) {
    text += fmt::format("  {}\n", describe_frame(slot.frames[static_cast<std::size_t>(i)], own));
  }
  return text;
}

}  // namespace

struct ThreadStacks::Slots {
  std::deque<Slot> all;  // grows, and never moves what it has
};

ThreadStacks::ThreadStacks() : slots_(std::make_unique<Slots>()) {
  std::array<void*, 1> once{};
  backtrace(once.data(), 1);  // loads what it needs, which a signal handler may not
  struct sigaction action{};
  action.sa_sigaction = answer;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  if (sigaction(stack_signal(), &action, nullptr) != 0) throw Error("the signal for stacks cannot be handled");
}

ThreadStacks::~ThreadStacks() {
  struct sigaction action{};
  action.sa_handler = SIG_IGN;  // and what is still under way is dropped
  sigaction(stack_signal(), &action, nullptr);
}

std::string ThreadStacks::describe(std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  std::vector<std::reference_wrapper<Slot>> asked;
  for (const int thread : other_threads()) {
    asked.emplace_back(slots_->all.emplace_back()).get().thread = thread;
    ask(asked.back());
  }
  while (!have_all_answered(asked) && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const detail::ElfSymbols own("/proc/self/exe");
  std::string text;
  for (const Slot& slot : asked) text += describe_slot(slot, own) + "\n";
  return text;
}

}  // namespace collimate
