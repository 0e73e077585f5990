// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend.hpp"           // policies
#include "detail/check_loss.hpp" // shapes, labels, options, overlaps
#include "kernel/hvp.hpp"        // the backends' kernels
#include "options.hpp"           // loss_options, loss_arrays, loss_direction

namespace car::inline CAR_ABI {

/// Hessian-vector product of the loss: how its gradients change along a direction.
///
///     grad_p = d/dt g_p(p + t v_p, c + t v_c),   grad_c = d/dt g_c(p + t v_p, c + t v_c)   at t = 0
///
/// where g_p, g_c are the gradients that car::loss writes with the same options and inputs. What the flow holds fixed is a constant
/// here too: with stop_target, Y does not move along the direction (as where it is detached). For KL of one row, flow full,
/// s = v_p - E_P[v_p], r = v_p - v_c - E_P[v_p - v_c], D = E_Y[r], x = c - E_P[c]:
///
///     d g_p[k] = P_k (s_k x_k - E_P[s x] - sum_j (Y_j - P_j) r_j) + (Y_k - P_k)(r_k - D)
///     d g_c[k] = P_k s_k - Y_k (r_k - D)
///
/// Shapes    p, c, v_p, v_c, grad_p, grad_c: N x C, any strides; grad_p may be v_p itself and grad_c v_c itself unless gradients
///           accumulate. A direction that is not given is 0. labels, inputs: as car::loss.
/// Requires  as car::loss; of the outputs only grad_p and grad_c; else throws std::invalid_argument, nothing written.
/// Numerics  within 16u of the sum of the magnitudes of the terms above, in which s, r and x count with the magnitudes of their means and
///           P - Y with the scale of car::loss. A row of which the gradient is NaN gives NaN and is reported, a masked class or an
///           ignored row 0.
/// Cost      up to ten passes over a row, which is read from memory once where it fits in cache; allocates nothing.
/// Source    derived from OccludeNet, Eq. 4.
template <backend Backend, matrix P>
    requires logit<scalar_of<const P>> row_status loss_hvp(const Backend& on, const P& p, input<scalar_of<const P>> c,
                                                           const targets<scalar_of<const P>>& labels,
                                                           const loss_direction<scalar_of<const P>>& direction, const loss_options& options,
                                                           const loss_arrays<scalar_of<const P>>& arrays) {
        using T = scalar_of<const P>;
        const matrix_view<const T> factual = view(p);
        const detail::checker check("loss_hvp");

        detail::check_loss(check, factual, c, options.alpha != 0, labels, options, arrays);
        if (direction.p) check.shape(detail::footprint_of("direction.p", direction.p), factual.rows, factual.cols);
        if (direction.c) check.shape(detail::footprint_of("direction.c", direction.c), factual.rows, factual.cols);
        check.require(
            !(arrays.row_loss || arrays.row_cross_entropy || arrays.row_divergence || arrays.lse_p || arrays.lse_y || arrays.predicted),
            "an array of row terms is given, expected grad_p and grad_c alone");
        const detail::loss_outputs<T> out(check, factual, options);
        out.apart({out.matrix("grad_p", arrays.grad_p, direction.p.data), out.matrix("grad_c", arrays.grad_c, direction.c.data)}, factual,
                  c, labels, arrays, direction);

        return kernel::loss_hvp(on, factual, c, labels, direction, options, arrays);
    }

template <matrix P>
    requires logit<scalar_of<const P>> row_status loss_hvp(const P& p, input<scalar_of<const P>> c,
                                                           const targets<scalar_of<const P>>& labels,
                                                           const loss_direction<scalar_of<const P>>& direction, const loss_options& options,
                                                           const loss_arrays<scalar_of<const P>>& arrays) {
        return loss_hvp(default_backend, p, c, labels, direction, options, arrays);
    }

} // namespace car::inline CAR_ABI
