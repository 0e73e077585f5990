// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../detail/logit_op.hpp" // shapes and loops

#include <algorithm> // std::max
#include <cmath>     // std::fma
#include <optional>  // a plausibility, if there is one

namespace car::inline CAR_ABI {

struct guidance_options {
    double strength = 1;                     ///< g
    std::optional<double> plausibility = {}; ///< a class less likely than this times the likeliest is masked; above 0, at most 1
};

/// Where the gradients of guidance go; any may be left out.
template <class T>
struct guidance_gradients {
    matrix_view<T> grad_p = {};
    matrix_view<T> grad_c = {};
    matrix_view<T> grad_d = {};
};

namespace detail {

inline void check_guidance(const checker& check, const guidance_options& options) {
    check.finite("strength", options.strength);
    if (options.plausibility && !(*options.plausibility > 0 && *options.plausibility <= 1))
        check.fail("plausibility is " + std::to_string(*options.plausibility) + ", expected a number above 0, at most 1");
}

/// The least p of a row that is not masked.
template <class Value>
double plausible(std::ptrdiff_t classes, const guidance_options& options, Value p) {
    if (!options.plausibility) return -infinity;
    double most = -infinity;
    for (std::ptrdiff_t k = 0; k != classes; ++k) most = std::max(most, p(k));
    return most + log(*options.plausibility);
}

} // namespace detail

/// Contrastive guidance: what the factual logits say beyond the counterfactual ones, g times more.
///
///     z = p + g (p - c) = (1 + g) p - g c;   with a second counterfactual d: z = p + g ((p - c) + (p - d)) = (1 + 2g) p - g c - g d
///     z_k = -inf where p_k < max p + log(plausibility)
///
/// Shapes    p, c, z, and d where it is given: N x C, any strides; z may be one of the inputs. One row of raw memory is
///           car::matrix_view(data, 1, size).
/// Requires  one shape, C >= 1, strength finite, plausibility above 0 and at most 1; else throws std::invalid_argument, nothing written.
/// Numerics  error at most 4u (|p| + |g| (|p - c| + |p - d|)), u = 2^-53, and one rounding to the type of z. p = -inf: z = -inf, the
///           others not read. A NaN stays in its class, unless it is in p and a plausibility is asked for: then others stay as they are.
/// Cost      one pass over a row, two with a plausibility; allocates nothing.
/// Source    Li et al. 2023, Contrastive Decoding (plausibility); Ho and Salimans 2022, Classifier-Free Guidance; CausalMM (two
///           branches).
template <matrix P>
    requires logit<scalar_of<const P>>
void guidance(const P& p, input<scalar_of<const P>> c, matrix_view<scalar_of<const P>> z, const guidance_options& options = {},
              input<scalar_of<const P>> d = {}) {
    using T = scalar_of<const P>;
    const bool two = static_cast<bool>(d);
    const detail::logit_op<T, 3, 1> op("guidance", {{{"p", view(p)}, {"c", c}, {"d", two ? d : c}}}, {{{"z", z}}});
    detail::check_guidance(op.check, options);
    op.run([&](std::ptrdiff_t i) {
        const double least = detail::plausible(op.classes(), options, [&](std::ptrdiff_t k) { return op(0, i, k); });
        return [&op, &options, two, least, i](std::ptrdiff_t k) -> std::array<double, 1> {
            const double factual = op(0, i, k);
            if (factual == -detail::infinity || factual < least) return {-detail::infinity};
            const double ahead = factual - op(1, i, k);
            return {std::fma(options.strength, two ? ahead + (factual - op(2, i, k)) : ahead, factual)};
        };
    });
}

/// Vector-Jacobian product of guidance; the mask, which p sets, is held fixed.
///
///     grad_p = (1 + g) upstream, (1 + 2g) upstream with d;   grad_c = grad_d = -g upstream;   0 where the class is masked
///
/// Shapes    p, upstream, grad_p, grad_c, grad_d: N x C; one gradient may be upstream itself. Whether d was given, grad_d says.
/// Requires  as guidance.
/// Numerics  2u and one rounding.
/// Cost      as guidance.
template <matrix P>
    requires logit<scalar_of<const P>>
void guidance_vjp(const P& p, input<scalar_of<const P>> upstream, const guidance_gradients<scalar_of<const P>>& gradients,
                  const guidance_options& options = {}) {
    using T = scalar_of<const P>;
    const detail::logit_op<T, 2, 3> op("guidance_vjp", {{{"p", view(p)}, {"upstream", upstream}}},
                                       {{{"grad_p", gradients.grad_p}, {"grad_c", gradients.grad_c}, {"grad_d", gradients.grad_d}}});
    detail::check_guidance(op.check, options);
    const double g = options.strength, kept = 1 + (gradients.grad_d ? 2 * g : g);
    op.run([&](std::ptrdiff_t i) {
        const double least = detail::plausible(op.classes(), options, [&](std::ptrdiff_t k) { return op(0, i, k); });
        return [&op, g, kept, least, i](std::ptrdiff_t k) -> std::array<double, 3> {
            const double factual = op(0, i, k), above = op(1, i, k);
            if (factual == -detail::infinity || factual < least) return {0, 0, 0};
            return {kept * above, -g * above, -g * above};
        };
    });
}

} // namespace car::inline CAR_ABI
