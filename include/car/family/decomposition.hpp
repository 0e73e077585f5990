// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../detail/arithmetic.hpp" // compensated_sum
#include "../detail/fusion.hpp"     // h(p, q, v)
#include "../detail/logit_op.hpp"   // shapes and loops

namespace car::inline CAR_ABI {

/// Parts of an effect, of logits with everything as it is (fact), with one thing taken away (partly) and with two (nothing).
///
///                                   car::decompose             scene graphs                 CF-VQA
///     total       fact - nothing    the total effect           TE                           TE
///     first       fact - partly     what the first thing does  TDE, the context taken away  TIE, image and question together taken away
///     second      partly - nothing  what the second does       NIE, the object labels too   NDE, the question too
enum class effect_part { total, first, second };

struct decomposition_options {
    enum effect_part part = effect_part::first;
};

/// Difference of logits with and without a part of their input.
///
///     z = fact - nothing (total), fact - partly (first), partly - nothing (second)
///
/// Scene graphs: fact = f(x, context, labels), partly = f(x, mean context, labels), nothing = f(x, mean context, mean labels), with
/// running means (car::running_mean). The gradient is upstream to the one and -upstream to the other.
///
/// Shapes    fact, partly, nothing, z: N x C, any strides; z may be one of the inputs.
/// Requires  one shape, C >= 1; else throws std::invalid_argument, nothing written.
/// Numerics  one rounding. fact = -inf: the class is masked, z = -inf, the others not read.
/// Cost      one pass; allocates nothing.
/// Source    Tang et al. 2020, Unbiased Scene Graph Generation from Biased Training.
template <matrix F>
    requires logit<scalar_of<const F>>
void decompose(const F& fact, input<scalar_of<const F>> partly, input<scalar_of<const F>> nothing, matrix_view<scalar_of<const F>> z,
               const decomposition_options& options = {}) {
    const detail::logit_op<scalar_of<const F>, 3, 1> op("decompose", {{{"fact", view(fact)}, {"partly", partly}, {"nothing", nothing}}},
                                                        {{{"z", z}}});
    const std::size_t from = options.part == effect_part::second ? 1 : 0, less = options.part == effect_part::first ? 1 : 2;
    op.run([&](std::ptrdiff_t i) {
        return [&op, from, less, i](std::ptrdiff_t k) -> std::array<double, 1> {
            return {op(0, i, k) == -detail::infinity ? -detail::infinity : op(from, i, k) - op(less, i, k)};
        };
    });
}

struct fusion_effect_options {
    enum fusion fusion = fusion::sum;
    double constant = 0; ///< what stands for a branch that is not looked at
    enum effect_part part = effect_part::first;
    enum formula formula = formula::exact;
};

/// The effects of counterfactual VQA from the logits of its branches: what it predicts with at test is `first`, the total indirect effect.
///
///     fact = h(p, q, v),   partly = h(constant, q, constant),   nothing = h(constant, constant, constant),   h as in car::fusion
///
/// Shapes    p, q, v, z: N x C, any strides; z may be one of the inputs. v is not read with fusion::gate, but must be there.
/// Requires  one shape, C >= 1, constant finite; else throws std::invalid_argument, nothing written.
/// Numerics  within 16u (|fact| + |partly| + |nothing|), u = 2^-53, and one rounding. A NaN or +inf gives NaN in its class; fact = -inf:
///           -inf. as_published: 1e-12 inside the logarithms of h, and no class is masked.
/// Cost      one pass, up to nine exp an element; allocates nothing.
/// Source    Niu et al. 2021, Counterfactual VQA. The comments of their program call `partly` nie, and tie.
template <matrix P>
    requires logit<scalar_of<const P>>
void fusion_effect(const P& p, input<scalar_of<const P>> q, input<scalar_of<const P>> v, matrix_view<scalar_of<const P>> z,
                   const fusion_effect_options& options = {}) {
    const detail::logit_op<scalar_of<const P>, 3, 1> op("fusion_effect", {{{"p", view(p)}, {"q", q}, {"v", v}}}, {{{"z", z}}});
    op.check.finite("constant", options.constant);
    const auto h = [&](double with_p, double with_q, double with_v) {
        return detail::fuse(options.fusion, options.formula, with_p, with_q, options.fusion == fusion::gate ? 0 : with_v).value;
    };
    const double x = options.constant;
    op.run([&](std::ptrdiff_t i) {
        return [&op, &h, &options, x, i](std::ptrdiff_t k) -> std::array<double, 1> {
            const double fact = h(op(0, i, k), op(1, i, k), op(2, i, k));
            if (fact == -detail::infinity) return {fact};
            const double partly = h(x, op(1, i, k), x), nothing = h(x, x, x);
            return {(options.part == effect_part::second ? partly : fact) - (options.part == effect_part::first ? partly : nothing)};
        };
    });
}

/// Running mean of features: what stands for a part of the input that is taken away.
///
///     mean_k <- (1 - ratio) mean_k + ratio (1/N) sum_i x[i,k]
///
/// Shapes    mean: D, read and written. x: N x D.
/// Requires  shapes that agree, D >= 1, ratio in [0, 1], mean apart from x; else throws std::invalid_argument, nothing written.
/// Numerics  within 4u (|mean| + mean of |x|), u = 2^-53, and one rounding. A NaN stays. N = 0 changes nothing.
/// Cost      x read once, by columns; allocates nothing.
/// Source    Tang et al. 2020, Unbiased Scene Graph Generation from Biased Training.
template <matrix X>
    requires logit<scalar_of<const X>>
void running_mean(vector_view<std::type_identity_t<scalar_of<const X>>> mean, const X& x, double ratio) {
    using T = scalar_of<const X>;
    const matrix_view<const T> features = view(x);
    const detail::checker check("running_mean");
    check.readable(detail::footprint_of("x", features));
    check.shape(detail::footprint_of("mean", mean), features.cols, 1);
    if (!(ratio >= 0 && ratio <= 1)) check.fail("ratio is " + std::to_string(ratio) + ", expected a number from 0 to 1");
    check.separate({{detail::footprint_of("mean", mean)}}, {detail::footprint_of("x", features)});
    for (std::ptrdiff_t k = 0; k != features.cols && features.rows != 0; ++k) {
        detail::compensated_sum sum;
        for (std::ptrdiff_t i = 0; i != features.rows; ++i) sum.add(static_cast<double>(features(i, k)));
        const double old = static_cast<double>(mean[k]);
        mean[k] = static_cast<T>(std::fma(ratio, sum.value() / static_cast<double>(features.rows) - old, old));
    }
}

} // namespace car::inline CAR_ABI
