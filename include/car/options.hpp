// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "view.hpp" // the optional arrays of a call

#include <cstdint>  // std::int64_t
#include <optional> // a divisor, if there is one

namespace car::inline CAR_ABI {

/// Where the gradient of the divergence goes. These are different methods, not details.
///
///     flow                 d KL/d p_k              d KL/d c_k     held fixed
///     full                 P_k x_k + Y_k - P_k     P_k - Y_k      nothing (the paper's figure)
///     stop_target          P_k x_k                 0              Y
///     stop_counterfactual  P_k x_k + Y_k - P_k     0              c
///     stop_factual         Y_k - P_k               P_k - Y_k      P
///
/// with x_k = c_k - E_P[c].
enum class flow { full, stop_target, stop_counterfactual, stop_factual };

/// What the divergence measures Y against: the prediction P, as Eq. 4 prints it, or the label, as in Counterfactual
/// Attention Learning, where it is the cross-entropy of Y. `label` takes the flows `full` and `stop_counterfactual`.
enum class kl_target { prediction, label };

/// How the rows become one value. `none` asks for `row_loss`; the value is NaN then.
enum class reduction { none, sum, mean };

/// The mean over no row: 0, NaN or std::invalid_argument.
enum class empty { zero, nan, error };

/// p and c are read as `logit_scale / temperature` times themselves, c `strength` times that.
struct loss_options {
    double alpha = 1;
    double strength = 1;
    double temperature = 1;
    double logit_scale = 1;
    std::int64_t ignore_index = -100;
    enum kl_target kl_target = kl_target::prediction;
    enum flow flow = flow::full;
    enum reduction reduction = reduction::mean;
    std::optional<double> divisor = {}; ///< of `mean`, instead of the count of rows: for accumulated gradients
    enum empty empty = empty::zero;
};

/// The optional arrays of a call. All but `upstream` are written.
template <class T>
struct loss_arrays {
    matrix_view<T> grad_p = {};            ///< N x C: d value / d p
    matrix_view<T> grad_c = {};            ///< N x C: d value / d c
    vector_view<T> row_loss = {};          ///< N: cross-entropy + alpha * divergence; 0 where ignored
    vector_view<T> row_cross_entropy = {}; ///< N
    vector_view<T> row_divergence = {};    ///< N
    vector_view<const T> upstream = {};    ///< N: factor of each row's gradients; 1 where not given
};

/// What is wrong with a row's values: every class masked, or a NaN or an infinity where there is no answer. Values are never an
/// error: they follow the contract and are reported.
enum class fault { none, masked_row, not_finite };

/// The first row that has a fault, and how many have one.
struct row_status {
    enum fault fault = fault::none;
    std::ptrdiff_t row = -1;
    std::ptrdiff_t rows = 0;

    constexpr bool ok() const { return fault == fault::none; }
    friend constexpr bool operator==(const row_status&, const row_status&) = default;
};

struct loss_result {
    double value = 0;
    double cross_entropy = 0; ///< reduced as the value is
    double divergence = 0;    ///< reduced as the value is, without alpha
    std::int64_t count = 0;   ///< rows that are not ignored
    row_status status = {};
};

/// The logits are read divided by the temperature.
struct softmax_options {
    double temperature = 1;
};

/// p - strength c, divided by the temperature.
struct corrected_options {
    double strength = 1;
    double temperature = 1;
};

} // namespace car::inline CAR_ABI
