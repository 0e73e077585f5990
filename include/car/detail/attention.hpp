// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../kernel/corrected.hpp" // the derivative of a softmax
#include "../kernel/matmul.hpp"    // products
#include "../kernel/softmax.hpp"   // the softmax of a row
#include "../options.hpp"          // gradients
#include "../workspace.hpp"        // where the matrices of a call lie
#include "elementary.hpp"          // infinity, log

#include <cstddef> // std::ptrdiff_t

namespace car::inline CAR_ABI {

/// What the prior of a dictionary does to the weights a of its entries. The published codes leave prior[k] a[k] as it is, which does
/// not sum to 1; divided by its sum it is the weight of the entry given the query.
enum class normalise { as_published, yes };

/// Of const T, what the rows are multiplied by; of T, the slopes of these. One that is not given is the identity, or left out.
template <class T>
struct attention_projections {
    matrix_view<T> query = {}; ///< columns of q x E
    matrix_view<T> key = {};   ///< columns of k x E
    matrix_view<T> value = {}; ///< columns of v x F
};

namespace detail {

struct attention_call {
    std::ptrdiff_t batch;
    double scale;
    enum normalise normalise;
    workspace* memory;
};

/// One sample's attention, in double. A projection that is not given is the identity.
struct attention_terms {
    matrix_view<const double> q, k, v, query, key, value;
    vector_view<const double> prior = {};
};

/// Where the slopes are added; what is not given is left out. Two of them may be one matrix, as two of the terms may be.
struct attention_slopes {
    matrix_view<double> q, k, v, query, key, value;
    vector_view<double> prior = {};
};

enum class passes { forward, both };

/// softmax(scale (q query) (k key)^T) (v value), the weights changed by the prior.
template <class Backend>
class attention_of_sample {
    Backend on_;
    attention_call call_;
    attention_terms in_;
    matrix_view<double> q_, k_, v_, weights_, slope_, slope_q_, slope_k_, slope_v_; // of what is projected; slope_: of the weights

    bool is_published() const { return in_.prior && call_.normalise == normalise::as_published; }

    matrix_view<const double> project(const matrix_view<const double>& x, const matrix_view<const double>& by,
                                      const matrix_view<double>& room) const {
        if (!by) return x;
        kernel::matmul(on_, x, by, room);
        return room;
    }
    template <class Each>
    void for_each_weight(Each each) const {
        for (std::ptrdiff_t i = 0; i != weights_.rows; ++i)
            for (std::ptrdiff_t j = 0; j != weights_.cols; ++j) each(weights_(i, j), i, j);
    }
    void weigh() const {
        if (is_published()) for_each_weight([&](double& weight, std::ptrdiff_t, std::ptrdiff_t j) { weight *= in_.prior[j]; });
    }
    /// Sends left right, the slope of x `by`, to x and to the projection.
    void send(const matrix_view<const double>& left, const matrix_view<const double>& right, double factor,
              const matrix_view<const double>& x, const matrix_view<const double>& by, const matrix_view<double>& room,
              const matrix_view<double>& to_x, const matrix_view<double>& to_by) const {
        if (!to_x && !to_by) return;
        if (!by) return kernel::matmul(on_, left, right, to_x, factor, gradients::accumulate);
        kernel::matmul(on_, left, right, room, factor);
        if (to_by) kernel::matmul(on_, transposed(x), room, to_by, 1, gradients::accumulate);
        if (to_x) kernel::matmul(on_, room, transposed(by), to_x, 1, gradients::accumulate);
    }

  public:
    /// Takes rooms for samples of so many queries and keys.
    template <class T>
    attention_of_sample(const Backend& on, const attention_call& call, passes wanted, arena& room, std::ptrdiff_t queries,
                        std::ptrdiff_t keys, const attention_projections<const T>& shapes)
        : on_(on), call_(call), weights_(room.matrix(queries, keys)) {
        const auto projected = [&](std::ptrdiff_t rows, const matrix_view<const T>& by, matrix_view<double>& value,
                                   matrix_view<double>& slope) {
            if (!by) return;
            value = room.matrix(rows, by.cols);
            if (wanted == passes::both) slope = room.matrix(rows, by.cols);
        };
        projected(queries, shapes.query, q_, slope_q_);
        projected(keys, shapes.key, k_, slope_k_);
        projected(keys, shapes.value, v_, slope_v_);
        if (wanted == passes::both) slope_ = room.matrix(queries, keys);
    }

    /// The weights of a sample.
    void score(const attention_terms& in) {
        in_ = in;
        const auto q = project(in.q, in.query, q_), k = project(in.k, in.key, k_);
        kernel::matmul(on_, q, transposed(k), weights_, call_.scale);
        if (in.prior && !is_published())
            for_each_weight([&](double& score, std::ptrdiff_t, std::ptrdiff_t j) {
                score = in.prior[j] == 0 ? -infinity : score + detail::log(in.prior[j]);
            });
        // In plain double: the scores are not known better than that.
        for (std::ptrdiff_t i = 0; i != weights_.rows; ++i)
            kernel::scalar_row::map(kernel::scalar_row::logits<double, double>{weights_.row(i)}, weights_.row(i),
                                    kernel::scalar_row::probability);
        project(in.v, in.value, v_);
    }

    /// What the queries attend to. After it, as_published, the sample has to be scored again before its slopes.
    void read(const matrix_view<double>& out) const {
        weigh();
        kernel::matmul(on_, weights_, in_.value ? matrix_view<const double>(v_) : in_.v, out);
    }

    /// Adds the slopes of sum upstream read.
    void add_slopes(const matrix_view<const double>& upstream, const attention_slopes& to) const {
        const matrix_view<const double> q = in_.query ? matrix_view<const double>(q_) : in_.q,
                                        k = in_.key ? matrix_view<const double>(k_) : in_.k,
                                        v = in_.value ? matrix_view<const double>(v_) : in_.v;
        kernel::matmul(on_, upstream, transposed(v), slope_);
        if (is_published())
            for_each_weight([&](const double& weight, std::ptrdiff_t i, std::ptrdiff_t j) {
                if (to.prior) to.prior[j] += weight * slope_(i, j);
                slope_(i, j) *= in_.prior[j];
            });
        kernel::corrected_softmax_vjp(scalar_backend{}, matrix_view<const double>(weights_), matrix_view<const double>(slope_), slope_, {},
                                      1.0, 1.0);
        if (to.prior && !is_published())
            for_each_weight([&](const double&, std::ptrdiff_t i, std::ptrdiff_t j) {
                if (in_.prior[j] != 0) to.prior[j] += slope_(i, j) / in_.prior[j];
            });
        weigh();
        send(transposed(weights_), upstream, 1, in_.v, in_.value, slope_v_, to.v, to.value);
        send(slope_, k, call_.scale, in_.q, in_.query, slope_q_, to.q, to.query);
        send(transposed(slope_), q, call_.scale, in_.k, in_.key, slope_k_, to.k, to.key);
    }
};

} // namespace detail

} // namespace car::inline CAR_ABI
