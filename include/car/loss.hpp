// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend.hpp"           // policies
#include "detail/check_loss.hpp" // shapes, labels, options, overlaps
#include "kernel/loss.hpp"       // the backends' kernels
#include "options.hpp"           // loss_options, loss_arrays, loss_result

namespace car::inline CAR_ABI {

/// The loss of Causal Action Recognition: cross-entropy plus a divergence between the prediction and the corrected prediction.
///
///     p' = softcap(logit_scale p) / temperature,  c' = strength softcap(logit_scale c) / temperature,  softcap(x) = cap tanh(x / cap)
///     P = softmax(p'),  Y = softmax(p' - c')
///     row_loss[i] = w[i] (CE[i] + alpha divergence[i] + z_weight lse_p[i]^2),   lse_p = log sum exp p',  lse_y = log sum exp (p' - c')
///     CE[i] = - sum_k t[i,k] log P[i,k],   t = (1 - label_smoothing) label + label_smoothing / (classes that are not masked)
///     divergence[i] = KL(P[i] || Y[i]) = sum_k P[i,k] log(P[i,k] / Y[i,k])   (kl_target::prediction)
///                   = KL(label || Y[i]), which is -log Y[i, labels[i]]       (kl_target::label)
///     w[i] = weight[labels[i]] sample_weight[i],   value = sum of row_loss, or that over the sum of w or over `divisor`
///
/// Shapes    p, c, grad_p, grad_c: N x C, any strides, grad_p may be p itself and grad_c c itself unless gradients accumulate. labels: N
///           integers of any type, or N x C probabilities of the terms' type. weight, class_mask: C. Every other array: N, optional.
/// Requires  shapes that agree, C >= 1, labels in [0, C) or ignore_index, outputs that share no memory, finite options, temperature,
///           logit_scale, softcap and divisor > 0, label_smoothing in [0, 1], finite weights >= 0, row_loss with reduction::none, flow
///           full or stop_counterfactual with kl_target::label; else throws std::invalid_argument, nothing written.
/// Numerics  Rows of |logits| <= 1e6, C <= 2^20, u = 2^-24 (2^-53 for double) and one rounding more in a two-byte type. accurate: CE within
///           4u, KL within 16u relative, never negative, exactly 0 for a constant c; d CE within 8u of |P - label|; d KL/dp within 16u of
///           P((1 + |w|) phi(w) + KL); d KL/dc within 8u of |P - Y| + Y(|x| + E|x| + KL), x = c - E_P[c], w = x + KL; all plus 2 of the
///           least normal number, before alpha, weights and upstream multiply it, whole gradients 2u of their value more. highest: 1.001u
///           of each, terms and gradients alike. fast: CE within 64u, KL and its slopes within 96u + 2u/P_max. Probabilities and smoothing:
///           CE within 8u and KL against a label within 18u of the magnitudes of their terms, d CE within 10u of P + t. p', c' as rounded
///           to double are meant.
///           Row i depends on row i alone: the same bits in any batch, order, layout or thread.
///           Ignored row (label, row_mask or a weight of 0): 0, gradients 0. Row of -inf or class_mask: NaN, gradients 0, reported.
///           NaN or +inf in p: the row's loss and gradients NaN, reported. p = -inf or class_mask: class masked, c not read; masked
///           label: CE +inf. c infinite on a live class: KL +inf (NaN if every live c is the same infinity), CE finite, the divergence's
///           part of the gradients NaN. alpha = 0: c is not read, but for lse_y, and may be an empty view.
/// Cost      two passes over a row, one more for gradients, one to three more where it is measured again (as rows of double always are),
///           read from memory once where the row fits in cache; one exp per element, pass and term; allocates nothing. On simd a row is
///           swept once, in pieces of 4 KiB, once more for gradients, and again where float may not do, or the centre was far off;
///           rows of matrices that lie column after column are copied out of them first, in 64 KiB of stack.
/// Source    OccludeNet, Eq. 2 to 4; kl_target::label: Counterfactual Attention Learning, Eq. 5. The names are PyTorch's where it has
///           them; but a row has one weight here, also where its target is soft.
template <backend Backend, matrix P>
    requires logit<scalar_of<const P>> loss_result loss(const Backend& on, const P& p, input<scalar_of<const P>> c,
                                                        const targets<scalar_of<const P>>& labels, const loss_options& options = {},
                                                        const loss_arrays<scalar_of<const P>>& arrays = {}) {
        using T = scalar_of<const P>;
        const matrix_view<const T> factual = view(p);
        const detail::checker check("loss");

        detail::check_loss(check, factual, c, options.alpha != 0 || arrays.lse_y, labels, options, arrays);
        check.require(options.reduction != reduction::none || arrays.row_loss || factual.rows == 0,
                      "row_loss is null, expected N elements for reduction::none");
        const detail::loss_outputs<T> out(check, factual, options);
        out.apart({out.matrix("grad_p", arrays.grad_p, factual.data), out.matrix("grad_c", arrays.grad_c, c.data),
                   out.terms("row_loss", arrays.row_loss), out.terms("row_cross_entropy", arrays.row_cross_entropy),
                   out.terms("row_divergence", arrays.row_divergence), out.terms("lse_p", arrays.lse_p), out.terms("lse_y", arrays.lse_y),
                   out.terms("predicted", arrays.predicted)},
                  factual, c, labels, arrays);

        return kernel::loss(on, factual, c, labels, options, arrays);
    }

template <matrix P>
    requires logit<scalar_of<const P>> loss_result loss(const P& p, input<scalar_of<const P>> c, const targets<scalar_of<const P>>& labels,
                                                        const loss_options& options = {},
                                                        const loss_arrays<scalar_of<const P>>& arrays = {}) {
        return loss(default_backend, p, c, labels, options, arrays);
    }

} // namespace car::inline CAR_ABI
