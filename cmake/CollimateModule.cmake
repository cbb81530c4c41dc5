# collimate_module(<name> SOURCES <file>... [USES <module>...] [LINKS <target>...] [LIBTORCH] [PURE] [READS_FILES])
#
# Makes collimate_<name>. USES are the allowed edges of docs/design.md; LIBTORCH joins the shared precompiled header;
# PURE states that neither MPI, nor libtorch, nor HDF5 is linked (tests/lint reads a binary of all of them to hold us to it);
# READS_FILES lets the fuzzers of a sanitized build see which code an input reaches.
function(collimate_module name)
  cmake_parse_arguments(arg "LIBTORCH;PURE;READS_FILES" "" "SOURCES;USES;LINKS" ${ARGN})
  set(target collimate_${name})
  add_library(${target} STATIC ${arg_SOURCES})
  target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR}/include)
  target_link_libraries(${target} PUBLIC fmt::fmt PRIVATE collimate_warnings)
  collimate_compile_together(${target})
  foreach(used IN LISTS arg_USES)
    target_link_libraries(${target} PUBLIC collimate_${used})
  endforeach()
  target_link_libraries(${target} PUBLIC ${arg_LINKS})
  if(arg_LIBTORCH)
    collimate_use_libtorch(${target})
  endif()
  if(arg_READS_FILES AND COLLIMATE_SANITIZERS)
    collimate_trace_coverage(${target})
  endif()
  if(arg_PURE)
    set_property(GLOBAL APPEND PROPERTY COLLIMATE_PURE_TARGETS ${target})
    list(TRANSFORM arg_SOURCES PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
    set_property(GLOBAL APPEND PROPERTY COLLIMATE_PURE_SOURCES ${arg_SOURCES})
  endif()
endfunction()

# Headers, above all libtorch's templates, cost more than the sources: several at once save a third of a whole build, and where
# nothing is optimized, all of a module at once halve it. What stands in two sources under one name does not compile then.
function(collimate_compile_together target)
  set_target_properties(${target} PROPERTIES
    UNITY_BUILD ${COLLIMATE_UNITY_BUILD} UNITY_BUILD_BATCH_SIZE ${COLLIMATE_UNITY_SOURCES})
endfunction()

# Calls of the fuzzers' hook in every basic block: libFuzzer's with Clang, __sanitizer_cov_trace_pc with GCC. Binaries other than the
# fuzzers get an empty hook from an archive, which the linker looks at last.
if(COLLIMATE_SANITIZERS AND CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/no_coverage.cpp CONTENT "extern \"C\" void __sanitizer_cov_trace_pc() {}\n")
  add_library(collimate_no_coverage STATIC ${PROJECT_BINARY_DIR}/no_coverage.cpp)
endif()
function(collimate_trace_coverage target)
  if(TARGET collimate_no_coverage)
    target_compile_options(${target} PRIVATE -fsanitize-coverage=trace-pc)
    target_link_libraries(${target} PUBLIC collimate_no_coverage)
  else()
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
  # Twice as many inputs a second. Code with libtorch shares a precompiled header, and so its level.
  get_target_property(header ${target} PRECOMPILE_HEADERS_REUSE_FROM)
  if(NOT header)
    target_compile_options(${target} PRIVATE -O1)
  endif()
endfunction()

# Links libtorch and takes the shared precompiled header.
function(collimate_use_libtorch target)
  target_link_libraries(${target} PUBLIC collimate::libtorch)
  if(COLLIMATE_PRECOMPILED_HEADERS)
    target_precompile_headers(${target} REUSE_FROM collimate_torch_header)
  endif()
endfunction()

if(COLLIMATE_PRECOMPILED_HEADERS)
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/torch_header.cpp CONTENT "")
  add_library(collimate_torch_header OBJECT ${PROJECT_BINARY_DIR}/torch_header.cpp)
  target_link_libraries(collimate_torch_header PRIVATE
    collimate::libtorch collimate_warnings fmt::fmt nlohmann_json::nlohmann_json)
  target_precompile_headers(collimate_torch_header PRIVATE
    <ATen/core/Tensor.h> <ATen/TensorOperators.h> <ATen/ops/empty.h> <ATen/ops/zeros.h>
    <fmt/format.h> <nlohmann/json.hpp> <vector> <string> <memory>)
endif()
