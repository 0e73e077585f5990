// SPDX-License-Identifier: Apache-2.0
// Every layout of std::mdspan gives the bits of the contiguous matrix.
#include <car/loss.hpp>
#include <car/softmax.hpp>

#include <car/mdspan.hpp> // after the ops, as a user may include it

#include <doctest/doctest.h>

#include <array>
#include <random>
#include <vector>

namespace {

using two = std::dextents<int, 2>;
using one = std::dextents<std::size_t, 1>;

template <class T>
std::vector<T> random_values(unsigned seed) {
    std::mt19937_64 random(seed);
    std::normal_distribution<double> normal;
    std::vector<T> values(42);
    for (T& v : values) v = static_cast<T>(normal(random));
    return values;
}

template <class T>
void copy(const std::vector<T>& from, auto to) {
    for (int i = 0; i != 6; ++i)
        for (int k = 0; k != 7; ++k) to[std::array{i, k}] = from[static_cast<std::size_t>(i * 7 + k)];
}

} // namespace

TEST_CASE_TEMPLATE("layout_right, layout_left, layout_stride, static extents", T, float, double) {
    const std::vector<T> p = random_values<T>(1), c = random_values<T>(2);
    const std::vector<int> labels{0, 1, 2, 3, 4, 5};
    std::vector<T> want_p(42), want_c(42);
    const auto want = car::loss(car::matrix_view<const T>(p.data(), 6, 7), {c.data(), 6, 7}, labels, {},
                                {.grad_p = {want_p.data(), 6, 7}, .grad_c = {want_c.data(), 6, 7}});
    const auto same = [&](const auto& mapping) {
        using layout = typename std::remove_cvref_t<decltype(mapping)>::layout_type;
        using matrix = std::mdspan<T, typename std::remove_cvref_t<decltype(mapping)>::extents_type, layout>;
        std::vector<T> memory[4];
        for (auto& m : memory) m.assign(static_cast<std::size_t>(mapping.required_span_size()), T(-5));
        const matrix P(memory[0].data(), mapping), C(memory[1].data(), mapping), GP(memory[2].data(), mapping),
            GC(memory[3].data(), mapping);
        copy(p, P);
        copy(c, C);
        CHECK(car::loss(P, C, labels, {}, {.grad_p = GP, .grad_c = GC}).value == want.value);
        for (int i = 0; i != 6; ++i)
            for (int k = 0; k != 7; ++k) {
                CHECK(GP[std::array{i, k}] == want_p[static_cast<std::size_t>(i * 7 + k)]);
                CHECK(GC[std::array{i, k}] == want_c[static_cast<std::size_t>(i * 7 + k)]);
            }
    };
    same(std::layout_right::mapping(two(6, 7)));
    same(std::layout_left::mapping(two(6, 7)));
    same(std::layout_stride::mapping(two(6, 7), std::array{25, 3}));
    same(std::layout_stride::mapping(two(6, 7), std::array{2, 13}));
    same(std::layout_left::mapping(std::extents<std::size_t, 6, 7>()));
    same(std::layout_right::mapping(std::extents<short, std::dynamic_extent, 7>(6)));
    static_assert(std::is_same_v<decltype(car::view(std::mdspan<const T, two>())), car::matrix_view<const T>>);
}

TEST_CASE("one dimension: labels and vectors") {
    const std::vector<double> p = random_values<double>(1), c = random_values<double>(2);
    const std::mdspan<const double, two> P(p.data(), 6, 7), C(c.data(), 6, 7);
    const std::vector<int> labels{0, 9, 1, 9, 2, 9, 3, 9, 4, 9, 5};
    const double want = car::loss(P, C, std::vector{0, 1, 2, 3, 4, 5}).value;
    using strided = std::layout_stride;
    const strided::mapping<one> every_second(one(6), std::array<std::size_t, 1>{2});
    CHECK(car::loss(P, C, std::mdspan<const int, one, strided>(labels.data(), every_second)).value == want);
    std::vector<double> rows(11, -3), lse(6);
    const std::mdspan<double, one, strided> row_loss(rows.data(), every_second);
    car::loss(P, C, std::vector{0, 1, 2, 3, 4, 5}, {}, {.row_loss = row_loss});
    CHECK(rows[1] == -3);
    CHECK((rows[0] + rows[2] + rows[4] + rows[6] + rows[8] + rows[10]) / 6 == doctest::Approx(want).epsilon(1e-15));
    car::log_sum_exp(P, std::mdspan<double, one>(lse.data(), 6));
    CHECK(lse[5] > 0);
    CHECK(car::loss(P, C, std::mdspan<const int, std::dextents<int, 2>>(std::vector{0, 1, 2, 3, 4, 5}.data(), 1, 6)).value == want);
    static_assert(!car::matrix<std::mdspan<double, one>> && car::matrix<std::mdspan<double, two>>);
}
