// SPDX-License-Identifier: Apache-2.0
// Numbers of memory as registers, and back.

/// One register of numbers that lie one after the other, `left` of them; what is missing is 0.
template <class Scalar, class T>
[[gnu::always_inline]] inline typename vector_of<Scalar>::type widen(const T* from, std::ptrdiff_t left) {
    if constexpr (std::is_same_v<T, Scalar>) {
        return load(from, left, Scalar(0));
    } else {
        T kept[lanes<Scalar>] = {};
        if (left < lanes<Scalar>) {
            for (std::ptrdiff_t k = 0; k != left; ++k) kept[k] = from[k];
            from = kept;
        }
        if constexpr (std::is_same_v<Scalar, float>) {
            return widen_two_bytes(from);
        } else {
            alignas(bytes) double values[lanes<double>];
            for (std::ptrdiff_t k = 0; k != lanes<double>; ++k) values[k] = static_cast<double>(from[k]);
            return load(values);
        }
    }
}

/// A row as the kernels read it: pieces of consecutive numbers of one type. Those that lie so in memory are not copied.
template <class T, class Scalar>
class row_reader {
    const scalar_row::logit_pairs<T, double>& row_;
    bool is_regular_; ///< a product is all that becomes of a logit
    Scalar scale_, scale_c_;

    const Scalar* copy(const vector_view<const T>& from, std::ptrdiff_t begin, std::ptrdiff_t count, Scalar scale, Scalar* kept) const {
        if (from.stride == 1) {
            if constexpr (std::is_same_v<T, Scalar>)
                if (scale == 1) return from.data + begin;
            for (std::ptrdiff_t k = 0; k < count; k += lanes<Scalar>)
                store(kept + k, count - k, widen<Scalar>(from.data + begin + k, count - k) * scale);
        } else {
            for (std::ptrdiff_t k = 0; k != count; ++k) kept[k] = static_cast<Scalar>(from[begin + k]) * scale;
        }
        return kept;
    }

  public:
    explicit row_reader(const scalar_row::logit_pairs<T, double>& row)
        : row_(row), is_regular_(!row.valid && row.how.rate == 0), scale_(static_cast<Scalar>(row.how.scale)),
          scale_c_(static_cast<Scalar>(row.how.scale * row.strength)) {}

    const Scalar* p(std::ptrdiff_t begin, std::ptrdiff_t count, Scalar* kept) const {
        if (is_regular_) return copy(row_.values, begin, count, scale_, kept);
        for (std::ptrdiff_t k = 0; k != count; ++k) kept[k] = static_cast<Scalar>(row_.p(begin + k));
        return kept;
    }
    const Scalar* c(std::ptrdiff_t begin, std::ptrdiff_t count, Scalar* kept) const {
        if (row_.how.rate == 0) return copy(row_.counterfactual, begin, count, scale_c_, kept);
        for (std::ptrdiff_t k = 0; k != count; ++k) kept[k] = static_cast<Scalar>(row_.c(begin + k));
        return kept;
    }
};

/// Puts a piece of gradients where it belongs.
template <class Scalar, class T>
[[gnu::always_inline]] inline void put(const Scalar* from, const scalar_row::gradient_rows<T, double>& gradients, const vector_view<T>& to,
                                       std::ptrdiff_t begin, std::ptrdiff_t count) {
    if (!to) return;
    std::ptrdiff_t k = 0;
    if (gradients.how == gradients::overwrite) {
        if constexpr (std::is_same_v<Scalar, float> && sizeof(T) == 2)
            if (to.stride == 1)
                for (; k + lanes<float> <= count; k += lanes<float>) narrow_to_two_bytes(to.data + begin + k, load(from + k));
        if constexpr (std::is_same_v<Scalar, T>)
            for (; k != count; ++k) to[begin + k] = from[k];
    }
    for (; k != count; ++k) gradients.put(to, begin + k, static_cast<double>(from[k]));
}
