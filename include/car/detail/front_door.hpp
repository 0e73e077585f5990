// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend.hpp" // attention, its checks

namespace car::inline CAR_ABI {

struct front_door_options {
    std::ptrdiff_t batch = 1;    ///< B
    double scale = 1;            ///< of the scores
    workspace* memory = nullptr; ///< used again by every call that is given it
};

/// Of const T, the projections of the two attentions; of T, the slopes of these. One that is not given is the identity, or left out.
template <class T>
struct front_door_projections {
    attention_projections<T> first = {};  ///< queries m, keys and values x
    attention_projections<T> second = {}; ///< queries x, keys m, values those that the mediator has read
};

template <class T>
struct front_door_gradients {
    matrix_view<T> grad_x = {}; ///< as x, and so on; what is not given is left out
    matrix_view<T> grad_m = {};
    front_door_projections<T> projections = {};
};

namespace detail {

template <class T>
struct front_door_arrays {
    matrix_view<T> x, m;
    front_door_projections<T> by;
};

/// Everything that is wrong with a call; the columns of what the mediator reads.
template <class T>
std::ptrdiff_t check_front_door(const checker& check, const front_door_arrays<const T>& in, passes wanted, const matrix_view<T>& y,
                                const matrix_view<const T>& upstream, const front_door_arrays<T>& to, const front_door_options& options) {
    const auto &first = in.by.first, &second = in.by.second;
    check_batch(check, options.batch);
    sample_keys(check, "x", in.x, options.batch);
    sample_keys(check, "m", in.m, options.batch);
    check_projections(check, "m", in.m, "x", in.x, first);
    check_projections(check, "x", in.x, "m", in.m, second);
    const std::ptrdiff_t read = projected_cols(check, "value", in.x, first.value);
    const std::ptrdiff_t cols = projected_cols(check, "value", matrix_view<const T>(nullptr, in.m.rows, read), second.value);
    if (cols != in.x.cols)
        check.fail("what x reads has " + std::to_string(cols) + " columns, expected " + std::to_string(in.x.cols) + ", as x has");
    check_output(check, wanted, y, upstream, in.x.rows, cols);
    check.finite("scale", options.scale);
    check_gradient(check, "grad_x", to.x, in.x);
    check_gradient(check, "grad_m", to.m, in.m);
    check_gradients(check, to.by.first, first);
    check_gradients(check, to.by.second, second);
    check.separate({{footprint_of("y", y)},
                    {footprint_of("grad_x", to.x)},
                    {footprint_of("grad_m", to.m)},
                    {footprint_of("grad_query of first", to.by.first.query)},
                    {footprint_of("grad_key of first", to.by.first.key)},
                    {footprint_of("grad_value of first", to.by.first.value)},
                    {footprint_of("grad_query of second", to.by.second.query)},
                    {footprint_of("grad_key of second", to.by.second.key)},
                    {footprint_of("grad_value of second", to.by.second.value)}},
                   {footprint_of("x", in.x), footprint_of("m", in.m), footprint_of("query of first", first.query),
                    footprint_of("key of first", first.key), footprint_of("value of first", first.value),
                    footprint_of("query of second", second.query), footprint_of("key of second", second.key),
                    footprint_of("value of second", second.value), footprint_of("upstream", upstream)});
    return read;
}

/// Sample for sample: y is written, or the slopes of sum upstream y.
template <class Backend, class T>
void front_door(const char* op, const Backend& on, const front_door_options& options, const front_door_arrays<const T>& in, passes wanted,
                const matrix_view<T>& y, const matrix_view<const T>& upstream, const front_door_arrays<T>& to) {
    struct rooms {
        widened<T> x, m, upstream;
        wide_projections<widened, T> first_by, second_by;
        summed<T> y, grad_x, grad_m;
        wide_projections<summed, T> grad_first, grad_second;
        matrix_view<double> mediated, slope;
        attention_of_sample<Backend> first, second;
    };
    const std::ptrdiff_t cols = check_front_door<T>(checker(op), in, wanted, y, upstream, to, options);
    const std::ptrdiff_t n = options.batch, queries = in.x.rows / n, mediators = in.m.rows / n;
    const attention_call call{n, options.scale, normalise::yes, options.memory};
    const auto layout = [&](arena& room) {
        return rooms{{room, in.x, n},
                     {room, in.m, n},
                     {room, upstream, n},
                     {room, in.by.first},
                     {room, in.by.second},
                     {room, y, n},
                     {room, to.x, n},
                     {room, to.m, n},
                     {room, to.by.first},
                     {room, to.by.second},
                     room.matrix(mediators, cols),
                     room.matrix(mediators, cols),
                     {on, call, wanted, room, mediators, queries, in.by.first},
                     {on, call, wanted, room, queries, mediators, in.by.second}};
    };
    with_rooms(options.memory, layout, [&](rooms r) {
        attention_terms first, second;
        attention_slopes to_first, to_second;
        r.first_by.begin(in.by.first, first);
        r.second_by.begin(in.by.second, second);
        r.grad_first.begin(to.by.first, to_first);
        r.grad_second.begin(to.by.second, to_second);
        for (std::ptrdiff_t b = 0; b != n; ++b) {
            const auto of = [&](const auto& all) { return sample_of(all, b, n); };
            first.k = first.v = second.q = r.x.begin(of(in.x));
            first.q = second.k = r.m.begin(of(in.m));
            second.v = r.mediated;
            r.first.score(first);
            r.first.read(r.mediated);
            r.second.score(second);
            if (wanted == passes::forward) {
                const auto sum = r.y.begin(of(y));
                r.second.read(sum);
                add(second.q, sum);
                r.y.finish(of(y));
                continue;
            }
            to_first.k = to_first.v = to_second.q = r.grad_x.begin(of(to.x));
            to_first.q = to_second.k = r.grad_m.begin(of(to.m));
            to_second.v = r.slope;
            fill(r.slope, 0);
            const auto slope = r.upstream.begin(of(upstream));
            if (to_second.q) add(slope, to_second.q);
            r.second.add_slopes(slope, to_second);
            r.first.add_slopes(r.slope, to_first);
            r.grad_x.finish(of(to.x));
            r.grad_m.finish(of(to.m));
        }
        r.grad_first.finish(to.by.first);
        r.grad_second.finish(to.by.second);
    });
}

} // namespace detail

} // namespace car::inline CAR_ABI
