# SPDX-License-Identifier: Apache-2.0
# An overlay port, which takes the checkout that it lies in: vcpkg install car --overlay-ports=packaging/vcpkg
get_filename_component(SOURCE_PATH "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
set(VCPKG_BUILD_TYPE release) # headers alone

vcpkg_cmake_configure(
  SOURCE_PATH "${SOURCE_PATH}"
  OPTIONS -DCAR_BUILD_TESTS=OFF -DCAR_BUILD_EXAMPLES=OFF -DCAR_INSTALL=ON -DCAR_EIGEN=OFF -DCAR_XTENSOR=OFF -DCAR_CUDA=OFF)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH share/cmake/car)
vcpkg_fixup_pkgconfig()
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
