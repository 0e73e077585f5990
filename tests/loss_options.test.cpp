// SPDX-License-Identifier: Apache-2.0
// Every combination of the options of the loss, against the formulas of its contract in 113-bit arithmetic.
#include <car/loss.hpp>

#include "support/loss_reference.hpp"
#include "support/random.hpp"
#include "support/types.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <sstream>

using reference::magnitude;
using reference::wide;

namespace {

constexpr std::ptrdiff_t rows = 6, classes = 4;
constexpr std::size_t cells = rows * classes;
constexpr double inf = std::numeric_limits<double>::infinity(), no_number = std::numeric_limits<double>::quiet_NaN();

/// One of each kind of row: plain, masked class, ignored (by its label, or where labels are probabilities by a weight of 0), hidden by
/// the row mask, of weight 0, plain. Ignored rows hold what no call may read.
template <class T>
struct problem {
    using term = car::term_of<T>;
    std::array<T, cells> p, c, old_p, old_c;
    std::array<term, cells> soft;
    std::array<int, rows> labels{1, 3, -100, 77, 2, 0};
    std::array<term, classes> weight{term(0.5), term(2), term(1.25), term(0.75)};
    std::array<term, rows> sample_weight{1, term(0.5), 3, 2, 0, term(1.5)}, upstream{1, -2, term(0.5), 4, 3, term(0.25)};
    std::array<bool, rows> row_mask{true, true, true, false, true, true};
    std::array<unsigned char, classes> class_mask{1, 1, 0, 1};

    problem() {
        cases::generator random(77);
        for (std::size_t i = 0; i != cells; ++i) {
            p[i] = static_cast<T>(2 * random.normal());
            c[i] = static_cast<T>(random.normal());
            old_p[i] = static_cast<T>(random.normal());
            old_c[i] = static_cast<T>(random.normal());
            soft[i] = static_cast<term>(random.below(3) == 0 ? 0 : random.uniform() / 2);
        }
        p[classes] = static_cast<T>(-inf); // row 1 masks class 0, whose c may not be read
        c[classes] = static_cast<T>(no_number);
        soft[classes] = 0;
        for (std::size_t k = 0; k != classes; ++k) p[3 * classes + k] = c[3 * classes + k] = static_cast<T>(no_number);
    }
};

struct combination {
    bool soft, weights, masks, upstream;
    car::loss_options options;
};

std::string text_of(const combination& set) {
    std::ostringstream text;
    const auto& o = set.options;
    text << "soft " << set.soft << " weights " << set.weights << " masks " << set.masks << " upstream " << set.upstream << " alpha "
         << o.alpha << " strength " << o.strength << " softcap " << o.softcap.value_or(0) << " smoothing " << o.label_smoothing << " z "
         << o.z_weight << " target " << static_cast<int>(o.kl_target) << " flow " << static_cast<int>(o.flow) << " reduction "
         << static_cast<int>(o.reduction) << " divisor " << o.divisor.value_or(0) << " precision " << static_cast<int>(o.precision)
         << " gradients " << static_cast<int>(o.gradients);
    return text.str();
}

/// Visits every combination of the options; `part` of `parts` of them.
template <class Visit>
std::size_t for_each_combination(std::size_t parts, Visit visit) {
    using enum car::flow;
    const std::pair<car::kl_target, car::flow> targets[] = {{car::kl_target::prediction, full},
                                                            {car::kl_target::prediction, stop_target},
                                                            {car::kl_target::prediction, stop_factual},
                                                            {car::kl_target::prediction, stop_counterfactual},
                                                            {car::kl_target::label, full},
                                                            {car::kl_target::label, stop_counterfactual}};
    const std::pair<car::reduction, std::optional<double>> reductions[] = {
        {car::reduction::none, {}}, {car::reduction::sum, {}}, {car::reduction::mean, {}}, {car::reduction::mean, 24.0}};
    std::size_t index = 0, visited = 0;
    for (unsigned bits = 0; bits != 1u << 10; ++bits)
        for (const auto& [target, flow] : targets)
            for (const auto& [reduction, divisor] : reductions)
                for (const auto precision : {car::precision::fast, car::precision::accurate, car::precision::highest}) {
                    if (index++ * 2654435761u % parts != 0) continue;
                    const auto bit = [&](unsigned which) { return (bits >> which & 1) != 0; };
                    combination set{bit(0), bit(1), bit(2), bit(3), {}};
                    set.options = {.alpha = bit(4) ? -0.75 : 0,
                                   .strength = bit(5) ? -0.625 : 1,
                                   .temperature = bit(5) ? 1.75 : 1,
                                   .logit_scale = bit(5) ? 0.875 : 1,
                                   .softcap = bit(6) ? std::optional(5.0) : std::nullopt,
                                   .label_smoothing = bit(7) ? 0.125 : 0,
                                   .z_weight = bit(8) ? 0.0625 : 0,
                                   .kl_target = target,
                                   .flow = flow,
                                   .reduction = reduction,
                                   .divisor = divisor,
                                   .precision = precision,
                                   .gradients = bit(9) ? car::gradients::accumulate : car::gradients::overwrite};
                    visit(set);
                    ++visited;
                }
    return visited;
}

/// A value and how far it may be off, in the terms' u.
struct expected {
    wide value = 0, allowed = 0;

    expected& add(wide factor, const expected& other) {
        value += factor * other.value;
        allowed += magnitude(factor) * other.allowed;
        return *this;
    }
};

template <class T>
class expectation {
    const problem<T>& given_;
    const combination& set_;
    const car::loss_options& options_;
    wide spread_ = 0; // how many u a rounding of the logits as they are read may cost, for each u of their own

  public:
    std::array<bool, rows> counted{};
    std::array<wide, rows> weight{};
    std::vector<reference::loss_row> row;
    std::array<expected, rows> loss, cross_entropy, divergence, lse_p, lse_y, squares;
    wide weights = 0;
    std::int64_t count = 0, correct = 0;

    expectation(const problem<T>& given, const combination& set) : given_(given), set_(set), options_(set.options) {
        for (std::size_t i = 0; i != rows; ++i) measure(i);
    }

    wide divisor() const {
        if (options_.reduction != car::reduction::mean) return 1;
        return options_.divisor ? static_cast<wide>(*options_.divisor) : weights;
    }
    wide bound(std::size_t i) const {
        if (options_.precision == car::precision::fast) return 96 + 2 / row[i].logits.P[row[i].predicted] + spread_;
        return 16 + spread_;
    }
    reference::reading reading() const {
        return {static_cast<wide>(options_.logit_scale), static_cast<wide>(options_.softcap.value_or(0)),
                static_cast<wide>(options_.temperature)};
    }

    /// The gradients of the value to one column.
    std::pair<expected, expected> gradient(std::size_t i, std::size_t k) const {
        expected to_p, to_c;
        if (!counted[i]) return {to_p, to_c};
        const auto& r = row[i];
        const wide raw = static_cast<wide>(static_cast<double>(given_.p[i * classes + k])), P = r.logits.P[k];
        const bool live = !reference::masked(r.logits.p[k]);
        to_p.add(1, {r.entropy_slope(k), (8 + spread_) * r.entropy_slope_scale(k)});
        if (live && options_.z_weight != 0)
            to_p.add(static_cast<wide>(2 * options_.z_weight) * P,
                     {r.lse_p, (4 + spread_) * (magnitude(r.logits.factual.max) + 2 * magnitude(r.lse_p))});
        if (options_.alpha != 0) {
            const wide scale = r.divergence_slope_scale(k, options_.flow, options_.kl_target);
            const wide alpha = static_cast<wide>(options_.alpha);
            to_p.add(alpha, {r.slope_p(k, options_.flow, options_.kl_target), live ? bound(i) * scale : 0});
            to_c.add(alpha, {r.slope_c(k, options_.flow, options_.kl_target), live ? bound(i) * scale : 0});
        }
        const wide upstream = set_.upstream ? static_cast<wide>(given_.upstream[i]) : 1;
        const wide factor = weight[i] * upstream / divisor();
        const wide slope = reference::masked(raw) ? reading().scale / reading().temperature : reading().slope(raw);
        expected full_p, full_c;
        full_p.add(factor * slope, to_p);
        if (live && options_.alpha != 0)
            full_c.add(factor * static_cast<wide>(options_.strength) *
                           reading().slope(static_cast<wide>(static_cast<double>(given_.c[i * classes + k]))),
                       to_c);
        return {full_p, full_c};
    }

  private:
    void measure(std::size_t i) {
        std::vector<wide> p, c, target;
        const bool no_index = !set_.soft && given_.labels[i] == -100;
        const bool hidden = set_.masks && !given_.row_mask[i];
        const bool weightless = set_.weights && given_.sample_weight[i] == 0;
        counted[i] = !(no_index || hidden || weightless);
        if (!counted[i]) {
            row.emplace_back(std::vector<wide>{0}, std::vector<wide>{0}, std::vector<wide>{1}, 0, options_.kl_target);
            return;
        }
        wide largest = 1;
        for (std::size_t k = 0; k != classes; ++k) {
            const bool valid = !set_.masks || given_.class_mask[k];
            const wide raw = static_cast<wide>(static_cast<double>(given_.p[i * classes + k])), lowest = -static_cast<wide>(inf);
            p.push_back(valid ? reading().value(raw) : lowest);
            c.push_back(static_cast<wide>(options_.strength) *
                        reading().value(static_cast<wide>(static_cast<double>(given_.c[i * classes + k]))));
            target.push_back(set_.soft ? static_cast<wide>(given_.soft[i * classes + k])
                                       : static_cast<wide>(given_.labels[i] == static_cast<int>(k)));
            if (!reference::masked(p[k])) largest += magnitude(p[k]) + magnitude(c[k]);
        }
        // The logits as they are read are rounded in double, tanh to 4 ulp: each moves a logarithm by so many u of double.
        const wide roundings = options_.softcap || options_.temperature != 1 ? 8 : 0;
        spread_ = std::max(spread_, roundings * largest * static_cast<wide>(types::u<double> / types::u<car::term_of<T>>) * 16);

        row.emplace_back(p, c, target, static_cast<wide>(options_.label_smoothing), options_.kl_target);
        const auto& r = row.back();
        weight[i] = set_.weights ? static_cast<wide>(given_.sample_weight[i]) : 1;
        if (set_.weights) {
            wide mean = 0;
            for (std::size_t k = 0; k != classes; ++k) mean += target[k] * static_cast<wide>(given_.weight[k]);
            weight[i] *= mean;
        }
        weights += weight[i];
        ++count;
        const auto likeliest = std::max_element(target.begin(), target.end()) - target.begin();
        correct += r.predicted == static_cast<std::size_t>(likeliest);

        cross_entropy[i] = {r.cross_entropy, (6 + spread_) * r.entropy_scale};
        if (options_.alpha != 0) divergence[i] = {r.divergence, bound(i) * r.divergence_scale};
        lse_p[i] = {r.lse_p, (4 + spread_) * (magnitude(r.logits.factual.max) + magnitude(r.lse_p))};
        lse_y[i] = {r.lse_y, (4 + spread_) * (largest + magnitude(r.lse_y))};
        squares[i] = {r.lse_p * r.lse_p, 2 * magnitude(r.lse_p) * lse_p[i].allowed + 4 * r.lse_p * r.lse_p};
        loss[i].add(weight[i], cross_entropy[i]).add(weight[i] * static_cast<wide>(options_.alpha), divergence[i]);
        loss[i].add(weight[i] * static_cast<wide>(options_.z_weight), squares[i]);
    }
};

template <class T, class Backend>
struct outputs {
    using term = car::term_of<T>;
    std::array<T, cells> grad_p, grad_c;
    std::array<term, rows> loss, cross_entropy, divergence, lse_p, lse_y;
    std::array<std::int64_t, rows> predicted;
    car::loss_result result;

    outputs(const problem<T>& given, const combination& set) : grad_p(given.old_p), grad_c(given.old_c) {
        const car::matrix_view<const T> p(given.p.data(), rows, classes), c(given.c.data(), rows, classes);
        const car::targets<T> labels =
            set.soft ? car::targets<T>(car::matrix_view<const term>(given.soft.data(), rows, classes)) : car::targets<T>(given.labels);
        car::loss_arrays<T> arrays{.grad_p = {grad_p.data(), rows, classes},
                                   .grad_c = {grad_c.data(), rows, classes},
                                   .row_loss = loss,
                                   .row_cross_entropy = cross_entropy,
                                   .row_divergence = divergence,
                                   .lse_p = lse_p,
                                   .lse_y = lse_y,
                                   .predicted = predicted};
        if (set.upstream) arrays.upstream = given.upstream;
        if (set.weights) {
            arrays.weight = given.weight;
            arrays.sample_weight = given.sample_weight;
        }
        if (set.masks) {
            arrays.row_mask = given.row_mask;
            arrays.class_mask = given.class_mask;
        }
        result = car::loss(Backend{}, p, c, labels, set.options, arrays);
    }
};

/// Row 3's label 77 and its NaN are there to be skipped: without a mask, the row is a plain one.
template <class T>
problem<T> problem_for(const combination& set) {
    problem<T> given;
    if (set.masks) return given;
    given.labels[3] = 1;
    for (std::size_t k = 0; k != classes; ++k) {
        given.p[3 * classes + k] = given.p[k];
        given.c[3 * classes + k] = given.c[4 * classes + k];
    }
    return given;
}

/// All that is wrong with one combination; empty if nothing is.
template <class T, class Backend>
std::string faults_of(const combination& set) {
    using term = car::term_of<T>;
    const problem<T> given = problem_for<T>(set);
    const expectation<T> want(given, set);
    const outputs<T, Backend> got(given, set);
    std::ostringstream faults;
    const wide unit = static_cast<wide>(types::u<term>), least = 2 * static_cast<wide>(types::limits<T>::least_normal);
    const auto compare = [&](const char* what, std::size_t i, double value, const expected& e, wide storage) {
        const double exact = static_cast<double>(e.value);
        if (value == exact || (std::isnan(value) && std::isnan(exact))) return; // infinities
        const wide error = magnitude(static_cast<wide>(value) - e.value);
        if (!(error <= unit * (e.allowed + 2 * magnitude(e.value)) + least + storage))
            faults << what << '[' << i << "] is " << value << ", expected " << exact << " +- " << static_cast<double>(unit * e.allowed)
                   << "; ";
    };
    expected loss, cross_entropy, divergence, squares;
    for (std::size_t i = 0; i != rows; ++i) {
        loss.add(1 / want.divisor(), want.loss[i]);
        cross_entropy.add(want.weight[i] / want.divisor(), want.cross_entropy[i]);
        divergence.add(want.weight[i] / want.divisor(), want.divergence[i]);
        squares.add(want.weight[i] / want.divisor(), want.squares[i]);
        compare("row_loss", i, static_cast<double>(got.loss[i]), want.loss[i], 0);
        compare("row_cross_entropy", i, static_cast<double>(got.cross_entropy[i]), want.cross_entropy[i], 0);
        compare("row_divergence", i, static_cast<double>(got.divergence[i]), want.divergence[i], 0);
        compare("lse_p", i, static_cast<double>(got.lse_p[i]), want.lse_p[i], 0);
        compare("lse_y", i, static_cast<double>(got.lse_y[i]), want.lse_y[i], 0);
        if (got.predicted[i] != (want.counted[i] ? static_cast<std::int64_t>(want.row[i].predicted) : -1))
            faults << "predicted[" << i << "]; ";
        for (std::size_t k = 0; k != classes; ++k) {
            auto [to_p, to_c] = want.gradient(i, k);
            const std::size_t at = i * classes + k;
            if (set.options.gradients == car::gradients::accumulate) {
                to_p.add(1, {static_cast<wide>(static_cast<double>(given.old_p[at])), 0});
                to_c.add(1, {static_cast<wide>(static_cast<double>(given.old_c[at])), 0});
            }
            compare("grad_p", at, static_cast<double>(got.grad_p[at]), to_p, types::storage_error<T>(magnitude(to_p.value)));
            compare("grad_c", at, static_cast<double>(got.grad_c[at]), to_c, types::storage_error<T>(magnitude(to_c.value)));
        }
    }
    if (set.options.reduction == car::reduction::none) {
        if (!std::isnan(got.result.value)) faults << "value is no NaN; ";
    } else {
        compare("value", 0, got.result.value, loss, 0);
        compare("cross_entropy", 0, got.result.cross_entropy, cross_entropy, 0);
        compare("divergence", 0, got.result.divergence, divergence, 0);
        compare("z_loss", 0, got.result.z_loss, squares, 0);
    }
    compare("weight", 0, got.result.weight, {want.weights, 8 * want.weights}, 0);
    if (got.result.count != want.count) faults << "count " << got.result.count << "; ";
    if (got.result.correct != want.correct) faults << "correct " << got.result.correct << ", expected " << want.correct << "; ";
    if (!got.result.status.ok()) faults << "status; ";
    return faults.str();
}

} // namespace

template <class Type, class BackendType>
struct run {
    using T = Type;
    using Backend = BackendType;
};

TEST_CASE_TEMPLATE("every combination of the options", Run, run<float, car::scalar_backend>, run<double, car::scalar_backend>,
                   run<car::bfloat16, car::scalar_backend>, run<car::float16, car::scalar_backend>, run<float, car::simd_backend>,
                   run<car::bfloat16, car::simd_backend>, run<car::float16, car::simd_backend>) {
    using T = typename Run::T;
    const std::size_t parts = types::exhaustive() ? 1 : 37; // a prime, so that no option is left out with another
    const std::size_t visited = for_each_combination(parts, [&](const combination& set) {
        const std::string faults = faults_of<T, typename Run::Backend>(set);
        if (!faults.empty()) {
            INFO(std::string(types::limits<T>::name) << ", " << text_of(set));
            FAIL_CHECK(faults);
        }
    });
    MESSAGE(std::string(types::limits<T>::name) << ": " << visited << " combinations");
    CHECK(visited > 1900);
}
