# SPDX-License-Identifier: Apache-2.0
# car_add_instances(<library> <target> [<flag>...]): the kernels that most programs call, compiled once for all that link this library and
# not in each of their files. Made with `target`, which is car::car or more, and these flags.
function(car_add_instances library target)
  foreach(type IN ITEMS float double car::bfloat16 car::float16)
    string(MAKE_C_IDENTIFIER "${library}_${type}" name)
    add_library(${name} OBJECT ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/instances.cpp)
    target_compile_definitions(${name} PRIVATE CAR_INSTANCE=${type})
    target_compile_options(${name} PRIVATE ${ARGN})
    target_link_libraries(${name} PRIVATE ${target})
    list(APPEND instances $<TARGET_OBJECTS:${name}>)
  endforeach()
  add_library(${library} STATIC ${instances})
  target_compile_options(${library} INTERFACE -include ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/instances.hpp)
endfunction()
