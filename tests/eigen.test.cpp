// SPDX-License-Identifier: Apache-2.0
// Every way in which a matrix may lie in memory gives the bits of the contiguous one.
#include <car/loss.hpp>
#include <car/softmax.hpp>

#include <car/eigen.hpp> // after the ops, as a user may include it

#include <doctest/doctest.h>

#include <random>
#include <span>
#include <utility>

namespace {

template <class T>
using row_major = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T>
using column_major = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>;

template <class T>
row_major<T> random_matrix(unsigned seed) {
    std::mt19937_64 random(seed);
    std::normal_distribution<double> normal;
    return row_major<T>::NullaryExpr(6, 7, [&] { return static_cast<T>(normal(random)); });
}

} // namespace

TEST_CASE_TEMPLATE("storage orders, maps, blocks, references, transposes", T, float, double) {
    const row_major<T> p = random_matrix<T>(1), c = random_matrix<T>(2);
    const Eigen::VectorXi labels = Eigen::VectorXi::LinSpaced(6, 0, 5);
    row_major<T> want_p(6, 7), want_c(6, 7);
    const auto want = car::loss(p, c, labels, {}, {.grad_p = car::view(want_p), .grad_c = car::view(want_c)});

    const auto same = [&](const auto& P, const auto& C, auto&& GP, auto&& GC) {
        const auto got = car::loss(P, C, labels, {}, {.grad_p = car::view(GP), .grad_c = car::view(GC)});
        CHECK(got.value == want.value);
        CHECK((GP.array() == want_p.array()).all());
        CHECK((GC.array() == want_c.array()).all());
    };
    const column_major<T> pc = p, cc = c;
    column_major<T> gpc(6, 7), gcc(6, 7);
    same(pc, cc, gpc, gcc);
    same(p, cc, gpc, gcc);
    row_major<T> gp(6, 7), gc(6, 7);
    same(pc, c, gp, gc);

    column_major<T> wide = column_major<T>::Zero(9, 30); // four blocks side by side in one matrix
    wide.block(2, 1, 6, 7) = p;
    wide.block(2, 8, 6, 7) = c;
    auto gp_block = wide.block(2, 15, 6, 7);
    auto gc_block = wide.block(2, 22, 6, 7);
    same(wide.block(2, 1, 6, 7), wide.block(2, 8, 6, 7), gp_block, gc_block);
    row_major<T> rows = wide;
    auto gp_rows = rows.block(2, 15, 6, 7);
    auto gc_rows = rows.block(2, 22, 6, 7);
    same(rows.block(2, 1, 6, 7), rows.block(2, 8, 6, 7), gp_rows, gc_rows);

    const column_major<T> pt = p.transpose(), ct = c.transpose();
    column_major<T> gpt(7, 6), gct(7, 6);
    auto gpt_view = gpt.transpose();
    auto gct_view = gct.transpose();
    same(pt.transpose(), ct.transpose(), gpt_view, gct_view);

    std::vector<T> memory(200, T(-1));
    using strided = Eigen::Map<row_major<T>, 0, Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>>;
    strided mapped(memory.data(), 6, 7, {25, 3});
    mapped = p;
    same(mapped, c, gp, gc);
    const Eigen::Ref<const column_major<T>> reference(pc);
    same(reference, cc, gpc, gcc);
    const Eigen::Array<T, 6, 7> fixed = p.array();
    same(fixed, c, gp, gc);
    column_major<T> in_place_p = p, in_place_c = c;
    same(in_place_p, in_place_c, in_place_p, in_place_c);
}

TEST_CASE("labels from vectors, segments, rows and columns of matrices") {
    const row_major<double> p = random_matrix<double>(1), c = random_matrix<double>(2);
    const std::vector<int> plain{0, 1, 2, 3, 4, 5};
    const double want = car::loss(p, c, plain).value;
    const Eigen::VectorXi column = Eigen::VectorXi::LinSpaced(6, 0, 5);
    const Eigen::RowVectorX<std::int64_t> row = column.transpose().cast<std::int64_t>();
    Eigen::MatrixXi both = Eigen::MatrixXi::Zero(6, 6);
    both.col(3) = column;
    CHECK(car::loss(p, c, column).value == want);
    CHECK(car::loss(p, c, row).value == want);
    CHECK(car::loss(p, c, both.col(3)).value == want);
    CHECK(car::loss(p.topRows(4), c.topRows(4), column.head(4)).value ==
          car::loss(p.topRows(4), c.topRows(4), std::vector<int>{0, 1, 2, 3}).value);
    // Parts of vectors that step over the rest of their matrix, read and written.
    Eigen::MatrixXi table = Eigen::MatrixXi::Constant(3, 6, -100);
    table.row(1) = column.transpose();
    const double first = car::loss(p.topRows(4), c.topRows(4), std::vector<int>{0, 1, 2, 3}).value;
    CHECK(car::loss(p.topRows(4), c.topRows(4), table.row(1).head(4)).value == first);
    Eigen::VectorXi spread = Eigen::VectorXi::Constant(12, -100);
    Eigen::Map<Eigen::VectorXi, 0, Eigen::InnerStride<2>> stepping(spread.data(), 6);
    stepping = column;
    CHECK(car::loss(p.topRows(4), c.topRows(4), stepping.head(4)).value == first);
    Eigen::MatrixXd results = Eigen::MatrixXd::Constant(2, 4, -7), contiguous(4, 1);
    car::loss(p.topRows(3), c.topRows(3), table.row(1).head(3), {.reduction = car::reduction::none}, {.row_loss = results.row(1).head(3)});
    car::loss(p.topRows(3), c.topRows(3), column.head(3), {.reduction = car::reduction::none}, {.row_loss = contiguous.col(0).head(3)});
    CHECK((results.row(0).array() == -7).all());
    CHECK(results.row(1).head(3) == contiguous.col(0).head(3).transpose());
    CHECK(results(1, 3) == -7);
    CHECK(car::loss(p, c, std::span<const int>(plain)).value == want);
    CHECK_THROWS_WITH(car::loss(p, c, both), "car::loss: labels has size -1, expected 6, one for each row");
    Eigen::VectorXd lse(6), rows(6);
    car::log_sum_exp(p, lse);
    CHECK(lse(2) == doctest::Approx(std::log(p.row(2).array().exp().sum())).epsilon(1e-15));
    const auto result = car::loss(p, c, plain, {.reduction = car::reduction::none}, {.row_loss = rows});
    CHECK(rows.mean() == doctest::Approx(want).epsilon(1e-15));
    CHECK(result.count == 6);
}

TEST_CASE("fixed rows, built-in matrices, broadcast rows") {
    const row_major<double> p = random_matrix<double>(1), c = random_matrix<double>(2);
    const std::vector<int> labels{0, 1, 2, 3, 4, 5};
    const double want = car::loss(p, c, labels).value;
    std::vector<std::array<double, 7>> rows(6);
    double built_in[6][7];
    for (int i = 0; i != 6; ++i)
        for (int k = 0; k != 7; ++k) rows[static_cast<std::size_t>(i)][static_cast<std::size_t>(k)] = built_in[i][k] = p(i, k);
    CHECK(car::loss(rows, c, labels).value == want);
    CHECK(car::loss(built_in, c, labels).value == want);
    CHECK(car::loss(std::span<const std::array<double, 7>>(rows), c, labels).value == want);
    const row_major<double> repeated = c.row(0).replicate(6, 1);
    CHECK(car::loss(p, car::matrix_view<const double>(c.data(), 6, 7, 0), labels).value == car::loss(p, repeated, labels).value);
    static_assert(std::is_same_v<decltype(car::view(built_in)), car::matrix_view<double>>);
    static_assert(std::is_same_v<decltype(car::view(p)), car::matrix_view<const double>>);
    static_assert(std::is_same_v<decltype(car::view(std::as_const(rows))), car::matrix_view<const double>>);
    struct device {};
    static_assert(!std::is_convertible_v<car::matrix_view<double, device>, car::matrix_view<double>>);
    static_assert(!std::is_convertible_v<car::matrix_view<const double>, car::matrix_view<double>>);
}
