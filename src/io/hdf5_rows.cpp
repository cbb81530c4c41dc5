#include "collimate/io/hdf5_rows.hpp"

#include <algorithm>
#include <array>

#include <mpi.h>

#include "hdf5_call.hpp"

namespace collimate {

namespace {

using detail::write_call;
using detail::write_handle;

Hdf5Handle open_on_all(const std::string& path) {
  const Hdf5Handle access = write_handle(path, [] { return H5Pcreate(H5P_FILE_ACCESS); });
  write_call(path, [&] { return H5Pset_fapl_mpio(access.get(), MPI_COMM_WORLD, MPI_INFO_NULL); });
  write_call(path, [&] { return H5Pset_libver_bounds(access.get(), H5F_LIBVER_V110, H5F_LIBVER_V110); });
  // One process reads metadata for all of them, and all write it together.
  write_call(path, [&] { return H5Pset_all_coll_metadata_ops(access.get(), true); });
  write_call(path, [&] { return H5Pset_coll_metadata_write(access.get(), true); });
  return write_handle(path, [&] { return H5Fopen(path.c_str(), H5F_ACC_RDWR, access.get()); });
}

Hdf5Handle collective_transfer(const std::string& place) {
  Hdf5Handle transfer = write_handle(place, [] { return H5Pcreate(H5P_DATASET_XFER); });
  write_call(place, [&] { return H5Pset_dxpl_mpio(transfer.get(), H5FD_MPIO_COLLECTIVE); });
  // All chunks in one operation, whatever their number: where compressed ones go must not depend on who writes them.
  write_call(place, [&] { return H5Pset_dxpl_mpio_chunk_opt(transfer.get(), H5FD_MPIO_CHUNK_ONE_IO); });
  return transfer;
}

struct Selection {
  Hdf5Handle file;
  Hdf5Handle memory;
};

Selection select_rows(const std::string& place, hid_t dataset, std::uint64_t begin, std::uint64_t num_elements) {
  Selection rows{.file = write_handle(place, [&] { return H5Dget_space(dataset); }), .memory = {}};
  std::array<hsize_t, 2> count{1, 1};
  const int num_dims =
      write_call(place, [&] { return H5Sget_simple_extent_dims(rows.file.get(), count.data(), nullptr); });
  check(num_dims <= 2 && num_elements % count[1] == 0, "whole rows are written");
  count[0] = num_elements / count[1];
  rows.memory = write_handle(place, [&] { return H5Screate_simple(num_dims, count.data(), nullptr); });
  const std::array<hsize_t, 2> start{begin, 0};
  if (num_elements > 0) {
    write_call(place, [&] {
      return H5Sselect_hyperslab(rows.file.get(), H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr);
    });
  } else {
    write_call(place, [&] { return H5Sselect_none(rows.file.get()); });
    write_call(place, [&] { return H5Sselect_none(rows.memory.get()); });
  }
  return rows;
}

}  // namespace

Hdf5Rows::Hdf5Rows(const std::string& path) : path_(path), file_(open_on_all(path)) {}

// Closing is collective: a process that fails alone must not wait there for the others.
Hdf5Rows::~Hdf5Rows() { static_cast<void>(file_.release()); }

void Hdf5Rows::write_rows(const std::string& name, Hdf5Type type, std::uint64_t begin, Values values) {
  const std::string place = fmt::format("{}: dataset '{}'", path_, name);
  Hdf5Handle dataset = write_handle(place, [&] { return H5Dopen2(file_.get(), name.c_str(), H5P_DEFAULT); });
  const Selection rows = select_rows(place, dataset.get(), begin, values.num_elements);
  const Hdf5Handle transfer = collective_transfer(place);
  const hid_t native = write_call(place, [&] { return detail::native_type(type); });
  write_call(place, [&] {
    return H5Dwrite(dataset.get(), native, rows.memory.get(), rows.file.get(), transfer.get(), values.data);
  });
  write_call(place, [&] { return H5Dclose(dataset.release()); });
}

void Hdf5Rows::close() {
  write_call(path_, [&] { return H5Fclose(file_.release()); });
}

}  // namespace collimate
