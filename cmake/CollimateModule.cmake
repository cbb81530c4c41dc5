# collimate_module(<name> SOURCES <file>... [USES <module>...] [LINKS <target>...] [LIBTORCH] [PURE])
#
# Makes collimate_<name>. USES are the allowed edges of docs/design.md; LIBTORCH joins the shared precompiled header;
# PURE states that neither MPI, nor libtorch, nor HDF5 is linked (tests/lint reads a binary of all of them to hold us to it).
function(collimate_module name)
  cmake_parse_arguments(arg "LIBTORCH;PURE" "" "SOURCES;USES;LINKS" ${ARGN})
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
