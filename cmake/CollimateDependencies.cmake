# Every outside library becomes one target collimate::<name>; modules name only those.
find_package(fmt REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(CLI11 REQUIRED)
find_package(nlohmann_json REQUIRED)
set(MPI_CXX_SKIP_MPICXX ON)  # only the C interface is used
find_package(MPI REQUIRED COMPONENTS CXX)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(PkgConfig REQUIRED)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)

# The C API of the MPI build of HDF5: the serial one has no collective I/O.
set(HDF5_PREFER_PARALLEL ON)
find_package(HDF5 REQUIRED COMPONENTS C)
if(NOT HDF5_IS_PARALLEL)
  message(FATAL_ERROR "HDF5 was found, but not its MPI build (Debian: libhdf5-openmpi-dev)")
endif()
add_library(collimate_hdf5 INTERFACE)
target_include_directories(collimate_hdf5 SYSTEM INTERFACE ${HDF5_C_INCLUDE_DIRS})
target_link_libraries(collimate_hdf5 INTERFACE ${HDF5_C_LIBRARIES} MPI::MPI_CXX)

# Headers of Gloo, which libtorch has inside but does not bring: of its own types only pointers pass between the two.
find_path(GLOO_INCLUDE_DIR gloo/transport/device.h)
if(NOT GLOO_INCLUDE_DIR)
  message(FATAL_ERROR "The headers of Gloo were not found (Debian: libgloo-dev; launch/setup installs it)")
endif()
add_library(collimate_gloo_headers INTERFACE)
target_include_directories(collimate_gloo_headers SYSTEM INTERFACE ${GLOO_INCLUDE_DIR})

include(CollimateLibtorch)
