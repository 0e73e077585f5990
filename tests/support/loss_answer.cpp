// SPDX-License-Identifier: Apache-2.0
#include "loss_answer.hpp"

#include "loss_expectation.hpp"
#include "row_reference.hpp"

namespace reference {

loss_answer answer_of(const std::vector<double>& p, const std::vector<double>& c, std::size_t label, car::flow flow) {
    const auto wide_of = [](const std::vector<double>& values) { return std::vector<wide>(values.begin(), values.end()); };
    const auto narrow = [](wide x) { return static_cast<long double>(x); };
    const row want(wide_of(p), wide_of(c), label);
    loss_answer answer{narrow(want.cross_entropy),
                       narrow(want.divergence),
                       narrow(want.factual.value_of_log_sum()),
                       narrow(want.corrected.value_of_log_sum()),
                       narrow(magnitude(want.factual.max)),
                       narrow(magnitude(want.largest_c)),
                       want.factual.peak,
                       {},
                       {},
                       {},
                       {},
                       {}};
    for (std::size_t k = 0; k != p.size(); ++k) {
        answer.entropy_slope.push_back(narrow(masked(want.p[k]) && k != label ? 0 : want.cross_entropy_slope(k)));
        answer.slope_p.push_back(narrow(want.slope_p(k, flow, car::kl_target::prediction)));
        answer.slope_c.push_back(narrow(want.slope_c(k, flow, car::kl_target::prediction)));
        answer.scale_p.push_back(narrow(want.scale_p(k, flow)));
        answer.scale_c.push_back(narrow(want.scale_c(k)));
    }
    return answer;
}

template <class T>
std::string faults_of(const combinations::problem<T>& given, const combinations::combination& set, const combinations::outputs<T>& got) {
    return combinations::faults_of(given, set, got);
}
using combinations::combination, combinations::outputs, combinations::problem;
template std::string faults_of(const problem<float>&, const combination&, const outputs<float>&);
template std::string faults_of(const problem<double>&, const combination&, const outputs<double>&);
template std::string faults_of(const problem<car::bfloat16>&, const combination&, const outputs<car::bfloat16>&);
template std::string faults_of(const problem<car::float16>&, const combination&, const outputs<car::float16>&);

} // namespace reference
