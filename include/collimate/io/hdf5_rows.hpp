#pragma once
// Parallel HDF5: datasets of one file whose rows all processes of the job write together.

#include <cstdint>
#include <span>
#include <string>

#include "collimate/io/hdf5.hpp"

namespace collimate {

/// A file that Hdf5Writer::stage has made, open on all processes of the job (MPI_COMM_WORLD). Used on the main thread.
/// All calls are *collective*: what fails on one process may leave the others waiting, so all that can be checked is
/// checked before, and room on the disk is reserved by the one that stages.
class Hdf5Rows {
 public:
  /// Opens the same file everywhere. Throws Error.
  explicit Hdf5Rows(const std::string& path);
  ~Hdf5Rows();
  Hdf5Rows(const Hdf5Rows&) = delete;
  Hdf5Rows& operator=(const Hdf5Rows&) = delete;

  /// Writes this process's rows of a dataset, 1-d or 2-d, from row `begin` on; `values` are whole rows, perhaps none.
  /// Processes write different rows. Throws Error.
  template <Hdf5Element T>
  void write(const std::string& name, std::uint64_t begin, std::span<const T> values) {
    write_rows(name, Hdf5TypeOf<T>::kValue, begin, {values.data(), values.size()});
  }

  /// Ends writing: then the content is there for every process, and the one that staged commits. Throws Error. Without
  /// it, as after a failure, the file is left open until the process ends.
  void close();

 private:
  struct Values {
    const void* data;
    std::uint64_t num_elements;
  };
  void write_rows(const std::string& name, Hdf5Type type, std::uint64_t begin, Values values);

  std::string path_;
  Hdf5Handle file_;
};

}  // namespace collimate
