# SPDX-License-Identifier: Apache-2.0
# Tests of CUDA code, where there is a GPU and where there is none.
set(support ${CMAKE_CURRENT_LIST_DIR}/support/ptx)

# The machine that runs PTX, and the functions of the runtime on it.
file(GLOB stand_in_sources CONFIGURE_DEPENDS ${support}/*.cpp)
list(REMOVE_ITEM stand_in_sources ${support}/device.cpp)
add_library(stand_in OBJECT ${stand_in_sources})
target_compile_features(stand_in PUBLIC cxx_std_20)
target_compile_options(stand_in PRIVATE -O1) # millions of instructions: less takes the tests minutes, and more the compiler one
target_include_directories(stand_in SYSTEM PRIVATE ${CAR_CUDA_INCLUDE})
target_link_libraries(stand_in PRIVATE car_strict)
add_library(no_stand_in OBJECT ${support}/device.cpp)
target_link_libraries(no_stand_in PRIVATE car_strict)

# car_add_cuda_test(<name> <source> [PTX <architecture>...] [ARCHITECTURES <architecture>...] [STAND_IN_ONLY] [LIBRARIES <target>...]
#                   [STAND_IN_LIBRARIES <target>...] [DEVICE_LIBRARIES <target>...])
#
# Two programs of the same source, with doctest's main: <name>.stand_in runs on the machine and is the test <name>; <name>.device is linked
# against the CUDA runtime and run, as the test <name>.device, where there is a GPU. Both have the same object: of a .cu file, which has
# kernels of its own, it has PTX for the one and machine code for the other.
function(car_add_cuda_test name source)
  cmake_parse_arguments(PARSE_ARGV 2 test "STAND_IN_ONLY" "" "PTX;ARCHITECTURES;LIBRARIES;STAND_IN_LIBRARIES;DEVICE_LIBRARIES")
  if(source MATCHES "\\.cu$")
    set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}.o)
    set(options -lineinfo --no-compress)
    foreach(architecture IN LISTS test_PTX)
      set(codes compute_${architecture})
      if(architecture IN_LIST test_ARCHITECTURES)
        string(APPEND codes ",sm_${architecture}")
      endif()
      list(APPEND options -gencode arch=compute_${architecture},code=[${codes}])
    endforeach()
    car_nvcc_object(${object} ${source} ${options})
    add_custom_target(${name}.object DEPENDS ${object}) # made once for two programs
  else()
    set(object $<TARGET_OBJECTS:${name}.object>)
    add_library(${name}.object OBJECT ${source})
    target_include_directories(${name}.object PRIVATE ${CMAKE_CURRENT_LIST_DIR})
    target_include_directories(${name}.object SYSTEM PRIVATE ${CAR_CUDA_INCLUDE})
    target_link_libraries(${name}.object PRIVATE car_strict test_main)
    target_compile_options(${name}.object PRIVATE $<$<CONFIG:Release>:-O1>) # it waits for the kernels and the reference
  endif()
  foreach(kind IN ITEMS stand_in device)
    if(kind STREQUAL device AND test_STAND_IN_ONLY)
      continue()
    endif()
    add_executable(${name}.${kind} ${object})
    add_dependencies(${name}.${kind} ${name}.object)
    set_target_properties(${name}.${kind} PROPERTIES LINKER_LANGUAGE CXX)
    target_link_libraries(${name}.${kind} PRIVATE test_main ${test_LIBRARIES})
  endforeach()
  target_link_libraries(${name}.stand_in PRIVATE ${test_STAND_IN_LIBRARIES} stand_in)
  add_test(NAME ${name} COMMAND ${name}.stand_in)
  if(NOT test_STAND_IN_ONLY)
    target_link_libraries(${name}.device PRIVATE ${test_DEVICE_LIBRARIES} ${CAR_CUDART} no_stand_in)
    if(EXISTS /dev/nvidia0)
      add_test(NAME ${name}.device COMMAND ${name}.device)
    endif()
  endif()
endfunction()

car_add_cuda_test(ptx.unread ptx/unread.cu PTX 90 STAND_IN_ONLY)
set_tests_properties(ptx.unread PROPERTIES WILL_FAIL TRUE)
file(GLOB ptx_tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/ptx/*.test.cu)
foreach(file IN LISTS ptx_tests)
  get_filename_component(name ${file} NAME_WE)
  if(name STREQUAL "faults")
    car_add_cuda_test(ptx.${name} ${file} PTX 90 STAND_IN_ONLY) # on a GPU a fault is the end of the program
  else()
    car_add_cuda_test(ptx.${name} ${file} PTX 90 100 ARCHITECTURES 90) # clusters
  endif()
endforeach()

add_library(loss_answer OBJECT ${CMAKE_CURRENT_LIST_DIR}/support/loss_answer.cpp)
target_include_directories(loss_answer PRIVATE ${CMAKE_CURRENT_LIST_DIR})
target_link_libraries(loss_answer PRIVATE car_strict PUBLIC quadmath)

# Every cuda/<name>.test.cpp is a test of the kernels: their objects have machine code for a GPU, and PTX for the stand-in.
file(GLOB cuda_tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/cuda/*.test.cpp)
foreach(file IN LISTS cuda_tests)
  get_filename_component(name ${file} NAME_WE)
  car_add_cuda_test(cuda.${name} ${file} LIBRARIES loss_answer STAND_IN_LIBRARIES car_cuda_kernels DEVICE_LIBRARIES car_cuda)
endforeach()
set_tests_properties(cuda.loss PROPERTIES COST 100) # as long as all others together: it starts first

# What ptxas made of the kernels, against limits and the table of the document.
add_test(NAME cuda.gates COMMAND ${CMAKE_CURRENT_LIST_DIR}/cuda/gates check ${PROJECT_SOURCE_DIR}/docs/cuda.md ${car_cuda_objects})

# The example of a step of training, and the benchmark's answer: programs with a main of their own.
function(car_add_stand_in_program name source)
  set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}.o)
  car_nvcc_object(${object} ${source} -lineinfo -cudart none --no-compress -gencode arch=compute_90,code=compute_90)
  add_custom_target(${name}.object DEPENDS ${object}) # does not wait for the kernels
  add_executable(${name} ${object})
  set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX)
  target_link_libraries(${name} PRIVATE car_cuda_kernels stand_in)
endfunction()
car_add_stand_in_program(cuda.training_step ${PROJECT_SOURCE_DIR}/examples/cuda/training_step.cu)
add_test(NAME cuda.training_step COMMAND cuda.training_step)
find_package(benchmark QUIET)
if(benchmark_FOUND)
  car_add_stand_in_program(cuda.bench ${PROJECT_SOURCE_DIR}/bench/loss.bench.cu)
  target_link_libraries(cuda.bench PRIVATE benchmark::benchmark)
  add_test(NAME cuda.bench COMMAND cuda.bench --benchmark_filter=answer)
  set_tests_properties(cuda.bench PROPERTIES FAIL_REGULAR_EXPRESSION "ERROR OCCURRED")
endif()
