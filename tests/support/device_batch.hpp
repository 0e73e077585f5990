// SPDX-License-Identifier: Apache-2.0
#pragma once

// Rows of logits on a device, and all that the loss makes of them.

#include <car/cuda.hpp>

#include "device_memory.hpp"
#include "row_cases.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace device_memory {

/// A batch of rows of one length on a device, and what the loss makes of it.
template <class T>
struct batch {
    using term = car::term_of<T>;

    std::size_t classes, stride, rows = 0;
    std::vector<T> p, c;
    std::vector<std::int64_t> labels;
    std::vector<std::string> names;
    car::loss_options options{.reduction = car::reduction::sum};
    std::vector<term> upstream, weight, sample_weight;
    std::vector<std::uint8_t> row_mask;
    bool in_place = false, with_gradients = true;
    std::size_t offset = 0;

    std::vector<T> grad_p, grad_c;
    std::vector<term> loss, cross_entropy, divergence, lse_p, lse_y;
    std::vector<std::int64_t> predicted;
    car::loss_result result;

    explicit batch(std::size_t columns, std::size_t padding = 0) : classes(columns), stride(columns + padding) {}

    void add(const cases::row<T>& row, term factor = 1) {
        p.resize((rows + 1) * stride, static_cast<T>(NAN));
        c.resize((rows + 1) * stride, static_cast<T>(NAN));
        std::copy(row.p.begin(), row.p.end(), p.begin() + static_cast<std::ptrdiff_t>(rows * stride));
        std::copy(row.c.begin(), row.c.end(), c.begin() + static_cast<std::ptrdiff_t>(rows * stride));
        labels.push_back(static_cast<std::int64_t>(row.label));
        names.push_back(row.name);
        upstream.push_back(factor);
        ++rows;
    }

    car::launch_status run() {
        const stream stream;
        const array<T> device_p(p, stream, offset), device_c(c, stream, offset);
        const array<T> to_p(std::vector<T>(p.size(), T(77.0)), stream, offset), to_c(std::vector<T>(c.size(), T(77.0)), stream, offset);
        const array<std::int64_t> device_labels(labels, stream), top(rows, stream);
        const array<term> factors(upstream, stream), l(rows, stream), ce(rows, stream), kl(rows, stream), lp(rows, stream),
            ly(rows, stream);
        const array<term> of_class(weight, stream), of_sample(sample_weight, stream);
        const array<std::uint8_t> mask(row_mask, stream);
        const array<car::loss_result> total(1, stream);
        const array<std::byte> workspace(static_cast<std::size_t>(car::loss_workspace(static_cast<std::ptrdiff_t>(rows))), stream);
        const auto& out_p = in_place ? device_p : to_p;
        const auto& out_c = in_place ? device_c : to_c;
        car::device_loss_arrays<T> arrays{.row_loss = l.view(),
                                          .row_cross_entropy = ce.view(),
                                          .row_divergence = kl.view(),
                                          .lse_p = lp.view(),
                                          .lse_y = ly.view(),
                                          .predicted = top.view(),
                                          .result = total.view(),
                                          .workspace = workspace.view(),
                                          .upstream = factors.view()};
        if (!weight.empty()) arrays.weight = of_class.view();
        if (!sample_weight.empty()) arrays.sample_weight = of_sample.view();
        if (!row_mask.empty()) arrays.row_mask = car::vector_view<std::uint8_t, car::device>(mask.view());
        if (options.alpha == 0) arrays.lse_y = {};
        if (with_gradients) arrays.grad_p = out_p.view(rows, classes, stride), arrays.grad_c = out_c.view(rows, classes, stride);
        const car::launch_status status = car::loss(car::cuda.on(stream), device_p.view(rows, classes, stride),
                                                    device_c.view(rows, classes, stride), device_labels.view(), options, arrays);
        stream.wait();
        grad_p = out_p.values(), grad_c = out_c.values();
        loss = l.values(), cross_entropy = ce.values(), divergence = kl.values(), lse_p = lp.values(), lse_y = ly.values();
        predicted = top.values();
        result = total.values()[0];
        return status;
    }
};

} // namespace device_memory
