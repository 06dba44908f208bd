# Tests are compiled with fewer optimizations, which takes about half of the time: what they test is
# not, and is where their own time goes.
set(espalier_test_options $<$<CONFIG:Release,RelWithDebInfo>:-O1>)

# LibTorch's headers are compiled once, into the precompiled header of this target, and shared by
# every target that says TORCH. That needs equal compile flags, hence the same usage requirements
# and, for tests, a target of their own with their `options`.
function(espalier_add_torch_pch target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "OPTIONS")
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/torch_pch.cpp CONTENT "")
  add_library(${target} OBJECT ${CMAKE_BINARY_DIR}/torch_pch.cpp)
  target_compile_options(${target} PRIVATE ${arg_OPTIONS})
  target_link_libraries(${target} PRIVATE espalier_core espalier::torch)
  target_precompile_headers(${target} PRIVATE <torch/types.h> <torch/autograd.h>)
endfunction()

# Sets `result` to whether a file includes LibTorch, itself or through headers of this project.
function(espalier_includes_torch file result)
  get_property(known GLOBAL PROPERTY espalier_torch:${file})
  if("${known}" STREQUAL "")
    set(known NO)  # also the answer to a cycle
    set_property(GLOBAL PROPERTY espalier_torch:${file} ${known})
    file(STRINGS ${file} includes REGEX "^#include [<\"]")
    foreach(line IN LISTS includes)
      if(line MATCHES "^#include <(torch|ATen|c10)/")
        set(known YES)
      elseif(line MATCHES "^#include \"([^\"]+)\"")
        set(header ${PROJECT_SOURCE_DIR}/${CMAKE_MATCH_1})
        if(EXISTS ${header})
          espalier_includes_torch(${header} through)
          if(through)
            set(known YES)
          endif()
        endif()
      endif()
    endforeach()
    set_property(GLOBAL PROPERTY espalier_torch:${file} ${known})
  endif()
  set(${result} ${known} PARENT_SCOPE)
endfunction()

# Lets a target include LibTorch, precompiled for the target `pch`. Its sources that do not are
# spared the precompiled header, which costs 4 s in each; a source that has begun to include it
# since the last configuration is slower.
function(espalier_use_torch target scope pch)
  target_link_libraries(${target} ${scope} espalier::torch)
  target_precompile_headers(${target} REUSE_FROM ${pch})
  get_target_property(sources ${target} SOURCES)
  foreach(source IN LISTS sources)
    espalier_includes_torch(${source} uses_torch)
    if(NOT uses_torch)
      set_source_files_properties(${source} PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
    endif()
  endforeach()
endfunction()

# espalier_add_library(<directory> [TORCH] [DEPENDS <directory>...]
#                      [PUBLIC <target>...] [PRIVATE <target>...])
#
# The library espalier_<directory>, also espalier::<directory>, of all sources of this directory but
# main.cpp. Without sources it is an interface library. TORCH: its sources may include LibTorch.
# DEPENDS: directories that it uses. PUBLIC, PRIVATE: foreign targets that its headers, its sources
# use.
function(espalier_add_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "TORCH" "" "DEPENDS;PUBLIC;PRIVATE")
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS *.cpp)
  list(REMOVE_ITEM sources ${CMAKE_CURRENT_SOURCE_DIR}/main.cpp)
  set(target espalier_${name})
  list(TRANSFORM arg_DEPENDS PREPEND espalier_)
  if(sources)
    add_library(${target} STATIC ${sources})
    set(scope PUBLIC)
    target_link_libraries(${target} PRIVATE ${arg_PRIVATE})
    if(arg_TORCH)
      espalier_use_torch(${target} PUBLIC espalier_torch_pch)
    endif()
  else()
    add_library(${target} INTERFACE)
    set(scope INTERFACE)
    if(arg_TORCH)
      target_link_libraries(${target} INTERFACE espalier::torch)
    endif()
  endif()
  add_library(espalier::${name} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
  target_compile_features(${target} ${scope} cxx_std_20)
  target_include_directories(${target} ${scope}
      $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
      $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/espalier>)
  target_link_libraries(${target} ${scope} ${arg_DEPENDS} ${arg_PUBLIC})
  install(TARGETS ${target} EXPORT EspalierTargets)
  install(DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}/
          DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/espalier/${name}
          FILES_MATCHING PATTERN "*.hpp")
endfunction()

# espalier_add_tests(<directory> [TORCH] [SHARDS <n>] [DEPENDS <directory>...])
#
# The test program <directory>_test of all sources of this directory. ctest runs it in <n> parts
# (2 unless told), and the tests whose name contains `Slow` in as many parts labelled `slow`: few
# processes, since loading LibTorch takes 0.6 s in each.
function(espalier_add_tests name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "TORCH" "SHARDS" "DEPENDS")
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS *.cpp)
  if(NOT sources)
    return()
  endif()
  if(NOT arg_SHARDS)
    set(arg_SHARDS 2)
  endif()
  set(target ${name}_test)
  list(TRANSFORM arg_DEPENDS PREPEND espalier_)
  add_executable(${target} ${sources})
  target_compile_options(${target} PRIVATE ${espalier_test_options})
  target_compile_definitions(${target} PRIVATE ESPALIER_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${target} PRIVATE ${arg_DEPENDS} GTest::gmock GTest::gtest_main)
  if(arg_TORCH)
    espalier_use_torch(${target} PRIVATE espalier_torch_test_pch)
  endif()
  math(EXPR last "${arg_SHARDS} - 1")
  foreach(speed fast slow)
    if(speed STREQUAL "slow")
      set(filter "*Slow*")
    else()
      set(filter "-*Slow*")
    endif()
    foreach(shard RANGE ${last})
      set(test ${name}.${speed}.${shard})
      add_test(NAME ${test} COMMAND ${target} --gtest_brief=1 --gtest_filter=${filter})
      # ctest runs tests side by side, so each keeps to one thread where it does not say otherwise.
      set_tests_properties(${test} PROPERTIES LABELS "${name};${speed}" TIMEOUT 1500
          ENVIRONMENT
          "GTEST_TOTAL_SHARDS=${arg_SHARDS};GTEST_SHARD_INDEX=${shard};OMP_NUM_THREADS=1")
    endforeach()
  endforeach()
endfunction()
