# Flags of our own code, as an interface target: nothing global is edited but the sanitizers, which must reach every object.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)

add_library(collimate_warnings INTERFACE)
target_compile_options(collimate_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Werror
  # What a designated initializer leaves out has its default.
  -Wno-missing-field-initializers
  # GCC 12 sees these two in its own std::string at -O3 (GCC bugs 105329 and 105562).
  "$<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict;-Wno-maybe-uninitialized>")

if(COLLIMATE_SANITIZERS)
  # A finding must fail the run, so there is no recovery.
  add_compile_options(-fsanitize=${COLLIMATE_SANITIZERS} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${COLLIMATE_SANITIZERS})
  if(COLLIMATE_SANITIZERS MATCHES undefined)
    # What would be looked at on every access to memory, and is where the address sanitizer looks already: a third of the
    # time to compile libtorch's and the JSON library's templates.
    add_compile_options(-fno-sanitize=null,alignment,object-size,vptr,nonnull-attribute,returns-nonnull-attribute)
  endif()
endif()

find_program(COLLIMATE_CCACHE ccache)
if(COLLIMATE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # The sloppiness is what ccache's manual asks for with precompiled headers.
  set(CMAKE_CXX_COMPILER_LAUNCHER
    ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
    CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} ${COLLIMATE_CCACHE})
  if(COLLIMATE_PRECOMPILED_HEADERS)
    add_compile_options($<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)
  endif()
endif()
