// SPDX-License-Identifier: Apache-2.0
#include <car/eigen.hpp>
#include <car/kernel/matmul.hpp>

#include "support/attention_cases.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

using reference::longest;

namespace {

template <class Backend>
void check_products(const Backend& on) {
    cases::generator random(1);
    const double u = 0x1p-53;
    double worst = 0;
    // 1: no tile is full; 31 to 33, 64, 65: the edges of a block; 127 to 129, 300: those of its depth.
    for (const std::size_t m : std::vector<std::size_t>{1, 4, 31, 33})
        for (const std::size_t n : std::vector<std::size_t>{1, 5, 64, 65})
            for (const std::size_t depth : std::vector<std::size_t>{1, 3, 127, 128, 129, 300}) {
                const cases::strided<double> a(m, depth, 1, random), b(depth, n, 3, random), before(m, n, 2, random);
                for (const car::gradients how : {car::gradients::overwrite, car::gradients::accumulate}) {
                    cases::strided<double> c = before;
                    car::kernel::matmul(on, a.view(), b.view(), c.view(), -0.75, how);
                    const auto left = a.table(), right = b.table(), had = before.table(), got = c.table();
                    const auto terms = static_cast<double>(std::is_same_v<Backend, car::scalar_backend>
                                                               ? std::min<std::size_t>(depth, 128) + (depth > 128 ? depth / 128 : 0) + 2
                                                               : depth + 2);
                    for (std::size_t i = 0; i != m; ++i)
                        for (std::size_t j = 0; j != n; ++j) {
                            longest sum = 0, size = 0;
                            for (std::size_t k = 0; k != depth; ++k) {
                                sum += left[i][k] * right[k][j];
                                size += std::abs(left[i][k] * right[k][j]);
                            }
                            const bool adds = how == car::gradients::accumulate;
                            const longest want = -0.75L * sum + (adds ? had[i][j] : 0);
                            const double bound =
                                u * (terms * 0.75 * static_cast<double>(size) + (adds ? static_cast<double>(std::abs(want)) : 0));
                            const double error = static_cast<double>(std::abs(got[i][j] - want));
                            if (!(error <= bound)) CHECK(error <= bound);
                            worst = std::max(worst, error / bound);
                        }
                }
            }
    CHECK(worst <= 1);
    MESSAGE("worst error over the bound: " << worst);
}

} // namespace

TEST_CASE("products of every size and order, against long double") {
    check_products(car::scalar);
    check_products(car::eigen);
}

TEST_CASE("an element's bits are the same whatever else is in its matrix") {
    cases::generator random(2);
    const cases::strided<double> a(37, 300, 1, random), b(300, 70, 1, random);
    cases::strided<double> all(37, 70, true), one(1, 1, true);
    const auto left = a.view(), right = b.view();
    car::kernel::matmul(car::scalar, left, right, all.view());
    for (const std::ptrdiff_t i : {0, 33, 36})
        for (const std::ptrdiff_t j : {0, 63, 69}) {
            const car::matrix_view<const double> row(&left(i, 0), 1, 300, left.row_stride, left.col_stride);
            const car::matrix_view<const double> col(&right(0, j), 300, 1, right.row_stride, right.col_stride);
            car::kernel::matmul(car::scalar, row, col, one.view());
            CHECK(all.view()(i, j) == one.view()(0, 0));
        }
}

TEST_CASE("no rows, no columns, no terms, a matrix that is neither by rows nor by columns, values that are not finite") {
    const double a[4] = {1, 2, 3, 4}, b[8] = {1, 9, 0, 9, 0, 9, 1, 9};
    double c[4] = {7, 7, 7, 7};
    const auto both = [&](const auto& on) {
        using in = car::matrix_view<const double>;
        using out = car::matrix_view<double>;
        car::kernel::matmul(on, in(a, 0, 2), in(b, 2, 2), out(c, 0, 2));
        car::kernel::matmul(on, in(a, 2, 2), in(b, 2, 0), out(c, 2, 0));
        CHECK(c[0] == 7);
        car::kernel::matmul(on, in(a, 2, 0), in(b, 0, 2), out(c, 2, 2));
        CHECK(c[3] == 0);
        car::kernel::matmul(on, in(a, 2, 2), in(b, 2, 2, 4, 2), out(c, 2, 2));
        for (int k = 0; k != 4; ++k) CHECK(c[k] == a[k]);
        const double bad[4] = {NAN, 0, INFINITY, 1};
        car::kernel::matmul(on, in(bad, 2, 2), in(a, 2, 2), out(c, 2, 2));
        CHECK(std::isnan(c[0]));
        CHECK(c[2] == INFINITY);
        c[0] = 7;
    };
    both(car::scalar);
    both(car::eigen);
}
