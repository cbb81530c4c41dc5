// Loaded before libc (LD_PRELOAD) it makes every file system one without locks: flock(2) and the locks of fcntl(2) fail
// with the errno NO_LOCKS_ERRNO; with NO_LINKS set, link(2) fails as on a file system without hard links.

#include <cerrno>
#include <cstdarg>
#include <cstdlib>

#include <dlfcn.h>

namespace {

// Of fcntl.h, which declares fcntl with an attribute that a definition may not repeat.
constexpr int kSetLock = 6;
constexpr int kSetLockAndWait = 7;
constexpr int kSetLockOfDescription = 37;
constexpr int kSetLockOfDescriptionAndWait = 38;

bool is_lock(int operation) {
  return operation == kSetLock || operation == kSetLockAndWait || operation == kSetLockOfDescription ||
         operation == kSetLockOfDescriptionAndWait;
}

int fail(int code) {
  errno = code;
  return -1;
}

int no_locks_errno() {
  const char* const code = std::getenv("NO_LOCKS_ERRNO");
  return code == nullptr ? ENOSYS : static_cast<int>(std::strtol(code, nullptr, 10));
}

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

int pass_on(const char* name, int file, int operation, void* argument) {
  if (is_lock(operation)) return fail(no_locks_errno());
  return next<int (*)(int, int, void*)>(name)(file, operation, argument);
}

}  // namespace

extern "C" [[gnu::visibility("default")]] int flock(int /*file*/, int /*operation*/) { return fail(no_locks_errno()); }

extern "C" [[gnu::visibility("default")]] int fcntl(int file, int operation, ...) {
  va_list arguments;
  va_start(arguments, operation);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  return pass_on("fcntl", file, operation, argument);
}

extern "C" [[gnu::visibility("default")]] int fcntl64(int file, int operation, ...) {
  va_list arguments;
  va_start(arguments, operation);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  return pass_on("fcntl64", file, operation, argument);
}

extern "C" [[gnu::visibility("default")]] int link(const char* from, const char* to) {
  if (std::getenv("NO_LINKS") != nullptr) return fail(EPERM);
  return next<int (*)(const char*, const char*)>("link")(from, to);
}
