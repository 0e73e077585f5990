// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../float_types.hpp" // logit
#include "check.hpp"          // shapes, overlaps
#include "elementary.hpp"     // infinity

#include <array>   // the inputs
#include <utility> // std::index_sequence

namespace car::inline CAR_ABI::detail {

/// An array of a logit op: N x C, as the first input is.
template <class T>
struct named_matrix {
    const char* name;
    matrix_view<T> values;
};

/// What ops from logits to logits have in common: shapes, overlaps (an output may lie exactly where an input does), the loops.
template <class T, std::size_t Inputs, std::size_t Outputs>
struct logit_op {
    checker check;
    std::array<named_matrix<const T>, Inputs> inputs;
    std::array<named_matrix<T>, Outputs> outputs; // a null one is left out

    logit_op(const char* op, const std::array<named_matrix<const T>, Inputs>& in, const std::array<named_matrix<T>, Outputs>& out)
        : check(op), inputs(in), outputs(out) {
        check.readable(footprint_of(in[0].name, in[0].values));
        for (const auto& one : in) check.shape(footprint_of(one.name, one.values), rows(), classes());
        for (const auto& one : out)
            if (one.values) check.shape(footprint_of(one.name, one.values), rows(), classes());
        with_inputs([&](auto... read) {
            for (const auto& one : out) check.separate({{footprint_of(one.name, one.values), in_place(one)}}, {read...});
        });
        for (std::size_t a = 0; a != Outputs; ++a)
            for (std::size_t b = 0; b != a; ++b)
                check.separate({{footprint_of(out[a].name, out[a].values)}}, {footprint_of(out[b].name, out[b].values)});
    }

    std::ptrdiff_t rows() const { return inputs[0].values.rows; }
    std::ptrdiff_t classes() const { return inputs[0].values.cols; }
    double operator()(std::size_t input, std::ptrdiff_t i, std::ptrdiff_t k) const {
        return static_cast<double>(inputs[input].values(i, k));
    }

    /// `row(i)` is called for each row and returns what is called for each class k: it returns what the outputs are there.
    template <class Row>
    void run(Row row) const {
        for (std::ptrdiff_t i = 0; i != rows(); ++i) {
            const auto column = row(i);
            for (std::ptrdiff_t k = 0; k != classes(); ++k) {
                const std::array<double, Outputs> result = column(k);
                for (std::size_t a = 0; a != Outputs; ++a)
                    if (outputs[a].values) outputs[a].values(i, k) = static_cast<T>(result[a]);
            }
        }
    }

  private:
    template <class Call>
    void with_inputs(Call call) const {
        [&]<std::size_t... K>(std::index_sequence<K...>) { call(footprint_of(inputs[K].name, inputs[K].values)...); }
        (std::make_index_sequence<Inputs>());
    }
    const void* in_place(const named_matrix<T>& out) const {
        for (const auto& one : inputs)
            if (footprint_of(one.name, one.values).same(footprint_of(out.name, out.values))) return one.values.data;
        return nullptr;
    }
};

} // namespace car::inline CAR_ABI::detail
