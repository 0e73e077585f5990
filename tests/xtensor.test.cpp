// SPDX-License-Identifier: Apache-2.0
// Every way in which an xtensor array may lie in memory gives the bits of the contiguous one.
#include <car/loss.hpp>
#include <car/softmax.hpp>

#include <car/xtensor.hpp> // after the ops, as a user may include it

#if __has_include(<xtensor/containers/xarray.hpp>)
#include <xtensor/containers/xadapt.hpp>
#include <xtensor/containers/xarray.hpp>
#include <xtensor/containers/xfixed.hpp>
#include <xtensor/containers/xtensor.hpp>
#include <xtensor/misc/xmanipulation.hpp>
#include <xtensor/reducers/xreducer.hpp>
#include <xtensor/views/xstrided_view.hpp>
#include <xtensor/views/xview.hpp>
#else
#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>
#include <xtensor/xfixed.hpp>
#include <xtensor/xmanipulation.hpp>
#include <xtensor/xmath.hpp>
#include <xtensor/xreducer.hpp>
#include <xtensor/xstrided_view.hpp>
#include <xtensor/xtensor.hpp>
#include <xtensor/xview.hpp>
#endif

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace {

template <class T>
using row_major = xt::xtensor<T, 2>;
template <class T>
using column_major = xt::xtensor<T, 2, xt::layout_type::column_major>;

template <class T>
row_major<T> random_matrix(unsigned seed) {
    std::mt19937_64 random(seed);
    std::normal_distribution<double> normal;
    row_major<T> m = row_major<T>::from_shape({6, 7});
    for (T& v : m) v = static_cast<T>(normal(random));
    return m;
}

const xt::xtensor<int, 1> labels{0, 1, 2, 3, 4, 5};

} // namespace

TEST_CASE_TEMPLATE("layouts, arrays, adaptors, views, transposes", T, float, double) {
    const row_major<T> p = random_matrix<T>(1), c = random_matrix<T>(2);
    row_major<T> want_p = xt::zeros_like(p), want_c = want_p;
    const auto want = car::loss(car::matrix_view<const T>(p.data(), 6, 7), {c.data(), 6, 7}, std::vector{0, 1, 2, 3, 4, 5}, {},
                                {.grad_p = {want_p.data(), 6, 7}, .grad_c = {want_c.data(), 6, 7}});

    const auto same = [&](const auto& P, const auto& C, auto&& GP, auto&& GC) {
        const auto got = car::loss(P, C, labels, {}, {.grad_p = car::view(GP), .grad_c = car::view(GC)});
        CHECK(got.value == want.value);
        for (std::size_t i = 0; i != 6; ++i)
            for (std::size_t k = 0; k != 7; ++k) {
                CHECK(GP(i, k) == want_p(i, k));
                CHECK(GC(i, k) == want_c(i, k));
            }
    };
    row_major<T> gp = xt::zeros_like(p), gc = gp;
    same(p, c, gp, gc);
    const column_major<T> pc = p, cc = c;
    column_major<T> gpc = xt::zeros_like(p), gcc = gpc;
    same(pc, cc, gpc, gcc);
    same(p, cc, gpc, gc);
    const xt::xarray<T> pa = p;
    const xt::xarray<T, xt::layout_type::column_major> ca = c;
    xt::xarray<T> gpa = xt::zeros_like(p), gca = gpa;
    same(pa, ca, gpa, gca);
    xt::xarray<T, xt::layout_type::dynamic> gpd(std::vector<std::size_t>{6, 7}, xt::layout_type::column_major);
    same(pa, ca, gpd, gca);
    const xt::xtensor_fixed<T, xt::xshape<6, 7>> pf = p;
    same(pf, c, gp, gc);

    xt::xtensor<T, 2> wide = xt::zeros<T>({9, 30}); // four blocks side by side in one array
    const auto block = [&](std::size_t column) { return xt::view(wide, xt::range(2, 8), xt::range(column, column + 7)); };
    block(1) = p;
    block(8) = c;
    same(block(1), block(8), block(15), block(22));

    xt::xtensor<T, 3> stack = xt::zeros<T>({6, 2, 7}); // p and c between each other, backwards
    using xt::placeholders::_;
    auto p_layer = xt::view(stack, xt::all(), 0, xt::range(_, _, -1)), c_layer = xt::view(stack, xt::all(), 1, xt::range(_, _, -1));
    p_layer = p;
    c_layer = c;
    same(p_layer, c_layer, gp, gc);
    CHECK(car::view(c_layer).col_stride == -1);

    const row_major<T> pt = xt::transpose(p), ct = xt::transpose(c);
    row_major<T> gpt = xt::zeros_like(pt), gct = gpt;
    same(xt::transpose(pt), xt::transpose(ct), xt::transpose(gpt), xt::transpose(gct));

    std::vector<T> memory(6 * 20, T(-1));
    auto mapped = xt::adapt(memory.data(), memory.size(), xt::no_ownership(), std::vector<std::size_t>{6, 20});
    auto every_second = xt::strided_view(mapped, {xt::all(), xt::range(3, 17, 2)});
    std::copy(p.begin(), p.end(), every_second.begin());
    same(every_second, c, gp, gc);
    row_major<T> in_place_p = p, in_place_c = c;
    same(in_place_p, in_place_c, in_place_p, in_place_c);
}

TEST_CASE("labels and vectors: tensors, arrays, strided views") {
    const row_major<double> p = random_matrix<double>(1), c = random_matrix<double>(2);
    const double want = car::loss(p, c, labels).value;
    xt::xtensor<std::int64_t, 2> both = xt::zeros<std::int64_t>({6, 3});
    xt::view(both, xt::all(), 1) = labels;
    CHECK(car::loss(p, c, xt::view(both, xt::all(), 1)).value == want);
    CHECK(car::loss(p, c, xt::strided_view(both, {xt::all(), 1})).value == want);
    const xt::xarray<unsigned char> array = labels;
    CHECK(car::loss(p, c, array).value == want);
    const xt::xtensor<int, 2> column = xt::reshape_view(labels, {6, 1}), row = xt::reshape_view(labels, {1, 6});
    const xt::xarray<int> dynamic_column = column;
    CHECK(car::loss(p, c, column).value == want);
    CHECK(car::loss(p, c, row).value == want);
    CHECK(car::loss(p, c, dynamic_column).value == want);
    CHECK_THROWS_WITH(car::loss(p, c, both), "car::loss: labels has size -1, expected 6, one for each row");

    xt::xtensor<double, 1> lse = xt::zeros<double>({6}), rows = lse;
    car::log_sum_exp(p, lse);
    CHECK(lse(2) == doctest::Approx(std::log(xt::sum(xt::exp(xt::view(p, 2)))())).epsilon(1e-15));
    xt::xtensor<double, 2> between = xt::zeros<double>({6, 2});
    auto right = xt::view(between, xt::all(), 1);
    const auto result = car::loss(p, c, labels, {.reduction = car::reduction::none}, {.row_loss = rows, .row_divergence = right});
    CHECK(xt::mean(rows)() == doctest::Approx(want).epsilon(1e-15));
    CHECK(between(5, 0) == 0);
    CHECK(between(5, 1) > 0);
    CHECK(result.count == 6);
    static_assert(!car::matrix<xt::xtensor<int, 1>> && car::matrix<xt::xtensor<int, 2>> && car::matrix<xt::xarray<int>>);
}

TEST_CASE("one row, one column: xtensor's stride of 0 does not make elements overlap") {
    const xt::xtensor<double, 2> p{{1}, {2}}, c{{3}, {4}};
    xt::xtensor<double, 2> gradients = xt::ones<double>({2, 2});
    auto gp = xt::view(gradients, xt::all(), xt::range(0, 1)), gc = xt::view(gradients, xt::all(), xt::range(1, 2));
    CHECK(car::loss(p, c, std::vector{0, 0}, {}, {.grad_p = car::view(gp), .grad_c = car::view(gc)}).value == 0);
    CHECK(gradients == xt::zeros<double>({2, 2}));
    CHECK(car::view(p).col_stride == 1);

    const xt::xtensor<double, 2> one{{1, 2, 3}};
    xt::xtensor<double, 2> y = xt::zeros_like(one);
    car::softmax(one, y);
    CHECK(y(0, 2) == doctest::Approx(1 / (1 + std::exp(-1.0) + std::exp(-2.0))).epsilon(1e-15));
    CHECK(car::view(one).row_stride == 1);
    const xt::xtensor<int, 1> label{2};
    CHECK(car::loss(one, one, label).count == 1);
}

TEST_CASE("an array of another dimension is refused when it is viewed") {
    const xt::xarray<float> cube = xt::zeros<float>({2, 3, 4}), line = xt::zeros<float>({3});
    const xt::xarray<int> cube_labels = xt::zeros<int>({2, 3, 4}), two = xt::zeros<int>({2});
    const row_major<float> p = xt::zeros<float>({2, 3});
    CHECK_THROWS_WITH(car::loss(cube, p, two), "car::view: the xtensor array has dimension 3, expected 2");
    CHECK_THROWS_WITH(car::loss(line, p, two), "car::view: the xtensor array has dimension 1, expected 2");
    CHECK_THROWS_WITH(car::loss(p, p, cube_labels), "car::view: the xtensor array has dimension 3, expected 1");
    CHECK_THROWS_AS(car::loss(cube, p, two), std::invalid_argument);
}

TEST_CASE("a reducer inside an expression is right when it is evaluated by itself") {
    // Without the inner xt::eval the difference reads beyond the maxima, and evaluating all of it does not help.
    const row_major<double> p = random_matrix<double>(3), c = random_matrix<double>(4);
    const row_major<double> shifted = p - xt::eval(xt::amax(p, {1}, xt::keep_dims));
    for (std::size_t i = 0; i != 6; ++i) {
        double highest = p(i, 0);
        for (std::size_t k = 1; k != 7; ++k) highest = std::max(highest, p(i, k));
        for (std::size_t k = 0; k != 7; ++k) CHECK(shifted(i, k) == p(i, k) - highest);
    }
    // Neither softmax knows of a shift.
    CHECK(car::loss(shifted, c, labels).value == doctest::Approx(car::loss(p, c, labels).value).epsilon(1e-14));
    const auto maxima = xt::eval(xt::amax(p, {1}, xt::keep_dims));
    CHECK(car::view(maxima).rows == 6);
    CHECK(car::view(maxima).cols == 1);
    CHECK(car::view(maxima)(5, 0) == maxima(5, 0));
}
