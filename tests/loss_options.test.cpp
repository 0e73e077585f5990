// SPDX-License-Identifier: Apache-2.0
// Every combination of the options of the loss, against the formulas of its contract in 113-bit arithmetic.
#include <car/loss.hpp>

#include "support/loss_expectation.hpp"

#include <doctest/doctest.h>

using namespace combinations;

namespace {

template <class T, class Backend>
outputs<T> call(const problem<T>& given, const combination& set) {
    using term = car::term_of<T>;
    outputs<T> got(given);
    const car::matrix_view<const T> p(given.p.data(), rows, classes), c(given.c.data(), rows, classes);
    const car::targets<T> labels =
        set.soft ? car::targets<T>(car::matrix_view<const term>(given.soft.data(), rows, classes)) : car::targets<T>(given.labels);
    car::loss_arrays<T> arrays{.grad_p = {got.grad_p.data(), rows, classes},
                               .grad_c = {got.grad_c.data(), rows, classes},
                               .row_loss = got.loss,
                               .row_cross_entropy = got.cross_entropy,
                               .row_divergence = got.divergence,
                               .lse_p = got.lse_p,
                               .lse_y = got.lse_y,
                               .predicted = got.predicted};
    if (set.upstream) arrays.upstream = given.upstream;
    if (set.weights) {
        arrays.weight = given.weight;
        arrays.sample_weight = given.sample_weight;
    }
    if (set.masks) {
        arrays.row_mask = given.row_mask;
        arrays.class_mask = given.class_mask;
    }
    got.result = car::loss(Backend{}, p, c, labels, set.options, arrays);
    return got;
}

} // namespace

template <class Type, class BackendType>
struct run {
    using T = Type;
    using Backend = BackendType;
};

TEST_CASE_TEMPLATE("every combination of the options", Run, run<float, car::scalar_backend>, run<double, car::scalar_backend>,
                   run<car::bfloat16, car::scalar_backend>, run<car::float16, car::scalar_backend>, run<float, car::simd_backend>,
                   run<car::bfloat16, car::simd_backend>, run<car::float16, car::simd_backend>) {
    using T = typename Run::T;
    const std::size_t parts = types::exhaustive() ? 1 : 37; // a prime, so that no option is left out with another
    const std::size_t visited = for_each_combination(parts, [&](const combination& set) {
        const problem<T> given = problem_for<T>(set);
        const std::string faults = faults_of<T>(given, set, call<T, typename Run::Backend>(given, set));
        if (!faults.empty()) {
            INFO(std::string(types::limits<T>::name) << ", " << text_of(set));
            FAIL_CHECK(faults);
        }
    });
    MESSAGE(std::string(types::limits<T>::name) << ": " << visited << " combinations");
    CHECK(visited > 1900);
}
