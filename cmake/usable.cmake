# SPDX-License-Identifier: Apache-2.0
# car_usable(<component> <target>) sets <component>_usable: the library is there, and this compiler takes its headers. Of xtensor
# 0.24 clang 19 does not. What is left out for that is said, here and in the list of skipped tests.
include(CheckCXXSourceCompiles)

set(eigen_program "#include <Eigen/Core>
int main() { return static_cast<int>(Eigen::MatrixXf(1, 1).rows() - 1); }")
set(xtensor_program "#if __has_include(<xtensor/containers/xarray.hpp>)
#include <xtensor/containers/xarray.hpp>
#else
#include <xtensor/xarray.hpp>
#endif
int main() { return static_cast<int>(xt::xarray<float>({1}).size() - 1); }")

function(car_usable component target)
  if(TARGET ${target})
    set(CMAKE_CXX_STANDARD 20)
    set(CMAKE_REQUIRED_LIBRARIES ${target})
    check_cxx_source_compiles("${${component}_program}" ${component}_compiles)
  endif()
  if(NOT TARGET ${target})
    set(reason "${component} is not installed")
  elseif(NOT ${component}_compiles)
    set(reason "${CMAKE_CXX_COMPILER} ${CMAKE_CXX_COMPILER_VERSION} does not compile the headers of ${component}")
  else()
    set(${component}_usable TRUE PARENT_SCOPE)
    return()
  endif()
  message(STATUS "Without ${component}: ${reason}")
  set(${component}_unusable_because "${reason}" PARENT_SCOPE)
endfunction()
