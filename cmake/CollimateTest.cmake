# Registration of tests. Every test has a label (unit, fuzz, mpi, parity, e2e, slurm, tools, lint) and a time-out. The targets
# unit_tests and fuzzers are all binaries of these labels, which are no part of a default build: launch/test makes and runs them once,
# in the sanitizer build.
find_package(GTest REQUIRED)

# Seconds for a test, however slow the machine: only what hangs takes them. The tests' own patience (tests/support/jobs.py) is shorter.
set(collimate_test_timeout 1200)

# Two cores, in halves, as the test presets share them out ("jobs": 5): a test takes two halves for each core that it uses, one that
# only waits takes one half, and one half more is there for it beside tests that use both cores. Slow tests begin first: none is left alone at the end.
set(collimate_halves_of_a_core 2)
set(collimate_slow_cost 1000)
add_custom_target(unit_tests)
add_custom_target(fuzzers)

# A test runs for seconds and its kernels are libtorch's: optimizing it would take most of the time of a whole build. The
# modules keep their own level, and so have another precompiled header.
set(collimate_test_options $<$<CONFIG:Release>:-O0>)

# Precompiled headers of the tests, without and with libtorch.
if(COLLIMATE_PRECOMPILED_HEADERS)
  function(collimate_test_header name)
    file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/${name}.cpp CONTENT "")
    add_library(${name} OBJECT ${PROJECT_BINARY_DIR}/${name}.cpp)
    target_link_libraries(${name} PRIVATE collimate_warnings fmt::fmt GTest::gmock ${ARGN})
    target_compile_options(${name} PRIVATE ${collimate_test_options})
    target_precompile_headers(${name} PRIVATE <gmock/gmock.h> <gtest/gtest.h> <fmt/format.h>)
  endfunction()
  collimate_test_header(collimate_test_header)
  collimate_test_header(collimate_torch_test_header collimate::libtorch)
  target_precompile_headers(collimate_torch_test_header PRIVATE
    <ATen/core/Tensor.h> <ATen/TensorOperators.h> <ATen/ops/empty.h> <ATen/ops/zeros.h> <nlohmann/json.hpp>)
endif()

# collimate_add_unit_test(<name> SOURCES <file>... USES <module>... [LIBTORCH]): one binary, no MPI_Init.
function(collimate_add_unit_test name)
  cmake_parse_arguments(arg "LIBTORCH" "" "SOURCES;USES" ${ARGN})
  collimate_test_binary(${name} "${arg_SOURCES}" "${arg_USES}" ${arg_LIBTORCH})
  collimate_compile_together(${name})
  target_link_libraries(${name} PRIVATE GTest::gmock_main)
  add_dependencies(unit_tests ${name})
  set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL ON)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT ${collimate_test_timeout} PROCESSORS ${collimate_halves_of_a_core}
    ENVIRONMENT OMP_NUM_THREADS=1)
endfunction()

# collimate_add_fuzz_test(<reader> USES <module>... [LIBTORCH]): <reader>_fuzz.cpp with the engine of tests/fuzz/engine, or with
# libFuzzer where the compiler is Clang. As a test it runs for 30 s, from the same seed each time.
function(collimate_add_fuzz_test reader)
  cmake_parse_arguments(arg "LIBTORCH" "" "USES" ${ARGN})
  set(name ${reader}_fuzz)
  collimate_test_binary(${name} ${name}.cpp "fuzz_engine;${arg_USES}" ${arg_LIBTORCH})
  set(seconds --seconds 30)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    set(seconds -max_total_time=30 -seed=1)
  endif()
  add_dependencies(fuzzers ${name})
  set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL ON)
  add_test(NAME ${name} COMMAND ${name} ${seconds})
  set_tests_properties(${name} PROPERTIES LABELS fuzz TIMEOUT ${collimate_test_timeout} PROCESSORS ${collimate_halves_of_a_core}
    ENVIRONMENT OMP_NUM_THREADS=1)
endfunction()

# collimate_add_mpi_test(<name> SOURCES <file>... USES <module>... RANKS 1 2 4 [SLOW]): a binary, and one test a
# rank count, named <name>.np<count>.
function(collimate_add_mpi_test name)
  cmake_parse_arguments(arg "SLOW" "" "SOURCES;USES;RANKS" ${ARGN})
  collimate_test_binary(${name} "${arg_SOURCES};${PROJECT_SOURCE_DIR}/tests/support/mpi_main.cpp" "${arg_USES};comm" TRUE)
  set(labels mpi)
  if(arg_SLOW)
    list(APPEND labels slow)
  endif()
  collimate_run_under_mpi(${name} BINARY ${name} RANKS ${arg_RANKS} LABELS ${labels})
endfunction()

# collimate_run_under_mpi(<name> BINARY <target> RANKS <count>... LABELS <label>... [ARGUMENTS <argument>...]): the
# binary gets the count and fails when it runs with another. mpirun ends before CTest would, so that no rank is orphaned.
# Those with the label slow are left out by launch/test --quick.
function(collimate_run_under_mpi name)
  cmake_parse_arguments(arg "" "BINARY" "RANKS;LABELS;ARGUMENTS" ${ARGN})
  math(EXPR launcher_timeout "${collimate_test_timeout} - 10")
  foreach(ranks IN LISTS arg_RANKS)
    set(halves 4)
    if(ranks EQUAL 1)
      set(halves ${collimate_halves_of_a_core})
    endif()
    add_test(NAME ${name}.np${ranks}
      COMMAND ${PROJECT_SOURCE_DIR}/launch/mpirun -n ${ranks} --timeout ${launcher_timeout}
              $<TARGET_FILE:${arg_BINARY}> --expected-ranks=${ranks} ${arg_ARGUMENTS})
    set_tests_properties(${name}.np${ranks} PROPERTIES
      LABELS "${arg_LABELS}" TIMEOUT ${collimate_test_timeout} PROCESSORS ${halves} ENVIRONMENT OMP_NUM_THREADS=1)
    if("slow" IN_LIST arg_LABELS)
      set_tests_properties(${name}.np${ranks} PROPERTIES COST ${collimate_slow_cost})
    endif()
  endforeach()
endfunction()

# collimate_add_python_test(<name> LABEL <label> FILES <file>... [PROCESSORS n | WAITS] [SLOW]): pytest of
# .venv; the tests find the binaries through COLLIMATE_BUILD. One that uses PROCESSORS cores, 1 if not told, or one that mostly
# WAITS; SLOW ones are left out by launch/test --quick.
function(collimate_add_python_test name)
  cmake_parse_arguments(arg "SLOW;WAITS" "LABEL;PROCESSORS" "FILES" ${ARGN})
  if(NOT arg_PROCESSORS)
    set(arg_PROCESSORS 1)
  endif()
  math(EXPR halves "${collimate_halves_of_a_core} * ${arg_PROCESSORS}")
  if(arg_WAITS)
    set(halves 1)
  endif()
  if(arg_SLOW)
    list(APPEND arg_LABEL slow)
  endif()
  add_test(NAME ${name}
    COMMAND ${PROJECT_SOURCE_DIR}/.venv/bin/python -m pytest -q -p no:cacheprovider ${arg_FILES}
    WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES LABELS "${arg_LABEL}" TIMEOUT ${collimate_test_timeout} PROCESSORS ${halves}
    ENVIRONMENT "OMP_NUM_THREADS=1;COLLIMATE_BUILD=${PROJECT_BINARY_DIR};PYTHONPATH=${PROJECT_SOURCE_DIR}/tools:${PROJECT_SOURCE_DIR}/tests/support")
  if(arg_SLOW)
    set_tests_properties(${name} PROPERTIES COST ${collimate_slow_cost})
  endif()
endfunction()

# collimate_test_library(<name> SOURCES <file>... USES <module>... [LIBTORCH]): sources that several tests share, as
# collimate_<name>; tests name it under USES.
function(collimate_test_library name)
  cmake_parse_arguments(arg "LIBTORCH" "" "SOURCES;USES" ${ARGN})
  add_library(collimate_${name} STATIC ${arg_SOURCES})
  collimate_set_up_test_target(collimate_${name} "${arg_USES}" ${arg_LIBTORCH})
endfunction()

function(collimate_test_binary name sources uses libtorch)
  add_executable(${name} ${sources})
  collimate_set_up_test_target(${name} "${uses}" ${libtorch})
endfunction()

function(collimate_set_up_test_target name uses libtorch)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(${name} PRIVATE collimate_warnings fmt::fmt GTest::gmock)
  foreach(used IN LISTS uses)
    target_link_libraries(${name} PRIVATE collimate_${used})
  endforeach()
  target_compile_options(${name} PRIVATE ${collimate_test_options})
  set(header collimate_test_header)
  if(libtorch)
    target_link_libraries(${name} PRIVATE collimate::libtorch)
    set(header collimate_torch_test_header)
  endif()
  if(COLLIMATE_PRECOMPILED_HEADERS)
    target_precompile_headers(${name} REUSE_FROM ${header})
  endif()
endfunction()
