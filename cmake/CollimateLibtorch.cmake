# Imported target collimate::libtorch, made from a libtorch folder (include/ and lib/), be it the CPU or the CUDA build.
# find_package(Torch) is not used: for a CUDA build it insists on a full CUDA toolkit that a Python wheel does not need.
set(COLLIMATE_LIBTORCH "" CACHE PATH "Folder of libtorch with include/ and lib/ (default: what launch/setup chose)")

set(collimate_libtorch_advice
  "Run launch/setup, or give -DCOLLIMATE_LIBTORCH=<a libtorch folder, or the torch folder of a Python wheel>.")

# The folder asked for, else the link that launch/setup leaves, else torch of the project's own Python environment.
function(collimate_find_libtorch_folder result)
  set(folder "${COLLIMATE_LIBTORCH}")
  if(NOT folder AND EXISTS ${PROJECT_SOURCE_DIR}/.venv/libtorch)
    set(folder ${PROJECT_SOURCE_DIR}/.venv/libtorch)
  elseif(NOT folder)
    file(GLOB folder ${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch)
  endif()
  if(NOT folder)
    message(FATAL_ERROR "No libtorch was found. ${collimate_libtorch_advice}")
  endif()
  file(REAL_PATH "${folder}" folder EXPAND_TILDE)
  foreach(needed include/ATen/ATen.h include/torch/csrc/autograd/custom_function.h)
    if(NOT EXISTS "${folder}/${needed}")
      message(FATAL_ERROR "COLLIMATE_LIBTORCH: ${folder}: this is no libtorch folder: it has no ${needed}. "
        "${collimate_libtorch_advice}")
    endif()
  endforeach()
  set(${result} "${folder}" PARENT_SCOPE)
endfunction()

# Reads the version out of the headers, so that a build states which libtorch it has.
function(collimate_libtorch_version folder result)
  set(version_header ${folder}/include/torch/headeronly/version.h)
  if(NOT EXISTS ${version_header})
    set(version_header ${folder}/include/torch/csrc/api/include/torch/version.h)
  endif()
  set(version)
  foreach(part MAJOR MINOR PATCH)
    file(STRINGS ${version_header} line REGEX "define TORCH_VERSION_${part} ")
    string(REGEX MATCH "[0-9]+" number "${line}")
    list(APPEND version ${number})
  endforeach()
  list(JOIN version "." version)
  set(${result} "${version}" PARENT_SCOPE)
endfunction()

# Nothing is cached here: another folder at the next configuration takes full effect.
collimate_find_libtorch_folder(libtorch)
collimate_libtorch_version(${libtorch} libtorch_version)
set(libtorch_libraries)
set(libtorch_kind CPU)
foreach(library torch torch_cpu c10 torch_cuda c10_cuda)
  find_library(found ${library} PATHS ${libtorch}/lib NO_DEFAULT_PATH NO_CACHE)
  if(found)
    list(APPEND libtorch_libraries ${found})
  elseif(NOT library MATCHES cuda)
    message(FATAL_ERROR "COLLIMATE_LIBTORCH: ${libtorch}: lib/ has no lib${library}.so. ${collimate_libtorch_advice}")
  endif()
  if(found AND library STREQUAL torch_cuda)
    set(libtorch_kind CUDA)
  endif()
  unset(found)
endforeach()
message(STATUS "libtorch ${libtorch_version} (${libtorch_kind}): ${libtorch}")

# A Python wheel carries headers of another fmt than the system's. Ours come first, so that all of us use one fmt, compiled
# once: header-only fmt costs every source 3 s.
get_target_property(fmt_headers fmt::fmt INTERFACE_INCLUDE_DIRECTORIES)
file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/fmt_first)
file(CREATE_LINK ${fmt_headers}/fmt ${PROJECT_BINARY_DIR}/fmt_first/fmt SYMBOLIC)

add_library(collimate_libtorch INTERFACE)
add_library(collimate::libtorch ALIAS collimate_libtorch)
target_include_directories(collimate_libtorch SYSTEM INTERFACE
  ${PROJECT_BINARY_DIR}/fmt_first ${libtorch}/include ${libtorch}/include/torch/csrc/api/include)
# at::parallel_for is OpenMP in a header: without the flag it runs on one thread.
find_package(OpenMP REQUIRED COMPONENTS CXX)
target_compile_options(collimate_libtorch INTERFACE ${OpenMP_CXX_FLAGS})
# A libtorch that brings its own OpenMP runtime shares it with us: two in one process would each start their threads.
file(GLOB openmp_runtime ${libtorch}/lib/libgomp*.so*)
if(NOT openmp_runtime)
  set(openmp_runtime ${OpenMP_CXX_LIBRARIES})
endif()
target_link_libraries(collimate_libtorch INTERFACE ${openmp_runtime})
# Sources name the operators that they call: all of them at once (ATen/ATen.h) cost each source seconds, even precompiled,
# since GCC instantiates their templates again wherever it loads them.
target_compile_definitions(collimate_libtorch INTERFACE _GLIBCXX_USE_CXX11_ABI=1 AT_PER_OPERATOR_HEADERS)
# Kernels register themselves when their library is loaded, so none may be dropped for lack of a referenced symbol.
target_link_libraries(collimate_libtorch INTERFACE
  "-Wl,--push-state,--no-as-needed" ${libtorch_libraries} "-Wl,--pop-state")
set(COLLIMATE_HAS_CUDA OFF)
if(libtorch_kind STREQUAL CUDA)
  set(COLLIMATE_HAS_CUDA ON)
  # What its libraries need in turn (cuDNN, cuBLAS of the Python packages) they find through their own run paths.
  target_link_options(collimate_libtorch INTERFACE LINKER:--allow-shlib-undefined)
  # What a source that speaks to a GPU includes besides. The Python packages that torch's own brings have the headers of CUDA
  # and NCCL; elsewhere an installed toolkit does. They come last: CUDA carries a standard library of its own.
  add_library(collimate_cuda INTERFACE)
  file(GLOB packages ${libtorch}/../nvidia/cu* ${libtorch}/../nvidia/nccl)
  foreach(header cuda_runtime_api.h crt/host_defines.h nv/target cusparse.h nccl.h)
    find_path(found ${header} HINTS ${packages} PATHS ENV CUDA_HOME ENV NCCL_HOME /usr/local/cuda
      PATH_SUFFIXES include include/cccl NO_CACHE)
    if(NOT found)
      message(FATAL_ERROR "COLLIMATE_LIBTORCH: ${libtorch} is a CUDA build, but ${header} was found neither beside it nor in "
        "a CUDA toolkit. Install the toolkit and NCCL, or set CUDA_HOME and NCCL_HOME.")
    endif()
    target_compile_options(collimate_cuda INTERFACE "SHELL:-idirafter ${found}")
    unset(found)
  endforeach()
  # The run time that libtorch loads itself: a second one would be another library's state.
  file(GLOB run_times ${libtorch}/../nvidia/cu*/lib/libcudart.so.* ${libtorch}/../nvidia/cuda_runtime/lib/libcudart.so.*
    ${libtorch}/lib/libcudart*.so*)
  if(NOT run_times)
    find_library(run_times cudart HINTS ENV CUDA_HOME PATHS /usr/local/cuda PATH_SUFFIXES lib64 lib NO_CACHE)
  endif()
  list(APPEND run_times NOTFOUND)
  list(GET run_times 0 run_time)
  # Our kernels are compiled by the nvcc that lies beside the headers, or by a toolkit's.
  find_program(nvcc nvcc HINTS ${packages} ENV CUDA_HOME PATHS /usr/local/cuda PATH_SUFFIXES bin NO_CACHE)
  foreach(needed run_time nvcc)
    if(NOT ${needed})
      string(REPLACE run_time libcudart.so name ${needed})
      message(FATAL_ERROR "COLLIMATE_LIBTORCH: ${libtorch} is a CUDA build, but ${name} was found neither beside it nor in a "
        "CUDA toolkit. Install the toolkit or the Python packages nvidia-cuda-runtime, nvidia-cuda-nvcc and nvidia-nvvm of "
        "its CUDA version, or set CUDA_HOME.")
    endif()
  endforeach()
  set(COLLIMATE_NVCC ${nvcc})
  target_link_libraries(collimate_cuda INTERFACE ${run_time})
endif()

# Objects of CUDA sources, which include no header of libtorch.
set(COLLIMATE_CUDA_ARCHITECTURES 80 90 100 CACHE STRING "Compute capabilities that kernels are compiled for; the last one as PTX, too")
function(collimate_cuda_objects result)
  file(GLOB packages ${libtorch}/../nvidia/cu*)
  find_path(cccl nv/target HINTS ${packages} PATHS ENV CUDA_HOME /usr/local/cuda PATH_SUFFIXES include/cccl include
    NO_CACHE REQUIRED)
  set(flags -std=c++20 -O3 -I${PROJECT_SOURCE_DIR}/include -I${cccl} -Xcompiler=-fPIC,-fvisibility=hidden)
  foreach(architecture IN LISTS COLLIMATE_CUDA_ARCHITECTURES)
    list(APPEND flags -gencode=arch=compute_${architecture},code=sm_${architecture})
  endforeach()
  list(GET COLLIMATE_CUDA_ARCHITECTURES -1 newest)
  list(APPEND flags -gencode=arch=compute_${newest},code=compute_${newest})
  set(objects)
  foreach(source IN LISTS ARGN)
    cmake_path(GET source STEM name)
    set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}.cu.o)
    add_custom_command(OUTPUT ${object}
      COMMAND ${COLLIMATE_NVCC} ${flags} -MD -MF ${object}.d -c ${CMAKE_CURRENT_SOURCE_DIR}/${source} -o ${object}
      DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${source} DEPFILE ${object}.d
      COMMENT "Compiling the CUDA kernels of ${source}" VERBATIM)
    list(APPEND objects ${object})
  endforeach()
  set_source_files_properties(${objects} PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
  set(${result} ${objects} PARENT_SCOPE)
endfunction()

# An installed program finds the same libtorch.
list(APPEND CMAKE_INSTALL_RPATH ${libtorch}/lib)
