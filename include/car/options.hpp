// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "targets.hpp" // labels and masks
#include "view.hpp"    // the optional arrays of a call

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

/// How exact a result is. What each promises is in the contract of the call; what a backend does for it, in its documentation.
enum class precision { fast, accurate, highest };

/// Whether a gradient takes the place of what its array holds, or is added to it.
enum class gradients { overwrite, accumulate };

/// p and c are read as `softcap(logit_scale p) / temperature`, c then `strength` times; softcap(x) = cap tanh(x / cap).
struct loss_options {
    double alpha = 1;
    double strength = 1;
    double temperature = 1;
    double logit_scale = 1;
    std::optional<double> softcap = {}; ///< none unless given
    double label_smoothing = 0;         ///< of the cross-entropy alone; its mass goes to the classes that are not masked
    double z_weight = 0;                ///< of the square of log sum exp p
    std::int64_t ignore_index = -100;
    enum kl_target kl_target = kl_target::prediction;
    enum flow flow = flow::full;
    enum reduction reduction = reduction::mean;
    std::optional<double> divisor = {}; ///< of `mean`, instead of the weights' sum: for accumulated gradients
    enum empty empty = empty::zero;
    enum precision precision = precision::accurate;
    enum gradients gradients = gradients::overwrite;
};

/// The optional arrays of a call. Those that come first are written, then come the inputs.
template <class T>
struct loss_arrays {
    matrix_view<T> grad_p = {};                       ///< N x C: d value / d p
    matrix_view<T> grad_c = {};                       ///< N x C: d value / d c
    vector_view<term_of<T>> row_loss = {};            ///< N: weight (cross-entropy + alpha divergence + z_weight lse_p^2); 0 if ignored
    vector_view<term_of<T>> row_cross_entropy = {};   ///< N, without the weight, as the two below
    vector_view<term_of<T>> row_divergence = {};      ///< N
    vector_view<term_of<T>> lse_p = {};               ///< N: log sum exp of p as it is read
    vector_view<term_of<T>> lse_y = {};               ///< N: log sum exp of p - strength c
    vector_view<std::int64_t> predicted = {};         ///< N: the first class with the largest p; -1 where there is none, or ignored
    vector_view<const term_of<T>> upstream = {};      ///< N: factor of each row's gradients
    vector_view<const term_of<T>> weight = {};        ///< C: of each class. A row has its label's, or the mean of it over its labels
    vector_view<const term_of<T>> sample_weight = {}; ///< N
    mask_view row_mask = {};                          ///< N: false where a row is ignored
    mask_view class_mask = {};                        ///< C: false where a class is masked, as p = -inf does in one row
};

/// What is wrong with a row's values: every class masked, a NaN or an infinity where there is no answer, or, on a device, where it
/// cannot be refused before, a label that is no class. Values are never an error: they follow the contract and are reported.
enum class fault { none, masked_row, not_finite, bad_label };

/// The first row that has a fault, and how many have one.
struct row_status {
    enum fault fault = fault::none;
    std::ptrdiff_t row = -1;
    std::ptrdiff_t rows = 0;

    constexpr bool ok() const { return fault == fault::none; }
    friend constexpr bool operator==(const row_status&, const row_status&) = default;
};

/// A direction in the logits, of a second derivative. What is not given is 0.
template <class T>
struct loss_direction {
    matrix_view<const T> p = {}; ///< N x C
    matrix_view<const T> c = {}; ///< N x C
};

struct loss_result {
    double value = 0;
    double cross_entropy = 0; ///< reduced as the value is
    double divergence = 0;    ///< reduced as the value is, without alpha
    double z_loss = 0;        ///< the squares of lse_p, reduced as the value is, without z_weight
    double weight = 0;        ///< sum of the rows' weights: what `mean` divides by
    std::int64_t count = 0;   ///< rows that are not ignored
    std::int64_t correct = 0; ///< rows predicted as their label, or their likeliest label
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

/// What every member of the family returns. The terms of each are in a struct of its own.
struct family_result {
    double value = 0;       ///< sum or mean of the rows' losses by weight; NaN for reduction::none, by `empty` where no row counts
    double weight = 0;      ///< sum of the rows' weights: what `mean` divides by, unless there is a divisor
    std::int64_t count = 0; ///< rows that are not ignored
    row_status status = {};
};

/// Values as the formula has them, or with what the published program adds to it: see each member.
enum class formula { exact, as_published };

/// How the branches of a model of questions (q), images (v) and both (p) become one logit h. s is the sigmoid, Z = s(p) s(q) s(v).
///
///     sum        h = log s(p + q + v)      dh/dx = s(-(p + q + v))
///     harmonic   h = log(Z / (1 + Z))      dh/dx = s(-x) / (1 + Z)
///     gate       h = p s(q)                dh/dp = s(q),  dh/dq = p s(q) s(-q)        (RUBi's; there is no v)
enum class fusion { sum, harmonic, gate };

/// What the losses over environments return.
struct environments_result : family_result {
    double risk = 0;               ///< of the environments, summed or averaged over those that have a row
    double penalty = 0;            ///< of the environments, without its weight
    std::int64_t environments = 0; ///< that have a row
};

} // namespace car::inline CAR_ABI
