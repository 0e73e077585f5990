// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend.hpp"      // policies
#include "detail/check.hpp" // shapes, labels, overlaps
#include "kernel/loss.hpp"  // the backends' kernels
#include "options.hpp"      // loss_options, loss_arrays, loss_result

#include <cmath>  // std::abs
#include <string> // messages

namespace car::inline CAR_ABI {

/// The loss of Causal Action Recognition: cross-entropy plus a divergence between the prediction and the corrected prediction.
///
///     P = softmax(a p),  Y = softmax(a (p - strength c)),  a = logit_scale / temperature
///     row_loss[i] = CE[i] + alpha * divergence[i],   CE[i] = -log P[i, labels[i]]
///     divergence[i] = KL(P[i] || Y[i]) = sum_k P[i,k] log(P[i,k] / Y[i,k])   (kl_target::prediction)
///                   = -log Y[i, labels[i]]                                   (kl_target::label)
///     value = sum of the rows, or their mean over the rows that are not ignored (or over `divisor`)
///
/// Shapes    p, c, grad_p, grad_c: N x C, any strides, grad_p may be p itself and grad_c c itself. labels: N integers of any
///           type. row_loss, row_cross_entropy, row_divergence, upstream: N. Every array but p, c, labels is optional.
/// Requires  shapes that agree, C >= 1, labels in [0, C) or ignore_index, outputs that share no memory, finite options,
///           temperature, logit_scale and divisor > 0, row_loss with reduction::none, flow full or stop_counterfactual with
///           kl_target::label; else throws std::invalid_argument, nothing written.
/// Numerics  double inside. Rows of |logits| <= 1e6, u = 2^-24 or 2^-53: CE within 4u, KL within 16u relative, never negative,
///           exactly 0 for a constant c; d CE within 8u of |P - label|; d KL/dp within 16u of P((1 + |w|) phi(w) + KL); d KL/dc
///           within 8u of |P - Y| + Y(|x| + E|x| + KL), x = c - E_P[c], w = x + KL; all plus 2 of the least normal number.
///           Row i depends on row i alone. With a temperature or logit_scale other than 1 the scaled, rounded logits are meant.
///           Ignored row: 0, gradients 0. Row of -inf: NaN, gradients 0, reported. NaN or +inf in p: the row's loss and gradients
///           NaN, reported. p = -inf: class masked, c not read; masked label: CE +inf. c infinite on a live class: KL +inf
///           (NaN if every live c is the same infinity), CE finite, the divergence's part of the gradients NaN.
///           alpha = 0: c is not read and may be an empty view.
/// Cost      forward: each input read once from memory; gradients: once more. One exp per element and term; allocates nothing.
/// Source    OccludeNet, Eq. 2 to 4; kl_target::label: Counterfactual Attention Learning, Eq. 5.
template <backend Backend, matrix P>
loss_result loss(const Backend& on, const P& p, input<scalar_of<const P>> c, const label_view& labels, const loss_options& options = {},
                 const loss_arrays<scalar_of<const P>>& arrays = {}) {
    using T = scalar_of<const P>;
    const matrix_view<const T> factual = view(p);
    const std::ptrdiff_t rows = factual.rows, classes = factual.cols;
    const detail::checker check("loss");

    check.readable(detail::footprint_of("p", factual));
    const bool reads_c = options.alpha != 0 || c.data != nullptr;
    if (reads_c) check.shape(detail::footprint_of("c", c), rows, classes);
    if (arrays.grad_p) check.shape(detail::footprint_of("grad_p", arrays.grad_p), rows, classes);
    if (arrays.grad_c) check.shape(detail::footprint_of("grad_c", arrays.grad_c), rows, classes);
    if (arrays.row_loss) check.shape(detail::footprint_of("row_loss", arrays.row_loss), rows, 1);
    if (arrays.row_cross_entropy) check.shape(detail::footprint_of("row_cross_entropy", arrays.row_cross_entropy), rows, 1);
    if (arrays.row_divergence) check.shape(detail::footprint_of("row_divergence", arrays.row_divergence), rows, 1);
    if (arrays.upstream) check.shape(detail::footprint_of("upstream", arrays.upstream), rows, 1);

    check.finite("alpha", options.alpha);
    check.finite("strength", options.strength);
    check.positive("temperature", options.temperature);
    check.positive("logit_scale", options.logit_scale);
    if (options.divisor) check.positive("divisor", *options.divisor);
    check.require(options.reduction != reduction::none || arrays.row_loss || rows == 0,
                  "row_loss is null, expected N elements for reduction::none");
    check.require(options.kl_target == kl_target::prediction || options.flow == flow::full || options.flow == flow::stop_counterfactual,
                  "flow is one that kl_target::label does not have, expected full or stop_counterfactual");

    check.labels(labels, rows, classes, options.ignore_index);
    check.separate({{detail::footprint_of("grad_p", arrays.grad_p), factual.data},
                    {detail::footprint_of("grad_c", arrays.grad_c), c.data},
                    {detail::footprint_of("row_loss", arrays.row_loss)},
                    {detail::footprint_of("row_cross_entropy", arrays.row_cross_entropy)},
                    {detail::footprint_of("row_divergence", arrays.row_divergence)}},
                   {detail::footprint_of("p", factual), detail::footprint_of("c", c), detail::footprint_of("labels", labels),
                    detail::footprint_of("upstream", arrays.upstream)});
    if (options.empty == empty::error && options.reduction == reduction::mean && !options.divisor) {
        bool counted = false;
        for (std::ptrdiff_t i = 0; i != rows && !counted; ++i) counted = labels[i] != options.ignore_index;
        check.require(counted, "labels are all ignored, expected at least one row for the mean");
    }

    return kernel::loss(on, factual, c, labels, options, arrays);
}

template <matrix P>
loss_result loss(const P& p, input<scalar_of<const P>> c, const label_view& labels, const loss_options& options = {},
                 const loss_arrays<scalar_of<const P>>& arrays = {}) {
    return loss(default_backend, p, c, labels, options, arrays);
}

} // namespace car::inline CAR_ABI
