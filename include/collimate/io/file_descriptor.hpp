#pragma once
// An open file of the system, closed by its owner.

#include "collimate/base/unique_handle.hpp"

namespace collimate {

struct FileDescriptorTraits {
  using Raw = int;
  static Raw null() noexcept { return -1; }
  static void close(Raw raw) noexcept;
};
using FileDescriptor = UniqueHandle<FileDescriptorTraits>;

}  // namespace collimate
