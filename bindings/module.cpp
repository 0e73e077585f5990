// SPDX-License-Identifier: Apache-2.0
#include "options.hpp"

#include <car/loss.hpp>
#include <car/version.hpp>

#include <array>

namespace binding {

namespace {

py::dict config() {
    py::dict config;
    config["version"] =
        std::to_string(CAR_VERSION_MAJOR) + "." + std::to_string(CAR_VERSION_MINOR) + "." + std::to_string(CAR_VERSION_PATCH);
    py::list names;
    std::apply([&](const auto&... one) { (names.append(one.first), ...); }, backends);
    config["backends"] = py::tuple(names);
    constexpr std::array sets{"portable", "avx2", "avx512"};
    config["instruction_set"] = sets[static_cast<std::size_t>(car::active_instruction_set())]; // of the simd backend
    config["num_threads"] = process_pool()->threads();
    config["compiler"] = __VERSION__;
    config["logits"] =
        py::make_tuple(name_of(element::float32), name_of(element::float64), name_of(element::bfloat16), name_of(element::float16));
    return config;
}

} // namespace

} // namespace binding

PYBIND11_MODULE(_car, module) {
    module.doc() = "The compiled half of car. Import car.";
    binding::bind_loss(module);
    binding::bind_softmax(module);
    binding::bind_corrected(module);
    binding::bind_effect(module);
    binding::bind_image(module);
    binding::bind_adjust(module);
    binding::bind_attention(module);
    binding::bind_treatment(module);
    binding::bind_evaluate(module);
    binding::bind_family(module);
    binding::bind_threads(module);
    binding::define(module, "config", &binding::config,
                    "config() -> dict[str, typing.Any]\n\nVersion, backends, instruction set, threads and compiler of the compiled half.");
}
