# Finds LibTorch and wraps it as espalier::torch. Used by the build and by the installed package.
#
# With the environment variable TORCH_INSTALL_PREFIX, the directory that holds LibTorch's include/
# and lib/, it is taken from there. That works for the PyTorch of pip, also where it has CUDA and the
# CUDA toolkit is missing, which PyTorch's own CMake files insist on:
#   TORCH_INSTALL_PREFIX=$(python3 -c 'import torch; print(torch.__path__[0])') cmake --preset release
# Otherwise find_package(Torch) finds it.
include(CMakeFindDependencyMacro)

if(DEFINED ENV{TORCH_INSTALL_PREFIX})
  set(TORCH_CXX_FLAGS "")
  set(TORCH_INCLUDE_DIRS $ENV{TORCH_INSTALL_PREFIX}/include
                         $ENV{TORCH_INSTALL_PREFIX}/include/torch/csrc/api/include)
  set(TORCH_LIBRARIES "")
  foreach(name torch torch_cpu c10 torch_cuda c10_cuda)
    find_library(ESPALIER_LIB_${name} ${name} NO_DEFAULT_PATH
                 HINTS $ENV{TORCH_INSTALL_PREFIX}
                 PATH_SUFFIXES lib lib/${CMAKE_LIBRARY_ARCHITECTURE})
    if(ESPALIER_LIB_${name})
      list(APPEND TORCH_LIBRARIES ${ESPALIER_LIB_${name}})
    elseif(NOT name MATCHES "cuda")
      message(FATAL_ERROR "no LibTorch library ${name} in $ENV{TORCH_INSTALL_PREFIX}/lib")
    endif()
  endforeach()
  # Nothing names a symbol of torch_cuda; it registers its operators when it is loaded.
  list(PREPEND TORCH_LIBRARIES -Wl,--no-as-needed)
  list(APPEND TORCH_LIBRARIES -Wl,--as-needed)
else()
  find_dependency(Torch)
endif()

if(TORCH_CXX_FLAGS MATCHES "_GLIBCXX_USE_CXX11_ABI=0")
  message(FATAL_ERROR "this LibTorch was built for the C++ ABI of before GCC 5, but fmt and spdlog "
                      "were not; take one that says cxx11 ABI (PyTorch 2.7 and later do)")
endif()
if(NOT TARGET espalier::torch)
  add_library(espalier::torch INTERFACE IMPORTED)
  # An imported target's include directories are system directories: no warnings from LibTorch.
  target_include_directories(espalier::torch INTERFACE ${TORCH_INCLUDE_DIRS})
  target_link_libraries(espalier::torch INTERFACE ${TORCH_LIBRARIES})
  separate_arguments(espalier_torch_flags UNIX_COMMAND "${TORCH_CXX_FLAGS}")
  target_compile_options(espalier::torch INTERFACE ${espalier_torch_flags})
  unset(espalier_torch_flags)
endif()
