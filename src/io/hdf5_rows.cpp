#include "collimate/io/hdf5_rows.hpp"

#include <algorithm>
#include <array>

#include <mpi.h>

#include "hdf5_call.hpp"

namespace collimate {

namespace {

template <class Function>
auto rows_call(std::string_view place, Function&& function) {
  return detail::hdf5_call<Error>(place, std::forward<Function>(function));
}

template <class Function>
Hdf5Handle rows_handle(std::string_view place, Function&& function) {
  return Hdf5Handle(rows_call(place, std::forward<Function>(function)));
}

Hdf5Handle open_on_all(const std::string& path) {
  const Hdf5Handle access = rows_handle(path, [] { return H5Pcreate(H5P_FILE_ACCESS); });
  rows_call(path, [&] { return H5Pset_fapl_mpio(access.get(), MPI_COMM_WORLD, MPI_INFO_NULL); });
  rows_call(path, [&] { return H5Pset_libver_bounds(access.get(), H5F_LIBVER_V110, H5F_LIBVER_V110); });
  // One process reads metadata for all of them, and all write it together.
  rows_call(path, [&] { return H5Pset_all_coll_metadata_ops(access.get(), true); });
  rows_call(path, [&] { return H5Pset_coll_metadata_write(access.get(), true); });
  return rows_handle(path, [&] { return H5Fopen(path.c_str(), H5F_ACC_RDWR, access.get()); });
}

Hdf5Handle collective_transfer(const std::string& place) {
  Hdf5Handle transfer = rows_handle(place, [] { return H5Pcreate(H5P_DATASET_XFER); });
  rows_call(place, [&] { return H5Pset_dxpl_mpio(transfer.get(), H5FD_MPIO_COLLECTIVE); });
  // All chunks in one operation, whatever their number: where compressed ones go must not depend on who writes them.
  rows_call(place, [&] { return H5Pset_dxpl_mpio_chunk_opt(transfer.get(), H5FD_MPIO_CHUNK_ONE_IO); });
  return transfer;
}

struct Selection {
  Hdf5Handle file;
  Hdf5Handle memory;
};

Selection select_rows(const std::string& place, hid_t dataset, std::uint64_t begin, std::uint64_t num_elements) {
  Selection rows{.file = rows_handle(place, [&] { return H5Dget_space(dataset); }), .memory = {}};
  std::array<hsize_t, 2> count{1, 1};
  const int num_dims =
      rows_call(place, [&] { return H5Sget_simple_extent_dims(rows.file.get(), count.data(), nullptr); });
  check(num_dims <= 2 && num_elements % count[1] == 0, "whole rows are written");
  count[0] = num_elements / count[1];
  rows.memory = rows_handle(place, [&] { return H5Screate_simple(num_dims, count.data(), nullptr); });
  const std::array<hsize_t, 2> start{begin, 0};
  if (num_elements > 0) {
    rows_call(place, [&] {
      return H5Sselect_hyperslab(rows.file.get(), H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr);
    });
  } else {
    rows_call(place, [&] { return H5Sselect_none(rows.file.get()); });
    rows_call(place, [&] { return H5Sselect_none(rows.memory.get()); });
  }
  return rows;
}

}  // namespace

Hdf5Rows::Hdf5Rows(const std::string& path) : path_(path), file_(open_on_all(path)) {}

// Closing is collective: a process that fails alone must not wait there for the others.
Hdf5Rows::~Hdf5Rows() { static_cast<void>(file_.release()); }

void Hdf5Rows::write_rows(const std::string& name, Hdf5Type type, std::uint64_t begin, Values values) {
  const std::string place = fmt::format("{}: dataset '{}'", path_, name);
  Hdf5Handle dataset = rows_handle(place, [&] { return H5Dopen2(file_.get(), name.c_str(), H5P_DEFAULT); });
  const Selection rows = select_rows(place, dataset.get(), begin, values.num_elements);
  const Hdf5Handle transfer = collective_transfer(place);
  const hid_t native = rows_call(place, [&] { return detail::native_type(type); });
  rows_call(place, [&] {
    return H5Dwrite(dataset.get(), native, rows.memory.get(), rows.file.get(), transfer.get(), values.data);
  });
  rows_call(place, [&] { return H5Dclose(dataset.release()); });
}

void Hdf5Rows::close() {
  rows_call(path_, [&] { return H5Fclose(file_.release()); });
}

}  // namespace collimate
