// SPDX-License-Identifier: Apache-2.0
// Members of the family: the scalar backend's time over that of `simd`, sampled in turn, each answer compared before it is timed.
// `g++ -std=c++20 -O2 -I include bench/family.cpp -o build/family && build/family [samples]`
#include <car/family/cal.hpp>
#include <car/family/cf_vqa.hpp>
#include <car/family/counterfactual_entropy.hpp>
#include <car/family/product_of_experts.hpp>
#include <car/family/rubi.hpp>
#include <car/family/xerm.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

namespace {

template <class Member, class Result, std::size_t Terms>
struct measured_member {
    const char* name;
    Member member;
    std::array<car::kernel::family_term<Result>, Terms> terms;
};

struct batch {
    std::ptrdiff_t rows, classes;
    std::vector<float> inputs[3], gradients[3];
    std::vector<int> labels;

    batch(std::ptrdiff_t n, std::ptrdiff_t c) : rows(n), classes(c) {
        std::mt19937 random(7);
        std::normal_distribution<float> normal(0, 3);
        const auto cells = static_cast<std::size_t>(n * c);
        for (auto& one : inputs)
            for (std::size_t i = 0; i != cells; ++i) one.push_back(normal(random));
        for (auto& one : gradients) one.resize(cells);
        for (std::ptrdiff_t i = 0; i != n; ++i) labels.push_back(static_cast<int>(i % c));
    }
    template <std::size_t Inputs>
    car::kernel::family_rows<float, Inputs> call(bool with_gradients) {
        car::kernel::family_rows<float, Inputs> call{{}, {}, labels, {.alpha = 0}, {}};
        for (std::size_t k = 0; k != Inputs; ++k) {
            call.inputs[k] = car::matrix_view<const float>(inputs[k].data(), rows, classes);
            if (with_gradients) call.gradients[k] = car::matrix_view<float>(gradients[k].data(), rows, classes);
        }
        return call;
    }
};

double seconds(std::size_t times, const auto& run) {
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t k = 0; k != times; ++k) run();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / static_cast<double>(times);
}

template <std::size_t Inputs, class Member, class Result, std::size_t Terms>
void measure(const measured_member<Member, Result, Terms>& of, batch& data, std::size_t samples) {
    for (const bool with_gradients : {false, true}) {
        const auto call = data.call<Inputs>(with_gradients);
        const auto run = [&](auto backend) {
            return car::kernel::family<Result>(car::kernel::predictions<float>(backend), call, of.terms, of.member).value;
        };
        const double want = run(car::scalar);
        const std::vector<float> slopes = data.gradients[0];
        const double got = run(car::simd);
        bool same = std::abs(got - want) <= 1e-12 * std::abs(want);
        for (std::size_t i = 0; i != slopes.size(); ++i)
            same = same && std::abs(data.gradients[0][i] - slopes[i]) <= 1e-7f * std::abs(slopes[i]);
        if (!same) std::exit((std::fprintf(stderr, "%s: %.17g, expected %.17g\n", of.name, got, want), 1));

        const auto times = static_cast<std::size_t>(1 + 0.01 / seconds(1, [&] { run(car::simd); }));
        std::vector<double> ratios, quick;
        for (std::size_t sample = 0; sample != samples; ++sample) {
            const double slow = seconds(times, [&] { run(car::scalar); }), fast = seconds(times, [&] { run(car::simd); });
            ratios.push_back(slow / fast);
            quick.push_back(fast / static_cast<double>(data.rows * data.classes) * 1e9);
        }
        std::sort(ratios.begin(), ratios.end());
        std::sort(quick.begin(), quick.end());
        std::printf("%-24s %5td x %-6td %-10s %5.2f (%.2f to %.2f)   %6.2f ns an element\n", of.name, data.rows, data.classes,
                    with_gradients ? "gradients" : "value", ratios[samples / 2], ratios[samples / 4], ratios[3 * samples / 4],
                    quick[samples / 2]);
    }
}

} // namespace

int main(int argc, char** argv) {
    using namespace car;
    const std::size_t samples = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 9;
    const cal_options of_cal;
    const product_of_experts_options of_product;
    const cf_vqa_options of_sum;
    const xerm_options of_xerm;
    for (const auto& [rows, classes] : {std::pair(256, 10), std::pair(256, 1000), std::pair(64, 32000)}) {
        batch data(rows, classes);
        measure<2>(measured_member<kernel::cal_row, cal_result, 2>{"cal", {of_cal}, {&cal_result::cross_entropy, &cal_result::corrected}},
                   data, samples);
        measure<2>(
            measured_member<kernel::product_of_experts_row, product_of_experts_result, 1>{
                "product_of_experts", {of_product}, {&product_of_experts_result::grad_smoothing}},
            data, samples);
        measure<1>(
            measured_member<kernel::counterfactual_entropy_row, counterfactual_entropy_result, 0>{
                "counterfactual_entropy", {counterfactual_target::not_label, formula::exact}, {}},
            data, samples);
        measure<3>(measured_member<kernel::rubi_row, rubi_result, 2>{"rubi", {1}, {&rubi_result::cross_entropy, &rubi_result::question}},
                   data, samples);
        measure<3>(
            measured_member<kernel::xerm_row, xerm_result, 3>{
                "xerm", {of_xerm}, {&xerm_result::factual, &xerm_result::counterfactual, &xerm_result::share}},
            data, samples);
        measure<3>(measured_member<kernel::cf_vqa_row, cf_vqa_result, 5>{"cf_vqa, sum",
                                                                         {of_sum},
                                                                         {&cf_vqa_result::cross_entropy, &cf_vqa_result::question,
                                                                          &cf_vqa_result::vision, &cf_vqa_result::divergence,
                                                                          &cf_vqa_result::grad_constant}},
                   data, samples);
    }
}
