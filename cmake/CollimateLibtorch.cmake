# Imported target collimate::libtorch, made from a libtorch folder (include/ and lib/), be it the CPU or the CUDA build.
# find_package(Torch) is not used: for a CUDA build it insists on a full CUDA toolkit that a Python wheel does not need.
set(COLLIMATE_LIBTORCH "" CACHE PATH "Folder of libtorch with include/ and lib/ (default: torch of .venv)")

if(NOT COLLIMATE_LIBTORCH)
  file(GLOB venv_torch ${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch)
  if(NOT venv_torch)
    message(FATAL_ERROR "No libtorch: run launch/setup, or give -DCOLLIMATE_LIBTORCH=<folder with include/ and lib/>")
  endif()
  set_property(CACHE COLLIMATE_LIBTORCH PROPERTY VALUE ${venv_torch})
endif()

find_path(COLLIMATE_LIBTORCH_INCLUDE ATen/ATen.h PATHS ${COLLIMATE_LIBTORCH}/include NO_DEFAULT_PATH REQUIRED)

add_library(collimate_libtorch INTERFACE)
add_library(collimate::libtorch ALIAS collimate_libtorch)
target_include_directories(collimate_libtorch SYSTEM INTERFACE
  ${COLLIMATE_LIBTORCH_INCLUDE} ${COLLIMATE_LIBTORCH_INCLUDE}/torch/csrc/api/include)
target_compile_definitions(collimate_libtorch INTERFACE _GLIBCXX_USE_CXX11_ABI=1)

foreach(library torch torch_cpu c10 torch_cuda c10_cuda)
  find_library(COLLIMATE_LIBTORCH_${library} ${library} PATHS ${COLLIMATE_LIBTORCH}/lib NO_DEFAULT_PATH)
  if(COLLIMATE_LIBTORCH_${library})
    target_link_libraries(collimate_libtorch INTERFACE ${COLLIMATE_LIBTORCH_${library}})
  elseif(NOT library MATCHES cuda)
    message(FATAL_ERROR "${COLLIMATE_LIBTORCH}/lib has no lib${library}")
  endif()
endforeach()
