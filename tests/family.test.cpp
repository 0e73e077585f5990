// SPDX-License-Identifier: Apache-2.0
// The members of the family against their printed formulas: one table, one set of tests for all of its lines.
#include <car/family/cal.hpp>
#include <car/family/cf_vqa.hpp>
#include <car/family/counterfactual_entropy.hpp>
#include <car/family/dragonnet.hpp>
#include <car/family/irm.hpp>
#include <car/family/learned_mixin.hpp>
#include <car/family/logit_pairing.hpp>
#include <car/family/product_of_experts.hpp>
#include <car/family/rubi.hpp>
#include <car/family/v_rex.hpp>
#include <car/family/xerm.hpp>

#include "support/family_reference.hpp"
#include "support/message.hpp"
#include "support/random.hpp"
#include "support/types.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

using reference::dual;
using reference::duals;
using reference::wide;

namespace {

/// What a member is given, and where it writes.
template <class T>
struct given {
    std::size_t rows, classes;
    std::vector<std::vector<T>> inputs, gradients;
    std::vector<int> labels;
    std::vector<car::term_of<T>> upstream, sample_weight, weight, row_loss;
    car::reduction reduction = car::reduction::mean;
    std::optional<double> divisor = {};
    car::empty empty = car::empty::zero;
    bool in_place = false, transposed = false;

    std::size_t cols(std::size_t a) const { return inputs[a].size() / rows; }
    template <class U>
    car::matrix_view<U> laid_out(U* data, std::size_t a) const {
        const auto n = static_cast<std::ptrdiff_t>(rows), c = static_cast<std::ptrdiff_t>(cols(a));
        return transposed ? car::matrix_view<U>(data, n, c, 1, n) : car::matrix_view<U>(data, n, c);
    }
    car::matrix_view<const T> in(std::size_t a) const { return laid_out<const T>(inputs[a].data(), a); }
    car::vector_view<const T> vector(std::size_t a) const { return inputs[a]; }
    void below_zero(std::size_t a) { // logarithms of probabilities
        for (T& v : inputs[a]) v = static_cast<T>(-std::abs(static_cast<double>(v)));
    }
    car::matrix_view<T> grad(std::size_t a) { return laid_out<T>(in_place ? inputs[a].data() : gradients[a].data(), a); }

    /// The arrays that every member has, and the gradients of the inputs in their order.
    template <class Arrays, class... Fields>
    Arrays arrays(Fields... fields) {
        Arrays all;
        all.row_loss = row_loss;
        all.upstream = upstream;
        all.sample_weight = sample_weight;
        if constexpr (requires { all.weight; }) all.weight = weight;
        std::size_t a = 0;
        const auto put = [&](auto field) {
            if constexpr (std::is_same_v<std::remove_reference_t<decltype(all.*field)>, car::vector_view<T>>) {
                const auto one = grad(a++);
                all.*field = car::vector_view<T>(one.data, one.rows);
            } else {
                all.*field = grad(a++);
            }
        };
        (put(fields), ...);
        return all;
    }
};

/// The terms of a row with their weights, and what the bounds of docs/family.md are made of, in u.
struct expected {
    duals terms;
    wide magnitude = 0; // what terms are measured in beside themselves
    wide weights = 1;   // of the terms, added up
    wide off = 0;       // logits in double
    wide logits = 0;    // the largest, which narrower types add to that
    wide shares = 0;    // what multiplies the terms
};

using row_inputs = std::vector<duals>;

template <class T>
struct member {
    const char* name;
    std::vector<std::size_t> cols; // of each input; 0: as many as there are classes
    std::size_t learns;            // inputs that have a gradient, from the first
    std::function<car::family_result(given<T>&)> run;
    std::function<expected(const row_inputs&, std::size_t)> reference;
    bool has_softmax = true;
    double largest = 1e9; // of the inputs that are tried
};

expected fusion_reference(car::fusion fusion, car::formula as, const row_inputs& x, std::size_t y) {
    const dual floor = as == car::formula::exact ? 0.0 : 1e-12;
    const auto h = [fusion, as, floor](const dual& p, const dual& q, const dual& v) {
        using namespace reference;
        if (fusion == car::fusion::gate) return p * sigmoid(q);
        if (fusion == car::fusion::sum) return as == car::formula::exact ? log_sigmoid(p + q + v) : log(sigmoid(p + q + v) + floor);
        const dual z = sigmoid(p) * sigmoid(q) * sigmoid(v);
        return log(z + floor) - log1p(z);
    };
    const bool gate = fusion == car::fusion::gate;
    const duals fused = reference::each(x[0].size(), [&](std::size_t k) { return h(x[0][k], x[1][k], x[2][k]); });
    const duals blind = reference::each(x[0].size(), [&](std::size_t k) { return h(0.25, reference::detached(x[1][k]), 0.25); });
    const dual apart = reference::cross_entropy(blind, reference::detached(reference::softmax(fused)));
    wide most = reference::largest(fused) + reference::largest(blind);
    for (const duals& one : x) most += reference::largest(one);
    return {.terms = {reference::cross_entropy(fused, y), dual(0.5) * reference::cross_entropy(x[1], y),
                      dual(gate ? 0.0 : 0.75) * reference::cross_entropy(x[2], y), dual(1.5) * apart},
            .weights = 3.75,
            .off = 14 * (1 + most),
            .logits = most};
}

template <class T>
member<T> fusion_member(const char* name, car::fusion fusion, car::formula as = car::formula::exact) {
    return {name,
            {0, 0, 0},
            3,
            [fusion, as](given<T>& g) -> car::family_result {
                using arrays = car::cf_vqa_arrays<T>;
                return car::cf_vqa(g.in(0), g.in(1), g.in(2), g.labels,
                                   {.fusion = fusion,
                                    .constant = 0.25,
                                    .question_weight = 0.5,
                                    .vision_weight = 0.75,
                                    .divergence_weight = 1.5,
                                    .formula = as,
                                    .reduction = g.reduction,
                                    .divisor = g.divisor,
                                    .empty = g.empty},
                                   g.template arrays<arrays>(&arrays::grad_p, &arrays::grad_q, &arrays::grad_v));
            },
            [fusion, as](const row_inputs& x, std::size_t y) { return fusion_reference(fusion, as, x, y); }};
}

template <class T>
member<T> entropy_member(const char* name, car::counterfactual_target target) {
    return {name,
            {0},
            1,
            [target](given<T>& g) -> car::family_result {
                using arrays = car::counterfactual_entropy_arrays<T>;
                return car::counterfactual_entropy(g.in(0), g.labels,
                                                   {.target = target, .reduction = g.reduction, .divisor = g.divisor, .empty = g.empty},
                                                   g.template arrays<arrays>(&arrays::grad_p));
            },
            [target](const row_inputs& x, std::size_t y) -> expected {
                const duals& p = x[0];
                dual sum, others;
                double live = 0;
                for (std::size_t k = 0; k != p.size(); ++k) {
                    if (reference::masked(p[k].v)) continue;
                    if (k != y) others = others + reference::softmax(p, k);
                    if (target == car::counterfactual_target::uniform_others && k == y) continue;
                    sum = sum + reference::cross_entropy(p, k);
                    ++live;
                }
                const wide most = reference::largest(p);
                if (target != car::counterfactual_target::not_label) return {.terms = {sum / dual(live)}, .logits = most};
                const wide lead = reference::magnitude(log(others / reference::softmax(p, y)).v);
                return {.terms = {-log(others)}, .off = 8 * (lead + 2 * logq(static_cast<wide>(p.size()))), .logits = most};
            }};
}

template <class T>
member<T> pairing_member(const char* name, car::pairing pairing, car::formula as = car::formula::exact) {
    return {name,
            {0, 0},
            2,
            [pairing, as](given<T>& g) -> car::family_result {
                using arrays = car::logit_pairing_arrays<T>;
                return car::logit_pairing(
                    g.in(0), g.in(1), {.pairing = pairing, .formula = as, .reduction = g.reduction, .divisor = g.divisor, .empty = g.empty},
                    g.template arrays<arrays>(&arrays::grad_p, &arrays::grad_c));
            },
            [pairing, as](const row_inputs& x, std::size_t) -> expected {
                dual sum, product, p, c;
                for (std::size_t k = 0; k != x[0].size(); ++k) {
                    const dual d = x[0][k] - x[1][k];
                    sum = sum + (pairing == car::pairing::squared ? d * d : abs(d));
                    product = product + x[0][k] * x[1][k];
                    p = p + x[0][k] * x[0][k];
                    c = c + x[1][k] * x[1][k];
                }
                if (pairing != car::pairing::cosine) return {{sum / dual(static_cast<double>(x[0].size()))}};
                const dual distance = dual(1.0) - product / (sqrt(p) * sqrt(c));
                const wide root = distance.v > 0 ? sqrtq(distance.v) : 0;
                return as == car::formula::exact ? expected{{distance}, root} : expected{{distance - dual(1.0)}, 1 + root};
            },
            false};
}

/// A new member is one line here.
template <class T>
std::vector<member<T>> members() {
    return {{"cal",
             {0, 0},
             2,
             [](given<T>& g) -> car::family_result {
                 using arrays = car::cal_arrays<T>;
                 return car::cal(g.in(0), g.in(1), g.labels,
                                 {.strength = 0.5,
                                  .factual_weight = 0.75,
                                  .corrected_weight = 1.5,
                                  .reduction = g.reduction,
                                  .divisor = g.divisor,
                                  .empty = g.empty},
                                 g.template arrays<arrays>(&arrays::grad_p, &arrays::grad_c));
             },
             [](const row_inputs& x, std::size_t y) -> expected {
                 const duals corrected = reference::each(x[0].size(), [&](std::size_t k) { return x[0][k] - dual(0.5) * x[1][k]; });
                 return {.terms = {dual(0.75) * reference::cross_entropy(x[0], y), dual(1.5) * reference::cross_entropy(corrected, y)},
                         .weights = 2.25,
                         .logits = reference::largest(x[0]) + reference::largest(corrected)};
             }},
            {"product_of_experts",
             {0, 0},
             2,
             [](given<T>& g) -> car::family_result {
                 using arrays = car::product_of_experts_arrays<T>;
                 return car::product_of_experts(g.in(0), g.in(1), g.labels,
                                                {.strength = 0.5, .reduction = g.reduction, .divisor = g.divisor, .empty = g.empty},
                                                g.template arrays<arrays>(&arrays::grad_p, &arrays::grad_bias));
             },
             [](const row_inputs& x, std::size_t y) -> expected {
                 const duals sum = reference::each(x[0].size(), [&](std::size_t k) { return x[0][k] + dual(0.5) * x[1][k]; });
                 return {.terms = {reference::cross_entropy(sum, y)}, .logits = reference::largest(sum)};
             }},
            {"rubi",
             {0, 0, 0},
             3,
             [](given<T>& g) -> car::family_result {
                 using arrays = car::rubi_arrays<T>;
                 return car::rubi(g.in(0), g.in(1), g.in(2), g.labels,
                                  {.question_weight = 0.75, .reduction = g.reduction, .divisor = g.divisor, .empty = g.empty},
                                  g.template arrays<arrays>(&arrays::grad_p, &arrays::grad_q, &arrays::grad_q_out));
             },
             [](const row_inputs& x, std::size_t y) -> expected {
                 const duals gated = reference::each(x[0].size(), [&](std::size_t k) { return x[0][k] * reference::sigmoid(x[1][k]); });
                 return {.terms = {reference::cross_entropy(gated, y), dual(0.75) * reference::cross_entropy(x[2], y)},
                         .weights = 1.75,
                         .off = 10 * reference::largest(gated),
                         .logits = reference::largest(gated) + reference::largest(x[2])};
             }},
            {"learned_mixin",
             {0, 0, 1},
             3,
             [](given<T>& g) -> car::family_result {
                 using arrays = car::learned_mixin_arrays<T>;
                 return car::learned_mixin(g.in(0), g.in(1), g.vector(2), g.labels,
                                           {.entropy_weight = 0.75, .reduction = g.reduction, .divisor = g.divisor, .empty = g.empty},
                                           g.template arrays<arrays>(&arrays::grad_p, &arrays::grad_bias, &arrays::grad_gate));
             },
             [](const row_inputs& x, std::size_t y) -> expected {
                 const dual opened = reference::log1p(reference::exp(x[2][0]));
                 const duals scaled = reference::each(x[0].size(), [&](std::size_t k) { return opened * x[1][k]; });
                 const duals mixed = reference::each(x[0].size(), [&](std::size_t k) { return x[0][k] + scaled[k]; });
                 return {.terms = {reference::cross_entropy(mixed, y),
                                   dual(0.75) * reference::cross_entropy(scaled, reference::softmax(scaled))},
                         .weights = 1.75,
                         .off = 10 * reference::largest(scaled),
                         .logits = reference::largest(scaled) + reference::largest(mixed)};
             }},
            entropy_member<T>("counterfactual_entropy, not the label", car::counterfactual_target::not_label),
            entropy_member<T>("counterfactual_entropy, uniform", car::counterfactual_target::uniform),
            entropy_member<T>("counterfactual_entropy, uniform over the others", car::counterfactual_target::uniform_others),
            fusion_member<T>("cf_vqa, sum", car::fusion::sum),
            fusion_member<T>("cf_vqa, harmonic", car::fusion::harmonic),
            fusion_member<T>("cf_vqa, gate", car::fusion::gate),
            {"xerm",
             {0, 0, 0},
             1,
             [](given<T>& g) -> car::family_result {
                 using arrays = car::xerm_arrays<T>;
                 return car::xerm(g.in(0), g.in(1), g.in(2), g.labels,
                                  {.gamma = 1.5, .reduction = g.reduction, .divisor = g.divisor, .empty = g.empty},
                                  g.template arrays<arrays>(&arrays::grad_p));
             },
             [](const row_inputs& x, std::size_t y) -> expected {
                 using namespace reference;
                 const dual ratio = dual(1.5) * log(cross_entropy(x[1], y) / cross_entropy(x[2], y)),
                            w = dual(1.0) / (dual(1.0) + exp(ratio));
                 const dual rest = dual(1.0) / (dual(1.0) + exp(-ratio));
                 const duals terms{detached(w) * cross_entropy(x[0], detached(softmax(x[2]))), detached(rest) * cross_entropy(x[0], y)};
                 const wide logarithms =
                     reference::magnitude(log(cross_entropy(x[1], y)).v) + reference::magnitude(log(cross_entropy(x[2], y)).v);
                 const wide most = largest(x[0]) + largest(x[1]) + largest(x[2]);
                 return {.terms = terms, .logits = 4 * most, .shares = 1.5 * (20 + 4 * logarithms)};
             }},
            {"dragonnet",
             {1, 1, 1, 1, 1},
             3,
             [](given<T>& g) -> car::family_result {
                 using arrays = car::dragonnet_arrays<T>;
                 return car::dragonnet(g.vector(0), g.vector(1), g.vector(2), g.vector(3), g.vector(4),
                                       {.treatment_weight = 0.5,
                                        .targeted_weight = 0.75,
                                        .epsilon = 0.25,
                                        .reduction = g.reduction,
                                        .divisor = g.divisor,
                                        .empty = g.empty},
                                       g.template arrays<arrays>(&arrays::grad_y0, &arrays::grad_y1, &arrays::grad_propensity));
             },
             [](const row_inputs& x, std::size_t) -> expected {
                 using namespace reference;
                 const dual y0 = x[0][0], y1 = x[1][0], y = x[3][0], t = x[4][0], one = 1.0, e = sigmoid(x[2][0]), rest = sigmoid(-x[2][0]);
                 const dual h = t / e - (one - t) / rest, off = y - (t * y1 + (one - t) * y0) - dual(0.25) * h;
                 const wide size = magnitude(y.v) + magnitude(t.v * y1.v) + magnitude((1 - t.v) * y0.v) + magnitude(t.v / e.v) +
                                   magnitude((1 - t.v) / rest.v);
                 return {{(one - t) * (y - y0) * (y - y0), t * (y - y1) * (y - y1), dual(0.5) * -t * log(e),
                          dual(0.5) * (t - one) * log(rest), dual(0.75) * off * off},
                         size * size};
             },
             false,
             3.0},
            pairing_member<T>("logit_pairing, squared", car::pairing::squared),
            pairing_member<T>("logit_pairing, absolute", car::pairing::absolute),
            pairing_member<T>("logit_pairing, cosine", car::pairing::cosine)};
}

/// The published program of the product of experts and of the learned mixin: an answer is a pair of logarithms, of its being right and
/// wrong, to which the expert's are added.
expected answers_reference(const row_inputs& x, std::size_t y, const dual& g, double entropy_weight, const dual& s = 0.25) {
    using namespace reference;
    const dual one = 1.0, classes(static_cast<double>(x[0].size()));
    dual loss, entropy;
    wide most = 0;
    for (std::size_t k = 0; k != x[0].size(); ++k) {
        const dual b = exp(x[1][k]), yes = g * log(b + s), no = g * log(one - b + s);
        const dual right = log_sigmoid(x[0][k]) + yes, wrong = log_sigmoid(-x[0][k]) + no, norm = log(exp(right) + exp(wrong));
        loss = loss + (k == y ? norm - right : norm - wrong);
        const dual both = log(exp(yes) + exp(no)), first = yes - both, second = no - both;
        entropy = entropy - (exp(first) * first + exp(second) * second) / classes;
        most += magnitude(x[0][k].v) + magnitude(yes.v) + magnitude(no.v) + magnitude(g.v);
    }
    return {{loss, dual(entropy_weight) * entropy}, most};
}

/// What the published programs compute, with what they add to the formula.
template <class T>
std::vector<member<T>> published_members() {
    constexpr auto published = car::formula::as_published;
    return {fusion_member<T>("cf_vqa, sum", car::fusion::sum, published),
            fusion_member<T>("cf_vqa, harmonic", car::fusion::harmonic, published),
            fusion_member<T>("cf_vqa, gate", car::fusion::gate, published),
            pairing_member<T>("logit_pairing, cosine", car::pairing::cosine, published),
            {"product_of_experts",
             {0, 0},
             2,
             [](given<T>& g) -> car::family_result {
                 using arrays = car::product_of_experts_arrays<T>;
                 g.below_zero(1);
                 return car::product_of_experts(g.in(0), g.in(1), g.labels,
                                                {.strength = 0.5, .formula = published, .smoothing = 0.25, .reduction = g.reduction},
                                                g.template arrays<arrays>(&arrays::grad_p, &arrays::grad_bias));
             },
             [](const row_inputs& x, std::size_t y) { return answers_reference(x, y, 0.5, 0); }},
            {"learned_mixin",
             {0, 0, 1},
             3,
             [](given<T>& g) -> car::family_result {
                 using arrays = car::learned_mixin_arrays<T>;
                 g.below_zero(1);
                 return car::learned_mixin(g.in(0), g.in(1), g.vector(2), g.labels,
                                           {.entropy_weight = 0.75, .formula = published, .smoothing = 0.25, .reduction = g.reduction},
                                           g.template arrays<arrays>(&arrays::grad_p, &arrays::grad_bias, &arrays::grad_gate));
             },
             [](const row_inputs& x, std::size_t y) { return answers_reference(x, y, reference::log1p(reference::exp(x[2][0])), 0.75); }},
            {"counterfactual_entropy, not the label",
             {0},
             1,
             [](given<T>& g) -> car::family_result {
                 using arrays = car::counterfactual_entropy_arrays<T>;
                 return car::counterfactual_entropy(g.in(0), g.labels, {.formula = published, .reduction = g.reduction},
                                                    g.template arrays<arrays>(&arrays::grad_p));
             },
             [](const row_inputs& x, std::size_t y) -> expected {
                 using namespace reference;
                 wide most = x[0][0].v;
                 for (const dual& p : x[0]) most = p.v > most ? p.v : most;
                 const dual floor = x[0].size() == 2 ? 0.0 : 1e-20;
                 dual all, others;
                 for (std::size_t k = 0; k != x[0].size(); ++k) {
                     const dual e = exp(x[0][k] - dual(most)); // the program's maximum is detached, and so is this one
                     all = all + e;
                     if (k != y) others = others + e;
                 }
                 return {{log(all + floor) - log(others + floor)}, magnitude(logq(others.v)) + 1};
             }},
            {"xerm",
             {0, 0, 0},
             1,
             [](given<T>& g) -> car::family_result {
                 using arrays = car::xerm_arrays<T>;
                 return car::xerm(g.in(0), g.in(1), g.in(2), g.labels, {.formula = published, .reduction = g.reduction},
                                  g.template arrays<arrays>(&arrays::grad_p));
             },
             [](const row_inputs& x, std::size_t y) -> expected {
                 using namespace reference;
                 const dual f = cross_entropy(x[1], y) * cross_entropy(x[1], y), cf = cross_entropy(x[2], y) * cross_entropy(x[2], y);
                 const dual w = detached(cf / (cf + f + dual(1e-5)));
                 const duals terms{w * cross_entropy(x[0], detached(softmax(x[2]))), (dual(1.0) - w) * cross_entropy(x[0], y)};
                 const wide logarithms = magnitude(logq(f.v)) + magnitude(logq(cf.v));
                 return {terms, logarithms * (1 + largest(x[0]))};
             }},
            {"dragonnet",
             {1, 1, 1, 1, 1},
             3,
             [](given<T>& g) -> car::family_result {
                 using arrays = car::dragonnet_arrays<T>;
                 return car::dragonnet(g.vector(0), g.vector(1), g.vector(2), g.vector(3), g.vector(4),
                                       {.epsilon = 0.25, .formula = published, .reduction = g.reduction},
                                       g.template arrays<arrays>(&arrays::grad_y0, &arrays::grad_y1, &arrays::grad_propensity));
             },
             [](const row_inputs& x, std::size_t) -> expected {
                 using namespace reference;
                 const dual y0 = x[0][0], y1 = x[1][0], y = x[3][0], t = x[4][0], one = 1.0, e = sigmoid(x[2][0]);
                 const dual squeezed = (e + dual(0.001)) / dual(1.002), narrowed = (e + dual(0.01)) / dual(1.02);
                 const dual off = y - (t * y1 + (one - t) * y0) - dual(0.25) * (t / narrowed - (one - t) / (one - narrowed));
                 return {{(one - t) * (y - y0) * (y - y0), t * (y - y1) * (y - y1), -t * log(squeezed), (t - one) * log(one - squeezed),
                          off * off},
                         1000 * (1 + magnitude(t.v)) * (1 + magnitude(t.v))};
             },
             false,
             3.0}};
}

template <class T>
given<T> make(const member<T>& m, std::size_t rows, std::size_t classes, double size, cases::generator& random) {
    given<T> g{rows, classes, {}, {}, {}, {}, {}, {}, std::vector<car::term_of<T>>(rows, car::term_of<T>(-7))};
    for (const std::size_t cols : m.cols) {
        std::vector<T> values(rows * (cols == 0 ? classes : cols));
        for (T& v : values) v = static_cast<T>(size * random.normal());
        g.gradients.emplace_back(values.size(), T(-7));
        g.inputs.push_back(std::move(values));
    }
    for (std::size_t i = 0; i != rows; ++i) {
        g.labels.push_back(static_cast<int>(random.below(classes)));
        g.upstream.push_back(static_cast<car::term_of<T>>(-1.5 + static_cast<double>(i)));
        g.sample_weight.push_back(static_cast<car::term_of<T>>(i % 3 == 0 ? 1 : 0.75));
    }
    for (std::size_t k = 0; k != classes; ++k) g.weight.push_back(static_cast<car::term_of<T>>(k % 2 == 0 ? 1 : 0.5));
    return g;
}

template <class T>
double weight_of(const given<T>& g, const member<T>& m, std::size_t i) {
    if (!m.has_softmax) return static_cast<double>(g.sample_weight[i]);
    return static_cast<double>(g.sample_weight[i]) * static_cast<double>(g.weight[static_cast<std::size_t>(g.labels[i])]);
}

template <class T>
row_inputs row_of(const given<T>& g, std::size_t i, std::size_t input = 99, std::size_t column = 0) {
    row_inputs x(g.inputs.size());
    for (std::size_t a = 0; a != g.inputs.size(); ++a)
        for (std::size_t k = 0; k != g.cols(a); ++k) {
            x[a].emplace_back(static_cast<wide>(g.inputs[a][i * g.cols(a) + k]));
            if (a == input && k == column) x[a].back().d = x[a].back().s = 1;
        }
    return x;
}

dual sum_of(const expected& e) {
    dual sum;
    for (const dual& term : e.terms) sum = sum + term;
    return sum;
}

/// So many roundings of double, one of the type, and two of the least normal number.
template <class T>
bool within(double got, wide want, wide roundings) {
    const wide allowed = roundings * static_cast<wide>(0x1p-53) + reference::magnitude(want) * static_cast<wide>(types::u<T>) +
                         2 * static_cast<wide>(types::limits<T>::least_normal);
    return reference::magnitude(static_cast<wide>(got) - want) <= allowed;
}

/// The bounds of docs/family.md.
template <class T>
wide off(const expected& e) {
    return std::is_same_v<T, double> ? e.off : e.off + 4 * e.logits;
}
template <class T>
wide value_bound(const expected& e) {
    wide size = 0;
    for (const dual& term : e.terms) size += reference::magnitude(term.v);
    return 32 * (size + e.magnitude) + e.shares * size + 2 * off<T>(e) * (e.weights + size);
}
template <class T>
wide slope_bound(const expected& e) {
    return (32 * (1 + e.magnitude) + e.shares + 4 * off<T>(e)) * sum_of(e).s;
}

/// What a row is to give, and its derivative along each number that learns, in the order of inputs and columns.
struct expected_row {
    expected value;
    std::vector<expected> slopes;
};
template <class T>
std::vector<expected_row> expected_rows(const member<T>& m, const given<T>& g) {
    std::vector<expected_row> rows;
    for (std::size_t i = 0; i != g.rows; ++i) {
        const auto y = static_cast<std::size_t>(g.labels[i]);
        rows.push_back({m.reference(row_of(g, i), y), {}});
        for (std::size_t a = 0; a != m.learns; ++a)
            for (std::size_t k = 0; k != g.cols(a); ++k) rows.back().slopes.push_back(m.reference(row_of(g, i, a, k), y));
    }
    return rows;
}

template <class T>
void check(const member<T>& m, given<T>& g, const std::vector<expected_row>& rows) {
    const car::family_result result = m.run(g);
    wide total = 0, weights = 0, room = 0;
    for (std::size_t i = 0; i != g.rows; ++i) weights += weight_of(g, m, i);
    const wide divisor = g.reduction != car::reduction::mean ? 1 : g.divisor ? static_cast<wide>(*g.divisor) : weights;
    for (std::size_t i = 0; i != g.rows; ++i) {
        const double weight = weight_of(g, m, i);
        const expected& want = rows[i].value;
        const wide bound = value_bound<T>(want);
        INFO(std::string(m.name) << ", " << types::limits<T>::name << ", row " << i << " of " << g.rows << ", C = " << g.classes);
        CHECK(within<car::term_of<T>>(static_cast<double>(g.row_loss[i]), weight * sum_of(want).v, weight * bound));
        total += weight * sum_of(want).v;
        room += weight * bound;
        const wide factor = weight * static_cast<wide>(g.upstream[i]) / divisor;
        std::size_t next = 0;
        for (std::size_t a = 0; a != m.learns; ++a)
            for (std::size_t k = 0; k != g.cols(a); ++k) {
                const expected& at = rows[i].slopes[next++];
                const dual slope = sum_of(at);
                const auto got = static_cast<double>(g.gradients[a][i * g.cols(a) + k]);
                INFO("input " << a << ", column " << k << ": " << got << ", expected " << static_cast<double>(factor * slope.d));
                CHECK(within<T>(got, factor * slope.d, reference::magnitude(factor) * slope_bound<T>(at)));
            }
    }
    CHECK(result.count == static_cast<std::int64_t>(g.rows));
    CHECK(result.status.ok());
    CHECK(within<double>(result.weight, weights, 2 * weights));
    if (g.reduction == car::reduction::none)
        CHECK(std::isnan(result.value));
    else
        CHECK(within<double>(result.value, total / divisor, room / divisor));
}

} // namespace

TEST_CASE_TEMPLATE("every member: values and gradients against its formula in 113 bits", T, float, double, car::bfloat16) {
    cases::generator random(5);
    for (const member<T>& m : members<T>())
        for (const std::size_t classes : {1u, 2u, 3u, 11u})
            for (const double size : {0.1, 3.0, 40.0}) {
                if ((classes == 1 && !m.has_softmax) || size > m.largest) continue;
                if (classes == 1 && (std::string(m.name).find("others") != std::string::npos || std::string(m.name) == "xerm" ||
                                     std::string(m.name).find("not the label") != std::string::npos))
                    continue; // there is no other class
                given<T> g = make(m, 3, classes, size, random);
                const std::vector<expected_row> rows = expected_rows(m, g);
                for (const auto reduction : {car::reduction::mean, car::reduction::sum, car::reduction::none}) {
                    g.reduction = reduction;
                    check(m, g, rows);
                    if (size != 3.0) break;
                    g.divisor = 0.75; // of the mean alone
                    check(m, g, rows);
                    g.divisor.reset();
                }
            }
}

TEST_CASE_TEMPLATE("as published: values and gradients of the programs' formulas", T, float, double) {
    cases::generator random(15);
    for (const member<T>& m : published_members<T>())
        for (const std::size_t classes : {2u, 3u, 11u})
            for (const double size : {0.1, 3.0, 20.0}) {
                if (size > m.largest) continue;
                given<T> g = make(m, 3, classes, size, random);
                g.reduction = car::reduction::sum;
                m.run(g); // which makes what an expert is given logarithms of probabilities
                check(m, g, expected_rows(m, g));
            }
    // The smoothing's gradient, of a sum over rows.
    given<double> g = make(published_members<double>()[4], 3, 5, 2.0, random);
    g.inputs.push_back({0.5, -1, 2});
    g.below_zero(1);
    const car::matrix_view<const double> P = g.in(0), B(g.inputs[1].data(), 3, 5);
    const dual s(0.25, 1, 1);
    wide of_product = 0, of_mixin = 0;
    for (std::size_t i = 0; i != 3; ++i) {
        const row_inputs x = row_of(g, i);
        const auto y = static_cast<std::size_t>(g.labels[i]);
        of_product += static_cast<wide>(g.upstream[i]) * sum_of(answers_reference(x, y, 1.0, 0, s)).d;
        of_mixin += static_cast<wide>(g.upstream[i]) *
                    sum_of(answers_reference(x, y, reference::detached(reference::log1p(reference::exp(x[2][0]))), 0.75, s)).d;
    }
    constexpr auto published = car::formula::as_published;
    CHECK(car::product_of_experts(P, B, g.labels, {.formula = published, .smoothing = 0.25, .reduction = car::reduction::sum},
                                  {.upstream = g.upstream})
              .grad_smoothing == doctest::Approx(static_cast<double>(of_product)).epsilon(1e-13));
    CHECK(car::learned_mixin(P, B, g.vector(2), g.labels,
                             {.entropy_weight = 0.75, .formula = published, .smoothing = 0.25, .reduction = car::reduction::sum},
                             {.upstream = g.upstream})
              .grad_smoothing == doctest::Approx(static_cast<double>(of_mixin)).epsilon(1e-13));
    CHECK(message_of([&] { car::product_of_experts(P, B, g.labels, {.smoothing = 0.25}); }) ==
          "car::product_of_experts: smoothing is given, expected formula::as_published");
    // Where the difference shows: a class below the floor, a sure label.
    const double p[1][3] = {{60, 0, 0}}, q[1][3] = {{-50, 0, 0}};
    const std::vector sure{0};
    CHECK(car::counterfactual_entropy(p, sure, {.formula = car::formula::as_published}).value == doctest::Approx(46.0517).epsilon(1e-5));
    CHECK(car::counterfactual_entropy(p, sure).value == doctest::Approx(60 - std::log(2.0)).epsilon(1e-12));
    const car::cf_vqa_options exact{.question_weight = 0, .vision_weight = 0, .divergence_weight = 0},
        floored{.question_weight = 0, .vision_weight = 0, .divergence_weight = 0, .formula = car::formula::as_published};
    const double zero[1][3] = {};
    CHECK(car::cf_vqa(q, zero, zero, sure, exact).value > 49);
    CHECK(car::cf_vqa(q, zero, zero, sure, floored).value < 28.2);
}

TEST_CASE_TEMPLATE("every member: a masked class has gradient 0 and counts for nothing", T, float, double) {
    cases::generator random(6);
    for (const member<T>& m : members<T>()) {
        if (!m.has_softmax || std::string(m.name) == "xerm") continue;
        given<T> g = make(m, 3, 5, 2.0, random);
        for (std::size_t i = 0; i != 3; ++i) {
            g.labels[i] = static_cast<int>(i);
            for (std::size_t a = 0; a != g.inputs.size(); ++a)
                if (g.cols(a) == 5) g.inputs[a][i * 5 + 4] = -std::numeric_limits<T>::infinity();
            if (std::string(m.name) == "cal") g.inputs[1][i * 5 + 4] = std::numeric_limits<T>::quiet_NaN(); // not read
        }
        given<T> narrow = g;
        narrow.classes = 4;
        for (std::size_t a = 0; a != g.inputs.size(); ++a) {
            if (g.cols(a) != 5) continue;
            for (std::size_t i = 3; i-- != 0;) narrow.inputs[a].erase(narrow.inputs[a].begin() + static_cast<std::ptrdiff_t>(i * 5 + 4));
            narrow.gradients[a].resize(12);
        }
        narrow.weight.pop_back();
        INFO(std::string(m.name));
        const auto wide_result = m.run(g), narrow_result = m.run(narrow);
        CHECK(wide_result.value == narrow_result.value);
        CHECK(wide_result.status.ok());
        for (std::size_t a = 0; a != m.learns; ++a)
            for (std::size_t i = 0; i != 3 && g.cols(a) == 5; ++i) {
                CHECK(g.gradients[a][i * 5 + 4] == 0);
                CHECK(!std::signbit(g.gradients[a][i * 5 + 4]));
                for (std::size_t k = 0; k != 4; ++k) CHECK(g.gradients[a][i * 5 + k] == narrow.gradients[a][i * 4 + k]);
            }
    }
}

TEST_CASE_TEMPLATE("every member: ignored rows, rows without an answer, and what they leave alone", T, float, double) {
    constexpr T inf = std::numeric_limits<T>::infinity(), no_number = std::numeric_limits<T>::quiet_NaN();
    cases::generator random(7);
    for (const member<T>& m : members<T>()) {
        INFO(std::string(m.name));
        given<T> clean = make(m, 4, 3, 2.0, random);
        clean.reduction = car::reduction::sum;
        clean.labels[1] = 1; // the column that is changed
        m.run(clean);
        const auto others_are_as_before = [&](const given<T>& g) {
            for (std::size_t i : {0u, 2u, 3u}) {
                CHECK(g.row_loss[i] == clean.row_loss[i]);
                for (std::size_t a = 0; a != m.learns; ++a)
                    for (std::size_t k = 0; k != g.cols(a); ++k)
                        CHECK(g.gradients[a][i * g.cols(a) + k] == clean.gradients[a][i * g.cols(a) + k]);
            }
        };
        const auto every_gradient = [&](const given<T>& g, auto is) {
            bool all = true;
            for (std::size_t a = 0; a != m.learns; ++a)
                for (std::size_t k = 0; k != g.cols(a); ++k) all = all && is(g.gradients[a][g.cols(a) + k]);
            return all;
        };
        for (std::size_t a = 0; a != clean.inputs.size(); ++a)
            for (const T value : {no_number, inf}) {
                if (a == 2 && std::string(m.name) == "cf_vqa, gate") continue; // not read
                if (value == inf && (a == 1 && (std::string(m.name) == "cal" || std::string(m.name) == "rubi"))) continue;
                given<T> g = clean;
                g.inputs[a][g.cols(a) * 1 + (g.cols(a) == 1 ? 0 : 1)] = value;
                const auto result = m.run(g);
                CHECK(std::isnan(result.value));
                CHECK(std::isnan(g.row_loss[1]));
                CHECK(every_gradient(g, [](T v) { return std::isnan(v); }));
                CHECK(result.status == car::row_status{car::fault::not_finite, 1, 1});
                others_are_as_before(g);
            }
        {
            given<T> g = clean;
            for (auto& values : g.inputs)
                for (std::size_t k = 0; k != values.size() / 4; ++k) values[values.size() / 4 + k] = no_number;
            m.has_softmax ? static_cast<void>(g.labels[1] = -100) : static_cast<void>(g.sample_weight[1] = 0);
            const auto result = m.run(g);
            CHECK(result.count == 3);
            CHECK(result.status.ok());
            CHECK(g.row_loss[1] == 0);
            CHECK(every_gradient(g, [](T v) { return v == 0 && !std::signbit(v); }));
            others_are_as_before(g);
        }
        if (!m.has_softmax) continue;
        given<T> g = clean;
        for (std::size_t k = 0; k != 3; ++k) g.inputs[0][3 + k] = -inf;
        const auto result = m.run(g);
        CHECK(result.status == car::row_status{car::fault::masked_row, 1, 1});
        CHECK(std::isnan(g.row_loss[1]));
        CHECK(every_gradient(g, [](T v) { return v == 0; }));
        others_are_as_before(g);
    }
}

TEST_CASE_TEMPLATE("every member: a masked label, and logits near the largest number", T, float, double) {
    constexpr T inf = std::numeric_limits<T>::infinity();
    cases::generator random(16);
    for (const member<T>& m : members<T>()) {
        const std::string name = m.name;
        if (!m.has_softmax) continue;
        INFO(name);
        if (name != "xerm" && name.find("entropy") == std::string::npos) {
            given<T> g = make(m, 1, 4, 2.0, random);
            g.inputs[0][static_cast<std::size_t>(g.labels[0])] = -inf;
            const auto result = m.run(g);
            CHECK(result.value == inf);
            CHECK(result.status.ok());
            for (std::size_t a = 0; a != m.learns; ++a)
                for (std::size_t k = 0; k != g.cols(a); ++k) CHECK(std::isfinite(g.gradients[a][k]));
        }
        given<T> g = make(m, 1, 4, 2.0, random);
        for (std::size_t k = 0; k != 4; ++k) g.inputs[0][k] = std::numeric_limits<T>::max() * (k % 2 == 0 ? T(0.4) : T(-0.4));
        const auto result = m.run(g);
        CHECK(!std::isnan(result.value));
        CHECK(result.status.ok());
        for (std::size_t a = 0; a != m.learns; ++a)
            for (std::size_t k = 0; k != g.cols(a); ++k) CHECK(!std::isnan(g.gradients[a][k]));
    }
    // Teachers that are both certain: the ratio of two zeros.
    const double p[1][2] = {{1, 2}}, sure[1][2] = {{1000, 0}};
    const auto undecided = car::xerm(p, sure, sure, std::vector{0});
    CHECK(std::isnan(undecided.value));
    CHECK(undecided.status == car::row_status{car::fault::not_finite, 0, 1});
    // What is not read may be left out.
    const std::vector second{1};
    CHECK(car::rubi(p, p, {}, second, {.question_weight = 0}).value == car::rubi(p, p, sure, second, {.question_weight = 0}).value);
    CHECK(car::cf_vqa(p, p, {}, second, {.fusion = car::fusion::gate}).value ==
          car::cf_vqa(p, p, sure, second, {.fusion = car::fusion::gate}).value);
    // No row that counts.
    for (const member<T>& m : members<T>()) {
        given<T> g = make(m, 2, 3, 2.0, random);
        for (auto& weight : g.sample_weight) weight = 0;
        INFO(std::string(m.name));
        CHECK(m.run(g).value == 0);
        g.empty = car::empty::nan;
        CHECK(std::isnan(m.run(g).value));
        for (const auto reduction : {car::reduction::sum, car::reduction::mean}) {
            g.reduction = reduction;
            g.divisor = 2;
            CHECK(m.run(g).value == 0);
        }
        g.divisor.reset();
        g.empty = car::empty::error;
        CHECK(message_of([&] { m.run(g); }).find("labels are all ignored, expected at least one row for the mean") != std::string::npos);
        for (std::size_t a = 0; a != m.learns; ++a)
            for (const T v : g.gradients[a]) CHECK(v == 0);
        g.divisor = 0;
        CHECK(message_of([&] { m.run(g); }).find("divisor is 0") != std::string::npos);
    }
    for (const auto reduction : {car::reduction::none, car::reduction::sum, car::reduction::mean}) {
        const std::vector ignored{-100};
        std::vector<car::term_of<T>> row_loss(1);
        const T x[1][2] = {};
        const auto found = car::cf_vqa(x, x, x, ignored, {.reduction = reduction, .empty = car::empty::nan}, {.row_loss = row_loss});
        CHECK(found.grad_constant == 0);
        CHECK(std::isnan(found.value) == (reduction != car::reduction::sum));
    }
    // No row at all.
    const car::matrix_view<const double> none(nullptr, 0, 2);
    CHECK(car::cal(none, none, std::vector<int>()).value == 0);
    CHECK(car::xerm(none, none, none, std::vector<int>()).count == 0);
}

TEST_CASE_TEMPLATE("every member: in place, and in columns, the same bits", T, float, double) {
    cases::generator random(8);
    for (const member<T>& m : members<T>()) {
        INFO(std::string(m.name));
        given<T> plain = make(m, 4, 5, 2.0, random), over = plain, turned = plain;
        const auto result = m.run(plain);
        over.in_place = true;
        CHECK(m.run(over).value == result.value);
        CHECK(over.row_loss == plain.row_loss);
        turned.transposed = true;
        for (std::size_t a = 0; a != plain.inputs.size(); ++a)
            for (std::size_t i = 0; i != 4; ++i)
                for (std::size_t k = 0; k != plain.cols(a); ++k) turned.inputs[a][k * 4 + i] = plain.inputs[a][i * plain.cols(a) + k];
        CHECK(m.run(turned).value == result.value);
        for (std::size_t a = 0; a != m.learns; ++a)
            for (std::size_t i = 0; i != 4; ++i)
                for (std::size_t k = 0; k != plain.cols(a); ++k) {
                    const T want = plain.gradients[a][i * plain.cols(a) + k];
                    CHECK(over.inputs[a][i * plain.cols(a) + k] == want);
                    CHECK(turned.gradients[a][k * 4 + i] == want);
                }
    }
}

TEST_CASE_TEMPLATE("rows of more than a window, wherever their maximum is, in place", T, float, double) {
    using reference::magnitude;
    cases::generator random(17);
    for (const std::size_t classes : {1023u, 1024u, 1025u, 2500u})
        for (const std::size_t peak : {std::size_t(0), classes / 2, classes - 1}) {
            std::vector<T> p(classes), bias(classes), gate{T(0.5)}, to_gate(1);
            for (T& v : p) v = static_cast<T>(3 * random.normal());
            for (T& v : bias) v = static_cast<T>(3 * random.normal());
            bias[peak] = T(20);
            p[classes / 3] = bias[classes / 3] = -std::numeric_limits<T>::infinity();
            const std::size_t y = classes - 1 - peak / 2;

            const wide g = log1pq(expq(static_cast<wide>(0.5)));
            std::vector<wide> F(classes), B(classes), scaled(classes);
            wide sum_f = 0, sum_b = 0, most = 0, mean = 0;
            for (std::size_t k = 0; k != classes; ++k) {
                scaled[k] = g * static_cast<wide>(bias[k]);
                if (k == classes / 3) continue;
                most = std::max({most, magnitude(scaled[k]), magnitude(static_cast<wide>(p[k]) + scaled[k])});
                sum_f += F[k] = expq(static_cast<wide>(p[k]) + scaled[k]);
                sum_b += B[k] = expq(scaled[k]);
                mean += B[k] * scaled[k];
            }
            mean /= sum_b;
            const wide surprise = logq(sum_f / F[y]), entropy = logq(sum_b) - mean;
            const wide off = (std::is_same_v<T, double> ? 20 : 28) * most;

            const auto P = car::matrix_view<T>(p.data(), 1, static_cast<std::ptrdiff_t>(classes)),
                       Q = car::matrix_view<T>(bias.data(), 1, static_cast<std::ptrdiff_t>(classes));
            const auto result = car::learned_mixin(car::matrix_view<const T>(P), Q, gate, std::vector{static_cast<int>(y)},
                                                   {.entropy_weight = 0.75}, {.grad_p = P, .grad_bias = Q, .grad_gate = to_gate});
            INFO("C = " << classes << ", the maximum at " << peak);
            CHECK(result.status.ok());
            CHECK(within<double>(result.cross_entropy, surprise, 32 * surprise + 2 * off * (1 + surprise)));
            CHECK(within<double>(result.entropy, entropy, 32 * entropy + 2 * off * (1 + entropy)));
            for (std::size_t k = 0; k != classes; ++k) {
                const bool masked = k == classes / 3;
                const wide likely = B[k] / sum_b, slope = F[k] / sum_f - (k == y);
                const wide turn = masked ? 0 : -0.75 * likely * (scaled[k] - mean);
                const wide size = magnitude(slope) + (masked ? 0 : 0.75 * likely * (magnitude(scaled[k]) + magnitude(mean)));
                CHECK(within<T>(static_cast<double>(p[k]), slope, (32 + 4 * off) * size));
                CHECK(within<T>(static_cast<double>(bias[k]), g * (slope + turn), (32 + 4 * off) * g * size));
            }
        }
}

TEST_CASE("every member: nothing counts, nothing is there") {
    cases::generator random(9);
    for (const member<double>& m : members<double>()) {
        INFO(std::string(m.name));
        given<double> g = make(m, 2, 3, 1.0, random);
        g.sample_weight.assign(2, 0);
        const auto result = m.run(g);
        CHECK(result.value == 0);
        CHECK(result.count == 0);
        CHECK(result.weight == 0);
    }
}

namespace {

/// Rows of three environments, the second of which has no row that counts; what irm and v_rex are to make of them.
struct worlds {
    static constexpr std::size_t rows = 9, classes = 4;
    std::vector<double> p, gradient = std::vector<double>(rows * classes, -7), upstream, sample_weight;
    std::vector<int> labels, environments{0, 2, 2, 0, 0, 1, 2, 0, 2};

    explicit worlds(double size, std::uint64_t seed) {
        cases::generator random(seed);
        for (std::size_t k = 0; k != rows * classes; ++k) p.push_back(size * random.normal());
        for (std::size_t i = 0; i != rows; ++i) {
            labels.push_back(static_cast<int>(random.below(classes)));
            upstream.push_back(-1.5);
            sample_weight.push_back(i == 5 ? 0 : i % 2 == 0 ? 1 : 0.5);
        }
    }
    car::matrix_view<const double> in() const { return {p.data(), rows, classes}; }

    /// Risk, slope of all rows and of both halves of an environment, with the derivative along one logit.
    struct one {
        dual risk, slope, half[2];
    };
    one environment(int e, std::size_t column) const {
        dual weight, risk, slope, weights[2], slopes[2];
        int half = 0;
        for (std::size_t i = 0; i != rows; ++i) {
            if (environments[i] != e) continue;
            duals z = reference::each(classes, [&](std::size_t k) { return dual(p[i * classes + k]); });
            if (column / classes == i) z[column % classes].d = z[column % classes].s = 1;
            const auto y = static_cast<std::size_t>(labels[i]);
            dual lead;
            for (std::size_t k = 0; k != classes; ++k) lead = lead + reference::softmax(z, k) * (z[k] - z[y]);
            const dual w(sample_weight[i]);
            weight = weight + w;
            risk = risk + w * reference::cross_entropy(z, y);
            slope = slope + w * lead;
            weights[half] = weights[half] + w;
            slopes[half] = slopes[half] + w * lead;
            half = 1 - half;
        }
        return {risk / weight, slope / weight, {slopes[0] / weights[0], slopes[1] / weights[1]}};
    }
};

/// `objective` of the two environments that have rows: terms that are added up.
template <class Objective>
void check_worlds(const worlds& w, const car::environments_result& got, Objective objective) {
    const auto value_of = [&](std::size_t column) { return objective(w.environment(0, column), w.environment(2, column)); };
    const dual want = value_of(w.p.size());
    double size = 1;
    for (const double z : w.p) size = std::max(size, std::abs(z));
    size += std::log(static_cast<double>(worlds::classes));
    const wide squared = static_cast<wide>(0.75 * size * size); // lambda M^2
    CHECK(within<double>(got.value, want.v, 32 * reference::magnitude(want.v) + 128 * squared));
    CHECK(got.environments == 2);
    CHECK(got.count == 8);
    for (std::size_t at = 0; at != w.p.size(); ++at) {
        const dual slope = value_of(at);
        CHECK(within<double>(w.gradient[at], static_cast<wide>(-1.5) * slope.d, static_cast<wide>(1.5) * (32 * slope.s + 512 * squared)));
        if (at / worlds::classes == 5) CHECK(w.gradient[at] == 0);
    }
}

} // namespace

TEST_CASE("irm and v_rex against their formulas in 113 bits") {
    for (const double size : {0.1, 2.0, 20.0}) {
        for (const auto reduction : {car::reduction::mean, car::reduction::sum}) {
            const dual share = reduction == car::reduction::mean ? 0.5 : 1.0, lambda = 0.75;
            worlds w(size, 11);
            const auto arrays = [&](auto all) {
                all.grad_p = car::matrix_view<double>(w.gradient.data(), worlds::rows, worlds::classes);
                all.upstream = w.upstream;
                all.sample_weight = w.sample_weight;
                return all;
            };
            using world = worlds::one;
            check_worlds(w,
                         car::irm(w.in(), w.labels, w.environments, {.penalty_weight = 0.75, .reduction = reduction},
                                  arrays(car::irm_arrays<double>{})),
                         [&](const world& a, const world& b) {
                             return share * (a.risk + b.risk + lambda * (a.slope * a.slope + b.slope * b.slope));
                         });
            check_worlds(w,
                         car::irm(w.in(), w.labels, w.environments,
                                  {.penalty_weight = 0.75, .penalty = car::irm_penalty::halves, .reduction = reduction},
                                  arrays(car::irm_arrays<double>{})),
                         [&](const world& a, const world& b) {
                             return share * (a.risk + b.risk + lambda * (a.half[0] * a.half[1] + b.half[0] * b.half[1]));
                         });
            check_worlds(w,
                         car::v_rex(w.in(), w.labels, w.environments, {.penalty_weight = 0.75, .reduction = reduction},
                                    arrays(car::v_rex_arrays<double>{})),
                         [&](const world& a, const world& b) {
                             const dual mean = dual(0.5) * (a.risk + b.risk);
                             return share *
                                    (a.risk + b.risk + lambda * ((a.risk - mean) * (a.risk - mean) + (b.risk - mean) * (b.risk - mean)));
                         });
        }
    }
    worlds masked(1, 12); // a label of probability 0 has no finite risk
    masked.p[static_cast<std::size_t>(masked.labels[0])] = -HUGE_VAL;
    const auto check_masked = [&](const auto& result) {
        CHECK(result.status == car::row_status{car::fault::not_finite, 0, 1});
        CHECK(std::isnan(result.value));
        CHECK(std::isnan(masked.gradient[0]));
    };
    check_masked(car::v_rex(masked.in(), masked.labels, masked.environments, {}, {.grad_p = {masked.gradient.data(), 9, 4}}));
    check_masked(
        car::irm(masked.in(), masked.labels, masked.environments, {.penalty_weight = 0}, {.grad_p = {masked.gradient.data(), 9, 4}}));
    worlds w(1, 12);
    w.p[0] = std::numeric_limits<double>::quiet_NaN(); // a row of environment 0
    const auto result = car::irm(w.in(), w.labels, w.environments, {}, {.grad_p = {w.gradient.data(), 9, 4}});
    CHECK(result.status == car::row_status{car::fault::not_finite, 0, 1});
    CHECK(std::isnan(result.value));
    CHECK(std::isnan(w.gradient[0]));
    CHECK(std::isfinite(w.gradient[4])); // environment 2 owes nothing to it
    CHECK(car::irm(car::matrix_view<const double>(w.p.data(), 0, 4), std::vector<int>(), std::vector<int>()).value == 0);
    CHECK(message_of([&] { car::irm(w.in(), w.labels, std::vector(9, 9)); }) == "car::irm: environment of row 0 is 9, expected 0 to 8");
    CHECK(message_of([&] { car::irm(w.in(), w.labels, std::vector(8, 0)); }) == "car::irm: environments has shape 8 x 1, expected 9 x 1");
    CHECK(message_of([&] { car::v_rex(w.in(), w.labels, w.environments, {.reduction = car::reduction::none}); }) ==
          "car::v_rex: reduction is none, expected mean or sum: a row has no loss of its own");
}

TEST_CASE("a term of weight 0 counts nothing, though it is infinite") {
    const double inf = HUGE_VAL;
    const auto one = [](const std::vector<double>& of) { return car::matrix_view<const double>(of.data(), 1, 3); };
    std::vector<double> a(3), b(3);
    const std::vector<double> masked{-inf, 1, 2}, plain{0, 1, 2}, high{1, 1, 2}, apart{inf, 1, 2};
    const std::vector<int> label{0};
    for (const car::cal_options& options : {car::cal_options{.corrected_weight = 0}, car::cal_options{.factual_weight = 0}}) {
        const auto found = car::cal(one(masked), one(plain), label, options, {.grad_p = {a.data(), 1, 3}, .grad_c = {b.data(), 1, 3}});
        CHECK(found.value == inf);
        CHECK(found.status.ok());
        for (std::size_t k = 0; k != 3; ++k) CHECK((std::isfinite(a[k]) && std::isfinite(b[k])));
    }
    const auto factual = car::cal(one(high), one(apart), label, {.corrected_weight = 0});
    CHECK(factual.value == doctest::Approx(std::log(2 + std::exp(1.0))).epsilon(1e-14));
    for (const auto fusion : {car::fusion::sum, car::fusion::harmonic, car::fusion::gate}) {
        const auto found = car::cf_vqa(one(plain), one(masked), one(plain), label,
                                       {.fusion = fusion, .question_weight = 0, .vision_weight = 0, .divergence_weight = 0});
        CHECK(found.value == inf);
        CHECK(found.status.ok());
    }
}

TEST_CASE("gamma of 0 believes both teachers alike, however sure one is") {
    const std::vector<double> p{1, 2, 3}, sure{0, -2000, -2000};
    const auto one = [](const auto& of) { return car::matrix_view<const double>(of.data(), 1, 3); };
    for (const auto formula : {car::formula::exact, car::formula::as_published}) {
        const auto found = car::xerm(one(p), one(sure), one(p), std::vector{0}, {.gamma = 0, .formula = formula});
        CHECK(found.share == doctest::Approx(formula == car::formula::exact ? 0.5 : 1 / 2.00001).epsilon(1e-15));
    }
}

TEST_CASE("the gradient of an input that is not read is 0") {
    const std::vector<double> p{1, 2, 3, 4}, q{0.5, -1, 2, 1};
    std::vector<double> gradient(4, 7);
    const car::matrix_view<const double> P(p.data(), 2, 2), Q(q.data(), 2, 2);
    const std::vector<int> labels{0, -100};
    car::rubi(P, Q, {}, labels, {.question_weight = 0}, {.grad_q_out = {gradient.data(), 2, 2}});
    CHECK(gradient == std::vector<double>(4, 0));
    std::fill(gradient.begin(), gradient.end(), 7);
    car::cf_vqa(P, Q, {}, labels, {.fusion = car::fusion::gate}, {.grad_v = {gradient.data(), 2, 2}});
    CHECK(gradient == std::vector<double>(4, 0));
}

TEST_CASE("experts as published that all but rule an answer out") {
    using real = long double; // whose exponents reach as far as these go
    const auto softplus = [](real x) { return (x > 0 ? x : 0) + std::log1p(std::exp(-std::abs(x))); };
    const auto sigmoid = [](real x) { return 1 / (1 + std::exp(-x)); };
    const std::vector<double> p{1, 2, 3}, gate{0.5};
    const car::matrix_view<const double> P(p.data(), 1, 3);
    for (const double low : {-5.0, -690.0, -720.0, -800.0})
        for (const int label : {0, 1})
            for (const bool mixin : {false, true}) {
                const std::vector<double> bias{low, -1, -2};
                std::vector<double> grad_p(3), grad_bias(3), grad_gate(1);
                const car::matrix_view<const double> B(bias.data(), 1, 3);
                const real g = mixin ? softplus(real(gate[0])) : real(1), entropy_weight = mixin ? 0.25L : 0;
                double value = 0, to_smoothing = 0;
                if (mixin) {
                    const auto found = car::learned_mixin(
                        P, B, gate, std::vector{label}, {.entropy_weight = 0.25, .formula = car::formula::as_published},
                        {.grad_p = {grad_p.data(), 1, 3}, .grad_bias = {grad_bias.data(), 1, 3}, .grad_gate = grad_gate});
                    value = found.value, to_smoothing = found.grad_smoothing;
                    CHECK(found.status.ok());
                } else {
                    const auto found = car::product_of_experts(P, B, std::vector{label}, {.formula = car::formula::as_published},
                                                               {.grad_p = {grad_p.data(), 1, 3}, .grad_bias = {grad_bias.data(), 1, 3}});
                    value = found.value, to_smoothing = found.grad_smoothing;
                    CHECK(found.status.ok());
                }
                real want = 0, want_smoothing = 0;
                const auto near = [&](double got, real exact) { // logarithms of 800 lose as many roundings
                    const double rounded = static_cast<double>(exact);
                    CHECK((got == rounded ||
                           std::abs(got - rounded) <= 4000 * 0x1p-53 * std::abs(rounded) + std::numeric_limits<double>::min()));
                };
                for (std::size_t k = 0; k != 3; ++k) {
                    const real b = std::exp(real(bias[k])), odds = real(bias[k]) - std::log1p(-b), said = g * odds, z = real(p[k]) + said;
                    const bool right = static_cast<int>(k) == label;
                    want += softplus(right ? -z : z);
                    want += entropy_weight / 3 * (sigmoid(said) * softplus(-said) + sigmoid(-said) * softplus(said));
                    const real slope = right ? -sigmoid(-z) : sigmoid(z);
                    const real along = slope - entropy_weight / 3 * said * sigmoid(said) * sigmoid(-said);
                    want_smoothing += along * g * (1 / b - 1 / (1 - b));
                    near(grad_p[k], slope);
                    near(grad_bias[k], along * g * (1 + b / (1 - b)));
                }
                near(value, want);
                near(to_smoothing, want_smoothing);
            }
    // An answer that it does rule out is masked.
    const std::vector<double> bias{-HUGE_VAL, -1, -2};
    const car::matrix_view<const double> B(bias.data(), 1, 3), P2(p.data() + 1, 1, 2), B2(bias.data() + 1, 1, 2);
    std::vector<double> grad(3), grad_bias(3);
    const auto product = car::product_of_experts(P, B, std::vector{1}, {.formula = car::formula::as_published},
                                                 {.grad_p = {grad.data(), 1, 3}, .grad_bias = {grad_bias.data(), 1, 3}});
    CHECK(product.value == car::product_of_experts(P2, B2, std::vector{0}, {.formula = car::formula::as_published}).value);
    CHECK(product.grad_smoothing ==
          car::product_of_experts(P2, B2, std::vector{0}, {.formula = car::formula::as_published}).grad_smoothing);
    CHECK((grad[0] == 0 && grad_bias[0] == 0));
    const auto mixed = car::learned_mixin(P, B, gate, std::vector{1}, {.formula = car::formula::as_published},
                                          {.grad_p = {grad.data(), 1, 3}, .grad_bias = {grad_bias.data(), 1, 3}});
    CHECK(mixed.value == car::learned_mixin(P2, B2, gate, std::vector{0}, {.formula = car::formula::as_published}).value);
    CHECK((grad[0] == 0 && grad_bias[0] == 0));
    CHECK(car::learned_mixin(P, B, gate, std::vector{0}, {.formula = car::formula::as_published}).value == HUGE_VAL);
    // And a gate that is open without end leaves no answer.
    const std::vector<double> open{HUGE_VAL}, below{-3, -1, -2};
    const auto lost = car::learned_mixin(P, car::matrix_view<const double>(below.data(), 1, 3), open, std::vector{1});
    CHECK(lost.status == car::row_status{car::fault::not_finite, 0, 1});
    CHECK(std::isnan(lost.value));
}

TEST_CASE("a cosine of logits near the largest number") {
    const std::vector<double> p{1.7e308, 1.7e308}, c{1, 1}, tiny{3e-320, 3e-320};
    const auto one = [](const auto& of) { return car::matrix_view<const double>(of.data(), 1, 2); };
    CHECK(car::logit_pairing(one(p), one(c), {.pairing = car::pairing::cosine}).value <= 0x1p-50);
    CHECK(car::logit_pairing(one(tiny), one(c), {.pairing = car::pairing::cosine}).value <= 0x1p-50);
}

TEST_CASE("gradients of what is one number for all rows: the constant of cf_vqa, epsilon of dragonnet") {
    using namespace reference;
    cases::generator random(13);
    const std::vector<member<double>> all = members<double>();
    for (const member<double>& m : all) {
        const std::string name = m.name;
        if (name.find("cf_vqa") == std::string::npos && name != "dragonnet") continue;
        given<double> g = make(m, 3, 4, 1.5, random);
        wide want = 0, weights = 0;
        for (std::size_t i = 0; i != 3; ++i) weights += weight_of(g, m, i);
        for (std::size_t i = 0; i != 3; ++i) {
            const row_inputs x = row_of(g, i);
            dual term;
            if (name == "dragonnet") {
                const dual t = x[4][0], one = 1.0, h = t * (one + exp(-x[2][0])) - (one - t) * (one + exp(x[2][0]));
                const dual off = x[3][0] - (t * x[1][0] + (one - t) * x[0][0]) - dual(0.25, 1, 1) * h;
                term = dual(0.75) * off * off;
            } else {
                const dual c(0.25, 1, 1), one = 1.0;
                const auto h = [&](const dual& p, const dual& q, const dual& v) {
                    const dual z = sigmoid(p) * sigmoid(q) * sigmoid(v);
                    return name == "cf_vqa, sum" ? log_sigmoid(p + q + v) : name == "cf_vqa, gate" ? p * sigmoid(q) : log(z / (one + z));
                };
                const duals fact = each(4, [&](std::size_t k) { return h(x[0][k], x[1][k], x[2][k]); });
                term = dual(1.5) * cross_entropy(each(4, [&](std::size_t k) { return h(c, x[1][k], c); }), softmax(fact));
            }
            want += weight_of(g, m, i) * static_cast<wide>(g.upstream[i]) * term.d / weights;
        }
        double got = 0;
        if (name == "dragonnet") {
            got = car::dragonnet(g.vector(0), g.vector(1), g.vector(2), g.vector(3), g.vector(4),
                                 {.treatment_weight = 0.5, .targeted_weight = 0.75, .epsilon = 0.25},
                                 {.upstream = g.upstream, .sample_weight = g.sample_weight})
                      .grad_epsilon;
        } else {
            const auto fusion = name == "cf_vqa, sum"    ? car::fusion::sum
                                : name == "cf_vqa, gate" ? car::fusion::gate
                                                         : car::fusion::harmonic;
            got = car::cf_vqa(g.in(0), g.in(1), g.in(2), g.labels, {.fusion = fusion, .constant = 0.25, .divergence_weight = 1.5},
                              {.upstream = g.upstream, .weight = g.weight, .sample_weight = g.sample_weight})
                      .grad_constant;
        }
        INFO(name << ": " << got << ", expected " << static_cast<double>(want));
        CHECK(std::abs(got - static_cast<double>(want)) <= 64 * 0x1p-53 * (1 + std::abs(static_cast<double>(want))) * 8);
    }
}

TEST_CASE("every member: what is wrong is named, and nothing written") {
    cases::generator random(10);
    for (const member<double>& m : members<double>()) {
        const given<double> good = make(m, 3, 4, 1.0, random);
        const auto refusal = [&](auto change) {
            given<double> g = good;
            change(g);
            const std::string message = message_of([&] { m.run(g); });
            for (const auto& gradient : g.gradients)
                for (const double v : gradient) CHECK(v == -7);
            return message;
        };
        const std::string op = "car::" + std::string(m.name).substr(0, std::string(m.name).find(',')) + ": ";
        CHECK(refusal([](auto& g) { g.row_loss.pop_back(); }) == op + "row_loss has shape 2 x 1, expected 3 x 1");
        CHECK(refusal([](auto& g) { g.upstream.pop_back(); }) == op + "upstream has shape 2 x 1, expected 3 x 1");
        CHECK(refusal([](auto& g) { g.sample_weight[1] = -1; }) ==
              op + "sample_weight at 1 is -1.000000, expected a finite number that is not negative");
        CHECK(refusal([](auto& g) {
                  g.row_loss.clear();
                  g.reduction = car::reduction::none;
              }) == op + "row_loss is null, expected N elements for reduction::none");
        if (!m.has_softmax) continue;
        CHECK(refusal([](auto& g) { g.labels[2] = 4; }) == op + "label in row 2 is 4, expected 0 to 3 or ignore_index -100");
        CHECK(refusal([](auto& g) { g.weight.pop_back(); }) == op + "weight has shape 3 x 1, expected 4 x 1");
    }
    std::vector<double> p(6, 1), c(4, 1), g(6);
    const car::matrix_view<const double> P(p.data(), 2, 3);
    const std::vector labels{0, 1};
    CHECK(message_of([&] { car::cal(P, {c.data(), 2, 2}, labels); }) == "car::cal: c has shape 2 x 2, expected 2 x 3");
    CHECK(message_of([&] { car::cal(P, P, labels, {.strength = HUGE_VAL}); }) == "car::cal: strength is inf, expected a finite number");
    CHECK(message_of([&] {
              car::cal(P, P, labels, {}, {.grad_p = {g.data(), 2, 3}, .grad_c = {g.data(), 2, 3}});
          }) == "car::cal: grad_c overlaps grad_p");
    CHECK(message_of([&] {
              car::cal(P, P, labels, {}, {.grad_p = {g.data(), 3, 2}});
          }) == "car::cal: grad_p has shape 3 x 2, expected 2 x 3");
    CHECK(message_of([&] { car::rubi(P, P, {}, labels); }) == "car::rubi: q_out has shape 0 x 0, expected 2 x 3");
    CHECK(message_of([&] { car::learned_mixin(P, P, std::vector<double>(3), labels); }) ==
          "car::learned_mixin: gate has shape 3 x 1, expected 2 x 1");
    CHECK(message_of([&] { car::logit_adjusted(P, std::vector<double>(2), labels); }) ==
          "car::logit_adjusted: log_prior has shape 2 x 1, expected 3 x 1");
}
