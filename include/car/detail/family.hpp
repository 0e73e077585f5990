// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../kernel/family.hpp" // the rows of a call
#include "check_loss.hpp"       // labels, weights, outputs

#include <utility> // std::index_sequence

namespace car::inline CAR_ABI::detail {

/// An input of a member, and the output of its gradient; of `cols` columns, or of as many as the first where that is 0.
template <class T>
struct family_input {
    const char* name;
    matrix_view<const T> values;
    const char* gradient_name;
    matrix_view<T> gradient;
    std::ptrdiff_t cols = 0;
    bool may_be_empty = false; ///< where the options do not read it
};

/// The checks that members share, and the call itself.
template <class T, std::size_t Inputs>
struct family_call {
    checker check;
    kernel::family_rows<T, Inputs> rows;

    template <class Options, class Arrays>
    family_call(const char* op, const std::array<family_input<T>, Inputs>& inputs, const label_view& labels, const Options& options,
                const Arrays& arrays)
        : check(op) {
        const matrix_view<const T>& first = inputs[0].values;
        check.readable(footprint_of(inputs[0].name, first));
        rows.labels = labels;
        rows.options = {.alpha = 0, .reduction = options.reduction};
        if constexpr (requires { options.ignore_index; }) rows.options.ignore_index = options.ignore_index;
        if constexpr (requires { options.divisor; }) rows.options.divisor = options.divisor, rows.options.empty = options.empty;
        rows.arrays = {.upstream = arrays.upstream, .sample_weight = arrays.sample_weight};
        if constexpr (requires { arrays.row_loss; }) rows.arrays.row_loss = arrays.row_loss;
        if constexpr (requires { arrays.weight; }) rows.arrays.weight = arrays.weight;
        check_loss(check, first, {}, false, rows.labels, rows.options, rows.arrays);
        if constexpr (requires { arrays.row_loss; })
            check.require(options.reduction != reduction::none || arrays.row_loss || first.rows == 0,
                          "row_loss is null, expected N elements for reduction::none");
        else
            check.require(options.reduction != reduction::none, "reduction is none, expected mean or sum: a row has no loss of its own");
        if (rows.arrays.row_loss) check.shape(footprint_of("row_loss", rows.arrays.row_loss), first.rows, 1);

        for (std::size_t k = 0; k != Inputs; ++k) {
            const auto& one = inputs[k];
            if (one.gradient) check.shape(footprint_of(one.gradient_name, one.gradient), first.rows, one.cols == 0 ? first.cols : one.cols);
            rows.gradients[k] = one.gradient; // of an input that is not read, 0
            if (!one.values && one.may_be_empty) continue;
            check.shape(footprint_of(one.name, one.values), first.rows, one.cols == 0 ? first.cols : one.cols);
            rows.inputs[k] = one.values;
        }
        [&]<std::size_t... K>(std::index_sequence<K...>) {
            check.separate({{footprint_of("row_loss", rows.arrays.row_loss)},
                            {footprint_of(inputs[K].gradient_name, inputs[K].gradient), inputs[K].values.data}...},
                           {footprint_of(inputs[K].name, inputs[K].values)..., footprint_of("labels", labels),
                            footprint_of("upstream", arrays.upstream), footprint_of("sample_weight", arrays.sample_weight),
                            footprint_of("weight", rows.arrays.weight)});
        }
        (std::make_index_sequence<Inputs>());
    }

    template <class Result, class... Terms, class Member>
    Result run(const Member& member, Terms... terms) const {
        return kernel::family<Result>(kernel::predictions<T>(default_backend), rows,
                                      std::array<kernel::family_term<Result>, sizeof...(Terms)>{terms...}, member);
    }
};

/// An expert's smoothing is what as_published has, and is not negative.
template <class Options>
void check_smoothing(const checker& check, const Options& options) {
    if (!(std::isfinite(options.smoothing) && options.smoothing >= 0))
        check.fail("smoothing is " + std::to_string(options.smoothing) + ", expected a finite number that is not negative");
    check.require(options.smoothing == 0 || options.formula == formula::as_published, "smoothing is given, expected formula::as_published");
}

/// N numbers as a matrix of one column.
template <class T>
matrix_view<T> column(const vector_view<T>& v) {
    return {v.data, v.size, 1, v.stride};
}

/// The labels of a member that has none: every row is one of the only class there needs to be.
inline label_view no_labels(std::ptrdiff_t rows) {
    static constexpr std::int64_t zero = 0;
    return vector_view<const std::int64_t>(&zero, rows, 0);
}

} // namespace car::inline CAR_ABI::detail
