# SPDX-License-Identifier: Apache-2.0
"""conan create packaging/conan: a package of the checkout that this file lies in."""
import pathlib
import re

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeToolchain, cmake_layout
from conan.tools.files import copy


class Car(ConanFile):
    name = "car"
    description = "Causal-learning losses and ops, header-only, C++20"
    license = "Apache-2.0"
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"eigen": [True, False], "xtensor": [True, False]}
    default_options = {"eigen": False, "xtensor": False}
    no_copy_source = True

    def checkout(self):
        return pathlib.Path(self.recipe_folder).resolve().parents[1]

    def set_version(self):
        header = (self.checkout() / "include/car/version.hpp").read_text()
        self.version = ".".join(re.findall(r"#define CAR_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", header))

    def export_sources(self):
        for pattern in ("CMakeLists.txt", "LICENSE", "cmake/*", "include/*"):
            copy(self, pattern, self.checkout(), self.export_sources_folder)

    def requirements(self):
        if self.options.eigen:
            self.requires("eigen/[>=3.4 <4]")
        if self.options.xtensor:
            self.requires("xtensor/[>=0.24]")

    def validate(self):
        check_min_cppstd(self, 20)

    def layout(self):
        cmake_layout(self)

    def generate(self):
        toolchain = CMakeToolchain(self)
        for option in ("CAR_BUILD_TESTS", "CAR_BUILD_EXAMPLES", "CAR_EIGEN", "CAR_XTENSOR", "CAR_CUDA"):
            toolchain.cache_variables[option] = False
        toolchain.generate()

    def build(self):
        CMake(self).configure()

    def package(self):
        CMake(self).install()
        copy(self, "LICENSE", self.source_folder, pathlib.Path(self.package_folder, "licenses"))

    def package_id(self):
        self.info.clear()

    def package_info(self):
        # The same names as the installed CMake package and pkg-config files have.
        self.cpp_info.set_property("cmake_file_name", "car")
        core = self.cpp_info.components["core"]
        core.set_property("cmake_target_name", "car::car")
        core.set_property("pkg_config_name", "car")
        core.bindirs = core.libdirs = []
        for adapter, requirement in (("eigen", "eigen::eigen"), ("xtensor", "xtensor::xtensor")):
            if self.options.get_safe(adapter):
                component = self.cpp_info.components[adapter]
                component.set_property("cmake_target_name", f"car::{adapter}")
                component.set_property("pkg_config_name", f"car-{adapter}")
                component.requires = ["core", requirement]
                component.bindirs = component.libdirs = []
