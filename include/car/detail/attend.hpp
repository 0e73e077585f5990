// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../float_types.hpp" // term_of
#include "attention.hpp"      // one sample
#include "check.hpp"          // shapes, overlaps

#include <string> // messages

namespace car::inline CAR_ABI {

namespace detail {

/// The arrays of one attention: what it reads, or the slopes of that.
template <class T, class Term>
struct attention_arrays {
    matrix_view<T> q, k, v;
    attention_projections<T> by;
    vector_view<Term> prior = {};
};

/// Projections in double, or sums of their slopes.
template <template <class> class In, class T>
struct wide_projections {
    In<T> query, key, value;

    template <class U>
    wide_projections(arena& room, const attention_projections<U>& by) : query(room, by.query), key(room, by.key), value(room, by.value) {}
    template <class U, class To>
    void begin(const attention_projections<U>& by, To& to) {
        to.query = query.begin(by.query);
        to.key = key.begin(by.key);
        to.value = value.begin(by.value);
    }
    template <class U>
    void finish(const attention_projections<U>& by) const {
        query.finish(by.query);
        key.finish(by.key);
        value.finish(by.value);
    }
};

template <class T>
matrix_view<T> as_column(const vector_view<T>& v) {
    return {v.data, v.size, 1, v.stride};
}
/// Attention sample for sample: y is written, or the slopes of sum upstream y.
template <class Backend, class T>
void attend(const Backend& on, const attention_call& call, const attention_arrays<const T, const term_of<T>>& in, passes wanted,
            const matrix_view<T>& y, const matrix_view<const T>& upstream, const attention_arrays<T, term_of<T>>& to) {
    struct rooms {
        widened<T> q, k, v, upstream;
        wide_projections<widened, T> by;
        widened<term_of<T>> prior;
        summed<T> y, grad_q, grad_k, grad_v;
        wide_projections<summed, T> grad_by;
        summed<term_of<T>> grad_prior;
        attention_of_sample<Backend> one;
    };
    const std::ptrdiff_t n = call.batch;
    const bool is_shared = to.k.data == to.v.data; // one dictionary is keys and values
    const auto layout = [&](arena& room) {
        return rooms{{room, in.q, n},
                     {room, in.k, n},
                     {room, in.v, n},
                     {room, upstream, n},
                     {room, in.by},
                     {room, as_column(in.prior)},
                     {room, y, n},
                     {room, to.q, n},
                     {room, to.k, n},
                     {room, to.v, n},
                     {room, to.by},
                     {room, as_column(to.prior)},
                     {on, call, wanted, room, in.q.rows / n, in.k.rows / n, in.by}};
    };
    with_rooms(call.memory, layout, [&](rooms r) {
        attention_terms terms;
        attention_slopes slopes;
        r.by.begin(in.by, terms);
        r.grad_by.begin(to.by, slopes);
        const auto prior = r.prior.begin(as_column(in.prior));
        const auto grad_prior = r.grad_prior.begin(as_column(to.prior));
        terms.prior = as_vector(prior);
        slopes.prior = as_vector(grad_prior);
        for (std::ptrdiff_t b = 0; b != n; ++b) {
            const auto of = [&](const auto& m) { return sample_of(m, b, n); };
            terms.q = r.q.begin(of(in.q));
            terms.k = r.k.begin(of(in.k));
            terms.v = r.v.begin(of(in.v));
            r.one.score(terms);
            if (wanted == passes::forward) {
                r.one.read(r.y.begin(of(y)));
                r.y.finish(of(y));
                continue;
            }
            slopes.q = r.grad_q.begin(of(to.q));
            slopes.k = r.grad_k.begin(of(to.k));
            slopes.v = is_shared ? slopes.k : r.grad_v.begin(of(to.v));
            r.one.add_slopes(r.upstream.begin(of(upstream)), slopes);
            r.grad_q.finish(of(to.q));
            r.grad_k.finish(of(to.k));
            if (!is_shared) r.grad_v.finish(of(to.v));
        }
        r.grad_by.finish(to.by);
        r.grad_prior.finish(as_column(to.prior));
    });
}

// The checks that attentions share.

inline void check_batch(const checker& check, std::ptrdiff_t batch) {
    if (batch < 1) check.fail("batch is " + std::to_string(batch) + ", expected at least 1");
}

/// The rows of each of the samples.
template <class T>
std::ptrdiff_t sample_rows(const checker& check, const char* name, const matrix_view<T>& m, std::ptrdiff_t batch) {
    check.readable(footprint_of(name, m));
    if (m.rows % batch != 0)
        check.fail(std::string(name) + " has " + std::to_string(m.rows) + " rows, expected a multiple of batch " + std::to_string(batch));
    return m.rows / batch;
}

/// The keys of a sample: at least one, or there is nothing to attend to.
template <class T>
std::ptrdiff_t sample_keys(const checker& check, const char* name, const matrix_view<T>& m, std::ptrdiff_t batch) {
    const std::ptrdiff_t keys = sample_rows(check, name, m, batch);
    if (keys < 1) check.fail(std::string(name) + " has no rows, expected at least one for each sample");
    return keys;
}

/// The columns of x after a projection.
template <class T>
std::ptrdiff_t projected_cols(const checker& check, const char* name, const matrix_view<const T>& x, const matrix_view<const T>& by) {
    if (by) check.shape(footprint_of(name, by), x.cols, by.cols);
    return by ? by.cols : x.cols;
}

/// The columns of queries and of keys, which must be as many; without projections, or after them.
template <class T>
std::ptrdiff_t check_projections(const checker& check, const char* name_of_q, const matrix_view<const T>& q, const char* name_of_k,
                                 const matrix_view<const T>& k, const attention_projections<const T>& by) {
    const std::ptrdiff_t width = projected_cols(check, "query", q, by.query), of_key = projected_cols(check, "key", k, by.key);
    if (of_key != width)
        check.fail(std::string(by.key ? "key" : name_of_k) + " has " + std::to_string(of_key) + " columns, expected " +
                   std::to_string(width) + ", as " + (by.query ? "query" : name_of_q) + " has");
    return width;
}

/// What is written, or the upstream of what is: of the shape of the op's result.
template <class T>
void check_output(const checker& check, passes wanted, const matrix_view<T>& y, const matrix_view<const T>& upstream, std::ptrdiff_t rows,
                  std::ptrdiff_t cols) {
    if (wanted == passes::forward) {
        check.shape(footprint_of("y", y), rows, cols);
    } else {
        check.shape(footprint_of("upstream", upstream), rows, cols);
    }
}

/// A gradient is not given, or has the shape of what it is of.
template <class T>
void check_gradient(const checker& check, const char* name, const matrix_view<T>& gradient, const matrix_view<const T>& of) {
    if (gradient) check.shape(footprint_of(name, gradient), of.rows, of.cols);
}
template <class T>
void check_gradients(const checker& check, const attention_projections<T>& gradients, const attention_projections<const T>& of) {
    check_gradient(check, "grad_query", gradients.query, of.query);
    check_gradient(check, "grad_key", gradients.key, of.key);
    check_gradient(check, "grad_value", gradients.value, of.value);
}

} // namespace detail

} // namespace car::inline CAR_ABI
