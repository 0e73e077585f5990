// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../scalar/family.hpp" // what a member makes of a row
#include "dispatch.hpp"         // the kernels for this machine

#include <algorithm> // std::min

namespace car::inline CAR_ABI::kernel {

namespace simd_row {

/// A row of composed logits that are made a window at a time, and their exponentials in registers. A window starts at the column that is
/// asked for: columns in their order are made once, and are read before the gradients of any of them are written.
template <class Logit>
class windows {
    static constexpr std::ptrdiff_t width = 1024;

    std::ptrdiff_t classes_;
    Logit logit_;
    mutable std::ptrdiff_t begin_ = 0, end_ = 0;
    mutable bool is_raised_ = false;
    mutable double logits_[width], exponentials_[width];

    void move_to(std::ptrdiff_t begin) const {
        begin_ = begin;
        end_ = std::min(begin + width, classes_);
        is_raised_ = false;
        for (std::ptrdiff_t k = begin_; k != end_; ++k) logits_[k - begin_] = logit_(k);
    }
    void raise(double max, detail::compensated_sum& sum) const {
        dispatch([&](auto kernels) { return kernels.exponentials(logits_, end_ - begin_, max, exponentials_, sum); });
        is_raised_ = true;
    }
    bool is_here(std::ptrdiff_t k) const { return k >= begin_ && k < end_; }

  public:
    using difference_type = double;
    static constexpr bool has_counterfactual = false;

    windows(std::ptrdiff_t size, const Logit& logit) : classes_(size), logit_(logit) {}

    double operator()(std::ptrdiff_t k) const {
        if (!is_here(k)) move_to(k);
        return logits_[k - begin_];
    }
    bool is_masked(std::ptrdiff_t k) const { return (*this)(k) == -detail::infinity; }

    scalar_row::measured<windows> measure() const {
        scalar_row::measured<windows> whole;
        for (std::ptrdiff_t begin = 0; begin < classes_; begin += width) {
            move_to(begin);
            for (std::ptrdiff_t k = begin_; k != end_; ++k) {
                const double x = logits_[k - begin_];
                if (!(x < detail::infinity)) {
                    whole.state.max = detail::no_number;
                    whole.peak = -1;
                    return whole;
                }
                if (x > whole.state.max) {
                    whole.state.max = x;
                    whole.peak = k;
                }
            }
        }
        if (whole.state.is_empty()) return whole;
        detail::compensated_sum rest;
        for (std::ptrdiff_t begin = 0; begin < classes_; begin += width) {
            if (begin_ != begin) move_to(begin);
            if (!is_here(whole.peak)) {
                raise(whole.state.max, rest);
                continue;
            }
            const std::ptrdiff_t peak = whole.peak - begin_; // it stands for the 1 in S
            logits_[peak] = -detail::infinity;
            raise(whole.state.max, rest);
            logits_[peak] = whole.state.max;
            exponentials_[peak] = 1;
        }
        whole.state.rest = rest.value();
        return whole;
    }
    double exponential(std::ptrdiff_t k, double max) const {
        if (!is_here(k)) move_to(k);
        if (!is_raised_) {
            detail::compensated_sum unread;
            raise(max, unread);
        }
        return exponentials_[k - begin_];
    }
};

/// How `simd` makes the predictions of rows of float or less.
struct predictions {
    using difference = double;
    template <class Logit>
    using row = windows<Logit>;
};

} // namespace simd_row

template <class T>
    requires(!std::is_same_v<T, double>)
simd_row::predictions predictions(simd_backend)
noexcept { return {}; }

} // namespace car::inline CAR_ABI::kernel
