// SPDX-License-Identifier: Apache-2.0
// Which backend has a kernel of its own of which op. A row here is a row of the README's table.
#include <car/adjust.hpp>
#include <car/corrected.hpp>
#include <car/cuda.hpp>
#include <car/effect.hpp>
#include <car/eigen.hpp>
#include <car/family/cal.hpp>
#include <car/loss.hpp>
#include <car/softmax.hpp>

#include <doctest/doctest.h>

#include <concepts>

namespace {

template <class Backend, class T>
constexpr bool has_loss = requires(const Backend& on, car::matrix_view<const T> in, car::targets<T> labels, car::loss_options options,
                                   car::loss_arrays<T> arrays) {
    car::kernel::loss(on, in, in, labels, options, arrays);
};
template <class Backend, class T>
constexpr bool has_softmax = requires(const Backend& on, car::matrix_view<const T> in, car::matrix_view<T> out,
                                      car::vector_view<car::term_of<T>> row) {
    car::kernel::softmax(on, in, out, 1.0);
    car::kernel::log_softmax(on, in, out, 1.0);
    car::kernel::log_sum_exp(on, in, row, 1.0);
};
template <class Backend, class T>
constexpr bool has_corrected = requires(const Backend& on, car::matrix_view<const T> in, car::matrix_view<T> out) {
    car::kernel::corrected_softmax(on, in, in, out, 1.0, 1.0);
    car::kernel::corrected_softmax_vjp(on, in, in, out, out, 1.0, 1.0);
};
template <class Backend, class T>
constexpr bool has_effect = requires(const Backend& on, car::vector_view<const T> row) {
    car::kernel::sum_exponentials(on, row);
};
template <class Backend, class T>
constexpr bool has_adjust = requires(const Backend& on, car::kernel::adjust_scratch<T> kept,
                                     car::vector_view<const T> (*row)(std::ptrdiff_t), double (*prior)(std::ptrdiff_t),
                                     void (*probability)(std::ptrdiff_t, double),
                                     void (*gradient)(std::ptrdiff_t, std::ptrdiff_t, double)) {
    car::kernel::adjust_exact(on, kept, 1, row, prior, 0, probability, gradient);
    car::kernel::adjust_geometric(on, kept, 1, row, prior, 0, probability, gradient);
};
template <class Backend>
constexpr bool has_matmul = requires(const Backend& on, car::matrix_view<const double> in, car::matrix_view<double> out) {
    car::kernel::matmul(on, in, in, out, 1.0, car::gradients::overwrite);
}; // what attention, the confounder dictionary, front-door attention and the interventions are made of, with softmax

/// What every member of the family makes its softmaxes with.
template <class Backend, class T>
constexpr bool has_family = requires(const Backend& on) {
    car::kernel::predictions<T>(on);
};

template <class Backend>
constexpr bool has_everything = has_loss<Backend, float>&& has_loss<Backend, double>&& has_softmax<Backend, float>&&
    has_softmax<Backend, double>&& has_corrected<Backend, float>&& has_corrected<Backend, double>&& has_effect<Backend, float>&&
        has_effect<Backend, double>&& has_adjust<Backend, float>&& has_adjust<Backend, double>&& has_matmul<Backend>&&
            has_family<Backend, float>&& has_family<Backend, double>;

struct no_backend : car::backend_base {};

/// Converts to this backend alone, not to one that it falls back to: what takes it is a kernel of the backend's own.
template <class Backend>
struct own {
    template <std::same_as<Backend> B>
    operator B() const;
};

static_assert(has_everything<car::scalar_backend> && has_everything<own<car::scalar_backend>>);

// simd: the loss, softmax and effects of every type, the product with the corrected softmax's Jacobian; that softmax and the family of rows
// of float or less. Second order and adjustment fall back to scalar.
static_assert(has_everything<car::simd_backend> && has_loss<own<car::simd_backend>, float> && has_softmax<own<car::simd_backend>, double>);
static_assert(has_loss<own<car::simd_backend>, car::bfloat16> && has_effect<own<car::simd_backend>, double>);
static_assert(has_corrected<own<car::simd_backend>, float> && !has_corrected<own<car::simd_backend>, double>); // its product alone
static_assert(has_family<own<car::simd_backend>, float> && !has_family<own<car::simd_backend>, double>);

// eigen: the row-wise ops and the product of matrices; what is on one row or of second order falls back to scalar.
static_assert(has_everything<car::eigen_backend>);
static_assert(has_loss<own<car::eigen_backend>, float> && has_softmax<own<car::eigen_backend>, float> &&
              has_corrected<own<car::eigen_backend>, float> && has_matmul<own<car::eigen_backend>>);
static_assert(!has_effect<own<car::eigen_backend>, float> && !has_family<own<car::eigen_backend>, float>);
static_assert(!has_loss<no_backend, float> && !has_softmax<no_backend, float> && !has_corrected<no_backend, float> &&
              !has_effect<no_backend, float> && !has_adjust<no_backend, float> && !has_matmul<no_backend> &&
              !has_family<no_backend, float>);

// cuda: on a device's memory alone, by calls of its own.
template <class T>
using on_device = car::matrix_view<T, car::device>;
template <class T>
constexpr bool has_cuda = requires(car::cuda_backend on, on_device<const T> in, on_device<T> out, car::device_labels labels,
                                   car::device_loss_arrays<T> arrays, car::device_effect_arrays<T> effects,
                                   car::vector_view<car::term_of<T>, car::device> row, car::image_view<T, car::device> images) {
    car::loss(on, in, in, labels, {}, arrays);
    car::softmax(on, in, out);
    car::log_softmax(on, in, out);
    car::log_sum_exp(on, in, row);
    car::corrected_softmax(on, in, in, out);
    car::corrected_softmax_vjp(on, in, in, {out, out});
    car::effect(on, in, in, labels, {}, effects);
    car::erase(on, images, images, car::constant_fill{}, images);
    car::erase(on, images, images, car::mean_fill{}, images);
    car::erase(on, images, images, car::noise_fill{}, images);
    car::erase(on, images, images, car::background_fill{images}, images);
};
static_assert(has_cuda<float> && has_cuda<double> && has_cuda<car::bfloat16> && has_cuda<car::float16>);
static_assert(!has_loss<car::cuda_backend, float> && !has_softmax<car::cuda_backend, float> && !has_corrected<car::cuda_backend, float> &&
              !has_effect<car::cuda_backend, float>);

static_assert(car::backend<car::scalar_backend> && !car::backend<int>);

} // namespace

TEST_CASE("a call without a backend runs on the default one") {
    const double p[1][3] = {{1, 2, 3}}, c[1][3] = {{0, 1, -1}};
    CHECK(car::loss(p, c, std::vector{1}).value == car::loss(car::default_backend, p, c, std::vector{1}).value);
}
