# SPDX-License-Identifier: Apache-2.0
# Everything goes below include/ and share/: nothing of it depends on the machine.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(package_directory ${CMAKE_INSTALL_DATADIR}/cmake/car)
set(pkgconfig_directory ${CMAKE_INSTALL_DATADIR}/pkgconfig)

# An export of its own for each component: find_package(car) offers car::eigen only to those who asked for it and have Eigen.
install(TARGETS car EXPORT car-targets FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
                                       FILE_SET text DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT car-targets NAMESPACE car:: DESTINATION ${package_directory})
foreach(component IN LISTS components)
  install(TARGETS car_${component} EXPORT car-${component}-targets FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(EXPORT car-${component}-targets NAMESPACE car:: DESTINATION ${package_directory})
endforeach()

# Before 1.0 a minor version may change a call; from then on only a major one.
set(compatibility SameMajorVersion)
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(compatibility SameMinorVersion)
endif()
write_basic_package_version_file(car-config-version.cmake COMPATIBILITY ${compatibility} ARCH_INDEPENDENT)
configure_package_config_file(cmake/car-config.cmake.in car-config.cmake INSTALL_DESTINATION ${package_directory}
                              NO_SET_AND_CHECK_MACRO)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/car-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/car-config-version.cmake
        DESTINATION ${package_directory})

# The prefix follows from where the file lies, so that an installed tree can be moved.
file(RELATIVE_PATH up /${pkgconfig_directory} /)
string(REGEX REPLACE "/$" "" up "${up}")
cmake_path(APPEND pkgconfig_includedir "\${prefix}" ${CMAKE_INSTALL_INCLUDEDIR})
foreach(component IN ITEMS "" LISTS components)
  set(name car)
  set(requires "")
  if(component)
    set(name car-${component})
    set(requires "car = ${PROJECT_VERSION}, ${${component}_requires}")
  endif()
  configure_file(cmake/car.pc.in ${name}.pc @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${name}.pc DESTINATION ${pkgconfig_directory})
endforeach()
