// What the instruction set offers: float where that is exact enough, else double. What has no answer in either is left as it was.

struct kernels {
    /// A bit of the result for each row of the group that is solved.
    template <class T>
    [[gnu::noinline]] static unsigned loss(const scalar_row::batch<T>& rows, const settings& how, const wanted_row* list, unsigned wanted,
                                           scalar_row::row_result<double>* results) {
        unsigned solved = 0;
        if constexpr (has_fma)
            if (how.narrow)
                solved = how.reads_c ? solve<float, true>(rows, how, list, wanted, results)
                                     : solve<float, false>(rows, how, list, wanted, results);
        wanted &= ~solved;
        return solved | (how.reads_c ? solve<double, true>(rows, how, list, wanted, results)
                                     : solve<double, false>(rows, how, list, wanted, results));
    }

    template <bool Logarithm, class T>
    [[gnu::noinline]] static bool softmax(const scalar_row::logit_pairs<T, double>& row, bool is_narrow, const vector_view<T>& y) {
        if constexpr (has_fma)
            if (is_narrow && softmax_row<float, Logarithm>(row_reader<T, float>(row), y)) return true;
        return softmax_row<double, Logarithm>(row_reader<T, double>(row), y);
    }
    template <class T>
    [[gnu::noinline]] static bool log_sum_exp(const scalar_row::logit_pairs<T, double>& row, bool is_narrow, double& value) {
        if constexpr (has_fma)
            if (is_narrow && log_sum_exp_row<float>(row_reader<T, float>(row), row.size(), value)) return true;
        return log_sum_exp_row<double>(row_reader<T, double>(row), row.size(), value);
    }
    template <class T>
    [[gnu::noinline]] static bool corrected_softmax(const scalar_row::logit_pairs<T, double>& row, const vector_view<T>& y) {
        return softmax_row<double, false>(difference_reader<T>{row}, y);
    }
};
