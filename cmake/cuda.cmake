# SPDX-License-Identifier: Apache-2.0
# CAR_CUDA=OFF, AUTO or ON: whether CUDA takes part. AUTO: where nvcc is found; ON: an error where it is not. nvcc is called by commands of
# its own and not as a language of CMake, which would ask for a driver's library and, before 3.25.2, refuse C++20.
set(default OFF) # a parent project asks for it
if(PROJECT_IS_TOP_LEVEL)
  set(default AUTO)
endif()
set(CAR_CUDA ${default} CACHE STRING "Whether CUDA takes part: OFF, AUTO or ON")
set_property(CACHE CAR_CUDA PROPERTY STRINGS OFF AUTO ON)
set(CAR_CUDA_ARCHITECTURES 80 90 100 120 CACHE STRING "Architectures that CUDA code is compiled for")

set(car_has_cuda FALSE)
if(NOT CAR_CUDA MATCHES "^(OFF|AUTO|ON)$")
  message(FATAL_ERROR "CAR_CUDA is ${CAR_CUDA}, expected OFF, AUTO or ON")
elseif(NOT CAR_CUDA STREQUAL OFF)
  find_program(CAR_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin)
  if(CAR_NVCC)
    # Its own word for where the toolkit is: nvcc may be a link, or a script that calls another one.
    execute_process(COMMAND ${CAR_NVCC} --dryrun -E -x cu /dev/null OUTPUT_QUIET ERROR_VARIABLE nvcc_says)
    string(REGEX MATCH "TOP=([^\n]*)" nvcc_says "${nvcc_says}")
    file(REAL_PATH "${CMAKE_MATCH_1}" car_cuda_root)
    find_path(CAR_CUDA_INCLUDE cuda_runtime_api.h HINTS ${car_cuda_root}/include ${car_cuda_root}/targets/x86_64-linux/include NO_DEFAULT_PATH)
    find_library(CAR_CUDART cudart HINTS ${car_cuda_root}/lib64 ${car_cuda_root}/targets/x86_64-linux/lib NO_DEFAULT_PATH)
  endif()
  if(CAR_NVCC AND CAR_CUDA_INCLUDE AND CAR_CUDART)
    set(car_has_cuda TRUE)
    message(STATUS "CUDA: ${CAR_NVCC}")
  elseif(CAR_CUDA STREQUAL ON)
    message(FATAL_ERROR "CAR_CUDA is ON, and there is no nvcc with its headers and its runtime")
  else()
    message(STATUS "Without CUDA: there is no nvcc with its headers and its runtime")
  endif()
endif()

# car_nvcc_object(<object> <source> <option>...): an object of a .cu file. -O1 is the host's part, which launches; kernels have all of it.
# Two architectures at a time: the file of the loss takes longest, and ends last.
function(car_nvcc_object object source)
  cmake_path(ABSOLUTE_PATH source BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
  add_custom_command(
    OUTPUT ${object}
    COMMAND ${CAR_NVCC} -std=c++20 -O1 --threads 2 -Xcompiler=-Wall,-Wextra -I${PROJECT_SOURCE_DIR}/include -I${PROJECT_SOURCE_DIR}/cuda
            -I${PROJECT_SOURCE_DIR}/tests ${ARGN} -MD -MF ${object}.d -c ${source} -o ${object}
    DEPENDS ${source}
    DEPFILE ${object}.d
    COMMENT "nvcc ${object}"
    VERBATIM)
endfunction()
