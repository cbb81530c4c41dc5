#pragma once
// The one place where HDF5 is called from: it serializes the calls, silences the library's own printing and turns
// negative return codes into exceptions with the library's innermost explanation. Private to src/io.

#include <concepts>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <hdf5.h>

#include "collimate/base/error.hpp"
#include "collimate/io/hdf5.hpp"

namespace collimate::detail {

/// Holds HDF5's one mutex; made anew for each call. The library's error printing is off from the first one on.
class Hdf5Lock {
 public:
  Hdf5Lock();

 private:
  std::scoped_lock<std::mutex> lock_;
};

/// The innermost entry of HDF5's error stack. The caller holds the lock since the call that failed.
std::string innermost_hdf5_error();

/// Calls `function` under the lock and returns its result; throws `Failure` with `place` if that is negative.
template <class Failure, std::invocable Function>
auto hdf5_call(std::string_view place, Function&& function) {
  const Hdf5Lock lock;
  const auto result = std::forward<Function>(function)();
  if (result < 0) throw Failure(fmt::format("{}: {}", place, innermost_hdf5_error()));
  return result;
}

/// Reading a bad file is the user's input; what fails in writing is not.
template <std::invocable Function>
auto read_call(std::string_view place, Function&& function) {
  return hdf5_call<InputError>(place, std::forward<Function>(function));
}
template <std::invocable Function>
auto write_call(std::string_view place, Function&& function) {
  return hdf5_call<Error>(place, std::forward<Function>(function));
}

/// The same, for calls that give an identifier.
template <std::invocable Function>
Hdf5Handle read_handle(std::string_view place, Function&& function) {
  return Hdf5Handle(read_call(place, std::forward<Function>(function)));
}
template <std::invocable Function>
Hdf5Handle write_handle(std::string_view place, Function&& function) {
  return Hdf5Handle(write_call(place, std::forward<Function>(function)));
}

/// HDF5's in-memory type for `type`. Call under the lock: the constants call into the library.
hid_t native_type(Hdf5Type type);

/// "uint32", as numpy would say it.
std::string_view type_name(Hdf5Type type);

}  // namespace collimate::detail
