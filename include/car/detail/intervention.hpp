// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend.hpp" // attention, its checks

#include <string> // messages

namespace car::inline CAR_ABI {

struct intervention_options {
    std::ptrdiff_t batch = 1;    ///< B
    double scale = 1;            ///< of the scores
    workspace* memory = nullptr; ///< used again by every call that is given it
};

namespace detail {

/// The arrays of an intervention: what it reads, or the slopes of that.
template <class T>
struct intervention_arrays {
    matrix_view<T> t, v, approximator;
    const char *of_t = "t", *of_v = "v"; // what these are called
};

/// Everything that is wrong with a call; the queries of each sample.
template <class T>
std::ptrdiff_t check_intervention(const checker& check, const intervention_arrays<const T>& in, passes wanted, const matrix_view<T>& y,
                                  const matrix_view<const T>& upstream, const intervention_arrays<T>& to,
                                  const intervention_options& options) {
    check_batch(check, options.batch);
    check.finite("scale", options.scale);
    check.readable(footprint_of(in.of_t, in.t));
    sample_keys(check, in.of_v, in.v, options.batch);
    check.shape(footprint_of(in.of_v, in.v), in.v.rows, in.t.cols);
    if (in.approximator) check.shape(footprint_of("approximator", in.approximator), 2 * in.t.cols, in.approximator.cols);
    const std::ptrdiff_t rows = wanted == passes::forward ? y.rows : upstream.rows, queries = rows / options.batch;
    if (in.t.rows != queries && in.t.rows != rows)
        check.fail(std::string(in.of_t) + " has " + std::to_string(in.t.rows) + " rows, expected " + std::to_string(queries) +
                   (options.batch == 1 ? "" : ", or " + std::to_string(rows) + " for all samples"));
    check_output(check, wanted, y, upstream, queries * options.batch, in.approximator ? in.approximator.cols : 2 * in.t.cols);
    check_gradient(check, to.of_t, to.t, in.t);
    check_gradient(check, to.of_v, to.v, in.v);
    check_gradient(check, "grad_approximator", to.approximator, in.approximator);
    check.separate({{footprint_of("y", y)},
                    {footprint_of(to.of_t, to.t)},
                    {footprint_of(to.of_v, to.v)},
                    {footprint_of("grad_approximator", to.approximator)}},
                   {footprint_of(in.of_t, in.t), footprint_of(in.of_v, in.v), footprint_of("approximator", in.approximator),
                    footprint_of("upstream", upstream)});
    return queries;
}

/// Sample for sample: y = [t, softmax(scale t v^T) v] approximator is written, or the slopes of sum upstream y.
template <class Backend, class T>
void intervene(const char* op, const Backend& on, const intervention_options& options, const intervention_arrays<const T>& in,
               passes wanted, const matrix_view<T>& y, const matrix_view<const T>& upstream, const intervention_arrays<T>& to) {
    struct rooms {
        widened<T> t, v, by, upstream;
        summed<T> y, grad_t, grad_v, grad_by;
        matrix_view<double> attended, slope;
        attention_of_sample<Backend> one;
    };
    const std::ptrdiff_t queries = check_intervention<T>(checker(op), in, wanted, y, upstream, to, options);
    const std::ptrdiff_t n = options.batch, width = in.t.cols, samples_of_t = in.t.rows == queries ? 1 : n;
    const attention_call call{n, options.scale, normalise::yes, options.memory};
    const auto layout = [&](arena& room) {
        return rooms{{room, in.t, samples_of_t},
                     {room, in.v, n},
                     {room, in.approximator},
                     {room, upstream, n},
                     {room, y, n},
                     {room, to.t, samples_of_t},
                     {room, to.v, n},
                     {room, to.approximator},
                     room.matrix(queries, width),
                     room.matrix(queries, width),
                     {on, call, wanted, room, queries, in.v.rows / n, attention_projections<const T>{}}};
    };
    const auto top = [&](auto m) {
        if (m) m.rows = width;
        return m;
    };
    const auto bottom = [&](auto m) {
        return m ? decltype(m)(m.data + width * m.row_stride, width, m.cols, m.row_stride, m.col_stride) : m;
    };
    const auto left = [&](const auto& m) { return transposed(top(transposed(m))); };
    const auto right = [&](const auto& m) { return transposed(bottom(transposed(m))); };
    with_rooms(options.memory, layout, [&](rooms r) {
        attention_terms terms;
        attention_slopes slopes;
        const auto by = r.by.begin(in.approximator);
        const auto grad_by = r.grad_by.begin(to.approximator);
        for (std::ptrdiff_t b = 0; b != n; ++b) {
            const auto of = [&](const auto& all) { return sample_of(all, b, n); };
            const auto of_t = [&](const auto& all) { return samples_of_t == 1 ? all : of(all); };
            const bool is_first = samples_of_t == n || b == 0, is_last = samples_of_t == n || b == n - 1;
            if (is_first) terms.q = r.t.begin(of_t(in.t));
            terms.k = terms.v = r.v.begin(of(in.v));
            r.one.score(terms);
            if (wanted == passes::forward) {
                const auto out = r.y.begin(of(y));
                if (by) {
                    r.one.read(r.attended);
                    kernel::matmul(on, terms.q, top(by), out);
                    kernel::matmul(on, r.attended, bottom(by), out, 1, gradients::accumulate);
                } else {
                    add(terms.q, left(out));
                    r.one.read(right(out));
                }
                r.y.finish(of(y));
                continue;
            }
            const auto slope = r.upstream.begin(of(upstream));
            if (is_first) slopes.q = r.grad_t.begin(of_t(to.t));
            slopes.k = slopes.v = r.grad_v.begin(of(to.v));
            if (by) {
                if (slopes.q) kernel::matmul(on, slope, transposed(top(by)), slopes.q, 1, gradients::accumulate);
                kernel::matmul(on, slope, transposed(bottom(by)), r.slope);
                if (grad_by) {
                    r.one.read(r.attended);
                    kernel::matmul(on, transposed(terms.q), slope, top(grad_by), 1, gradients::accumulate);
                    kernel::matmul(on, transposed(matrix_view<const double>(r.attended)), slope, bottom(grad_by), 1, gradients::accumulate);
                }
                r.one.add_slopes(r.slope, slopes);
            } else {
                if (slopes.q) add(left(slope), slopes.q);
                r.one.add_slopes(right(slope), slopes);
            }
            if (is_last) r.grad_t.finish(of_t(to.t));
            r.grad_v.finish(of(to.v));
        }
        r.grad_by.finish(to.approximator);
    });
}

} // namespace detail

} // namespace car::inline CAR_ABI
