// SPDX-License-Identifier: Apache-2.0
#include "options.hpp"

#include <car/family/cal.hpp>
#include <car/family/cf_vqa.hpp>
#include <car/family/counterfactual_entropy.hpp>
#include <car/family/decomposition.hpp>
#include <car/family/deconfounded.hpp>
#include <car/family/dragonnet.hpp>
#include <car/family/guidance.hpp>
#include <car/family/irm.hpp>
#include <car/family/learned_mixin.hpp>
#include <car/family/logit_adjustment.hpp>
#include <car/family/logit_pairing.hpp>
#include <car/family/product_of_experts.hpp>
#include <car/family/rubi.hpp>
#include <car/family/v_rex.hpp>
#include <car/family/xerm.hpp>

#include <pybind11/typing.h>

#include <list>

namespace binding {

template <>
struct words<enum car::formula> {
    static constexpr std::array names{"exact", "as_published"};
};
template <>
struct words<enum car::fusion> {
    static constexpr std::array names{"sum", "harmonic", "gate"};
};
template <>
struct words<enum car::counterfactual_target> {
    static constexpr std::array names{"not_label", "uniform", "uniform_others"};
};
template <>
struct words<enum car::pairing> {
    static constexpr std::array names{"squared", "absolute", "cosine"};
};
template <>
struct words<enum car::irm_penalty> {
    static constexpr std::array names{"square", "halves"};
};
template <>
struct words<enum car::effect_part> {
    static constexpr std::array names{"total", "first", "second"};
};

template <>
struct table<car::cal_options> {
    using of = car::cal_options;
    static constexpr std::tuple options{option{"strength", &of::strength},
                                        option{"factual_weight", &of::factual_weight},
                                        option{"corrected_weight", &of::corrected_weight},
                                        option{"ignore_index", &of::ignore_index},
                                        option{"reduction", &of::reduction},
                                        option{"divisor", &of::divisor},
                                        option{"empty", &of::empty}};
};
template <>
struct table<car::product_of_experts_options> {
    using of = car::product_of_experts_options;
    static constexpr std::tuple options{option{"strength", &of::strength},   option{"formula", &of::formula},
                                        option{"smoothing", &of::smoothing}, option{"ignore_index", &of::ignore_index},
                                        option{"reduction", &of::reduction}, option{"divisor", &of::divisor},
                                        option{"empty", &of::empty}};
};
template <>
struct table<car::rubi_options> {
    using of = car::rubi_options;
    static constexpr std::tuple options{option{"question_weight", &of::question_weight}, option{"ignore_index", &of::ignore_index},
                                        option{"reduction", &of::reduction}, option{"divisor", &of::divisor}, option{"empty", &of::empty}};
};
template <>
struct table<car::learned_mixin_options> {
    using of = car::learned_mixin_options;
    static constexpr std::tuple options{option{"entropy_weight", &of::entropy_weight},
                                        option{"formula", &of::formula},
                                        option{"smoothing", &of::smoothing},
                                        option{"ignore_index", &of::ignore_index},
                                        option{"reduction", &of::reduction},
                                        option{"divisor", &of::divisor},
                                        option{"empty", &of::empty}};
};
template <>
struct table<car::counterfactual_entropy_options> {
    using of = car::counterfactual_entropy_options;
    static constexpr std::tuple options{
        option{"target", &of::target},       option{"formula", &of::formula}, option{"ignore_index", &of::ignore_index},
        option{"reduction", &of::reduction}, option{"divisor", &of::divisor}, option{"empty", &of::empty}};
};
template <>
struct table<car::cf_vqa_options> {
    using of = car::cf_vqa_options;
    static constexpr std::tuple options{option{"fusion", &of::fusion},
                                        option{"constant", &of::constant},
                                        option{"question_weight", &of::question_weight},
                                        option{"vision_weight", &of::vision_weight},
                                        option{"divergence_weight", &of::divergence_weight},
                                        option{"formula", &of::formula},
                                        option{"ignore_index", &of::ignore_index},
                                        option{"reduction", &of::reduction},
                                        option{"divisor", &of::divisor},
                                        option{"empty", &of::empty}};
};
template <>
struct table<car::xerm_options> {
    using of = car::xerm_options;
    static constexpr std::tuple options{
        option{"gamma", &of::gamma},         option{"formula", &of::formula}, option{"ignore_index", &of::ignore_index},
        option{"reduction", &of::reduction}, option{"divisor", &of::divisor}, option{"empty", &of::empty}};
};
template <>
struct table<car::logit_pairing_options> {
    using of = car::logit_pairing_options;
    static constexpr std::tuple options{option{"pairing", &of::pairing}, option{"formula", &of::formula},
                                        option{"reduction", &of::reduction}, option{"divisor", &of::divisor}, option{"empty", &of::empty}};
};
template <>
struct table<car::irm_options> {
    using of = car::irm_options;
    static constexpr std::tuple options{option{"penalty_weight", &of::penalty_weight}, option{"penalty", &of::penalty},
                                        option{"ignore_index", &of::ignore_index}, option{"reduction", &of::reduction}};
};
template <>
struct table<car::v_rex_options> {
    using of = car::v_rex_options;
    static constexpr std::tuple options{option{"penalty_weight", &of::penalty_weight}, option{"ignore_index", &of::ignore_index},
                                        option{"reduction", &of::reduction}};
};
template <>
struct table<car::dragonnet_options> {
    using of = car::dragonnet_options;
    static constexpr std::tuple options{option{"treatment_weight", &of::treatment_weight},
                                        option{"targeted_weight", &of::targeted_weight},
                                        option{"epsilon", &of::epsilon},
                                        option{"formula", &of::formula},
                                        option{"reduction", &of::reduction},
                                        option{"divisor", &of::divisor},
                                        option{"empty", &of::empty}};
};
template <>
struct table<car::guidance_options> {
    using of = car::guidance_options;
    static constexpr std::tuple options{option{"strength", &of::strength}, option{"plausibility", &of::plausibility}};
};
template <>
struct table<car::decomposition_options> {
    static constexpr std::tuple options{option{"part", &car::decomposition_options::part}};
};
template <>
struct table<car::fusion_effect_options> {
    using of = car::fusion_effect_options;
    static constexpr std::tuple options{option{"fusion", &of::fusion}, option{"constant", &of::constant}, option{"part", &of::part},
                                        option{"formula", &of::formula}};
};
template <>
struct table<car::logit_adjustment_options> {
    static constexpr std::tuple options{option{"strength", &car::logit_adjustment_options::strength}};
};
template <>
struct table<car::deconfounded_options> {
    using of = car::deconfounded_options;
    static constexpr std::tuple options{option{"heads", &of::heads}, option{"scale", &of::scale}, option{"gamma", &of::gamma},
                                        option{"strength", &of::strength}};
};

namespace {

/// A positional argument: N x C (or C), one number a row or class, class indices.
enum class kind { matrix, vector, labels };
struct role {
    const char* name;
    enum kind kind = kind::matrix;
    bool learns = false; ///< has an output grad_<name>
};

struct family_result {
    car::family_result base;
    py::dict terms, gradients;
    py::object row_loss;
};

/// The arguments of a call, in the order of their roles, and its outputs.
template <std::size_t N>
struct given {
    std::array<array, N> in;
    std::array<result_array, N> gradients;
    array upstream, weight, sample_weight;
    result_array row_loss;
};

/// The same, with the logits' type.
template <class T, std::size_t N>
class views {
    const given<N>& of_;

  public:
    explicit views(const given<N>& of) : of_(of) {}

    car::matrix_view<const T> matrix(std::size_t k) const { return of_.in[k].template matrix<const T>(); }
    car::vector_view<const T> vector(std::size_t k) const { return of_.in[k].template vector<const T>(); }
    car::label_view labels(std::size_t k) const { return of_.in[k].labels(); }

    /// The arrays of a member; `fields` are the gradients in the order of the roles that learn.
    template <class Arrays, class... Fields>
    Arrays arrays(Fields... fields) const {
        using term = car::term_of<T>;
        Arrays all;
        if constexpr (requires { all.row_loss; }) all.row_loss = of_.row_loss.view().template vector<term>();
        all.upstream = of_.upstream.template vector<const term>();
        if constexpr (requires { all.weight; }) all.weight = of_.weight.template vector<const term>();
        all.sample_weight = of_.sample_weight.template vector<const term>();
        std::size_t k = 0;
        const auto put = [&](auto field) {
            const auto& output = of_.gradients[k++].view();
            if constexpr (std::same_as<std::remove_reference_t<decltype(all.*field)>, car::vector_view<T>>)
                all.*field = output.template vector<T>();
            else
                all.*field = output.template matrix<T>();
        };
        (put(fields), ...);
        return all;
    }
};

std::string positional(const role* roles, std::size_t count) {
    std::string text;
    for (std::size_t k = 0; k != count; ++k)
        text += std::string(k == 0 ? "" : ", ") + roles[k].name + ": numpy.typing.ArrayLike" +
                (std::string_view(roles[k].name) == "q_out" ? " | None" : "");
    return text;
}
/// Reads the inputs; the first has the type that the others follow.
template <std::size_t N>
std::array<array, N> read(const char* op, const std::array<role, N>& roles, const std::array<py::handle, N>& objects) {
    std::array<array, N> in;
    for (std::size_t k = 0; k != N; ++k) {
        const bool labels = roles[k].kind == kind::labels;
        if (objects[k].is_none() && k != 0 && !labels) continue;
        in[k] = array(op, roles[k].name, objects[k], labels ? element::int64 : k == 0 ? element::float64 : in[0].type());
        if (labels) continue;
        k == 0 ? in[0].require_logits() : in[k].require(in[0].type(), roles[0].name);
        if (roles[k].kind == kind::matrix && in[k].dimensions() != 1) in[k].require_dimensions(2, "N x C, or C");
    }
    return in;
}

template <std::size_t>
using object = const py::object&;

/// What the docstrings of the losses say alike.
constexpr const char* shared_text = R"(
Shapes
    logits and their gradients: N x C, or C for one row, of one type; float32, float64, bfloat16 or float16, in any strides. labels: N
    integers of any type. Numbers of rows: N. weight: C. upstream, sample_weight: N, of the terms' type.
Units
    nats (of the outcome, squared, for `car.dragonnet`), as 64-bit floats, summed or averaged over rows that are not ignored, by weight.
Arrays
    gradients=True makes every gradient; each output also takes True, or an array that is written, perhaps its own input. They are
    attributes of the result, as its terms are: `result.terms` and `result.gradients` list both.
Errors
    ValueError for a shape, a label or an option's value, TypeError for a type. NaN and infinity are never errors: `status` names the row.
)";

/// One member: `call` is given views and options, and returns its result; `terms` are the names and fields of that.
template <class Options, class Result, std::size_t N, class Call>
void bind_member(py::module_& module, const char* op, const std::array<role, N>& roles,
                 const std::vector<std::pair<const char*, double Result::*>>& terms, const char* text, Call call) {
    constexpr bool has_rows = !std::same_as<Result, car::environments_result>;
    bool has_labels = false;
    for (const role& one : roles) has_labels = has_labels || one.kind == kind::labels;
    signature all(op, positional(roles.data(), N));
    all.template options<Options>().input("upstream").input("sample_weight");
    if (has_labels) all.input("weight");
    all.add("gradients", "bool", "False");
    static std::list<std::string> names; // of outputs: signatures refer to them
    for (const role& one : roles)
        if (one.learns) all.output(names.emplace_back(std::string("grad_") + one.name).c_str());
    if (has_rows) all.output("row_loss");
    const std::string document = all.returns("FamilyResult") + text + shared_text;

    const auto run = [all, roles, terms, call, has_labels](const std::array<py::handle, N>& objects, const py::kwargs& keywords) {
        arguments list(all, keywords);
        given<N> g{read(list.op(), roles, objects), {}, {}, {}, {}, {}};
        const Options options = list.options<Options>();
        const array& first = g.in[0];
        const element term = first.type() == element::float64 ? element::float64 : element::float32;
        const auto numbers = [&](array& to) {
            const auto [name, value] = list.next();
            if (value.is_none()) return;
            to = array(list.op(), name, value, term);
            to.require(term, "the terms of the first input");
        };
        numbers(g.upstream);
        numbers(g.sample_weight);
        if (has_labels) numbers(g.weight);
        const auto [of_gradients, asked] = list.next();
        if (!asked.is_none() && !py::isinstance<py::bool_>(asked))
            value_error(list.op(), std::string(of_gradients) + " is " + shown(asked) + ", expected True or False");
        const bool every = asked.ptr() == Py_True;
        std::size_t next = 0;
        for (std::size_t k = 0; k != N; ++k) {
            if (!roles[k].learns) continue;
            auto [name, wanted] = list.next();
            if (wanted.is_none() && every && g.in[k]) wanted = Py_True;
            if (g.in[k]) g.gradients[next] = result_array(list.op(), name, wanted, first, first.type(), g.in[k].shape());
            ++next;
        }
        if constexpr (has_rows) {
            auto [name, wanted] = list.next();
            if (wanted.is_none() && options.reduction == car::reduction::none) wanted = Py_True;
            const std::ptrdiff_t rows = roles[0].kind == kind::vector || first.dimensions() == 2 ? first.shape(0) : 1;
            g.row_loss = result_array(list.op(), name, wanted, first, term, {rows});
        }
        return with_type(first.type(), [&]<class T>(T) {
            const Result result = [&] {
                const py::gil_scoped_release unlocked;
                return call(views<T, N>(g), options);
            }();
            family_result answer{result, {}, {}, g.row_loss.finish()};
            for (const auto& [name, field] : terms) answer.terms[name] = result.*field;
            next = 0;
            for (std::size_t k = 0; k != N; ++k)
                if (roles[k].learns) answer.gradients[("grad_" + std::string(roles[k].name)).c_str()] = g.gradients[next++].finish();
            return answer;
        });
    };
    [&]<std::size_t... K>(std::index_sequence<K...>) {
        define(
            module, op, [run](object<K>... objects, const py::kwargs& keywords) { return run({objects...}, keywords); },
            py::arg(roles[K].name)..., document.c_str());
    }
    (std::make_index_sequence<N>());
}

/// An output of an op: made unless told otherwise, or only when asked for; of the shape of an input.
struct product {
    const char* name;
    bool made = true;
    std::size_t like = 0;
};

/// An op from arrays to arrays: one is returned as it is, several in a tuple. `extra` is an optional input by keyword.
template <class Options, std::size_t N, std::size_t M, class Shape, class Call>
void bind_op(py::module_& module, const char* op, const std::array<role, N>& roles, const char* extra,
             const std::array<product, M>& products, const std::string& text, Shape shape, Call call) {
    signature all(op, positional(roles.data(), N));
    if (extra) all.input(extra);
    all.template options<Options>();
    for (const product& one : products) all.output(one.name);
    std::string returned = "typing.Any";
    for (std::size_t k = 1; k != M; ++k) returned += ", typing.Any";
    const std::string document = all.returns(M == 1 ? returned : "tuple[" + returned + "]") + text;
    const auto run = [all, roles, extra, products, shape, call](const std::array<py::handle, N>& objects,
                                                                const py::kwargs& keywords) -> py::object {
        arguments list(all, keywords);
        const std::array<array, N> in = read(list.op(), roles, objects);
        array other;
        if (extra) {
            const auto [name, value] = list.next();
            if (!value.is_none()) {
                other = array(list.op(), name, value, in[0].type());
                other.require(in[0].type(), roles[0].name);
            }
        }
        const Options options = list.options<Options>();
        std::array<result_array, M> out;
        for (std::size_t k = 0; k != M; ++k) {
            const auto [name, wanted] = list.next();
            const py::handle made = wanted.is_none() && products[k].made ? py::handle(Py_True) : wanted;
            out[k] = result_array(list.op(), name, made, in[0], in[0].type(), shape(in, products[k].like));
        }
        with_type(in[0].type(), [&]<class T>(T) {
            std::array<car::matrix_view<T>, M> written;
            for (std::size_t k = 0; k != M; ++k) written[k] = out[k].view().template matrix<T>();
            const py::gil_scoped_release unlocked;
            call(T{}, in, other, written, options);
        });
        if constexpr (M == 1) return out[0].finish();
        py::tuple all_of(M);
        for (std::size_t k = 0; k != M; ++k) all_of[k] = out[k].finish();
        return all_of;
    };
    [&]<std::size_t... K>(std::index_sequence<K...>) {
        define(
            module, op, [run](object<K>... objects, const py::kwargs& keywords) { return run({objects...}, keywords); },
            py::arg(roles[K].name)..., document.c_str());
    }
    (std::make_index_sequence<N>());
}

constexpr auto like_input = [](const auto& in, std::size_t k) { return in[k].shape(); };
constexpr std::array<product, 1> one_output{{{"out"}}};

void bind_losses(py::module_& module) {
    using enum kind;
    bind_member<car::cal_options, car::cal_result, 3>(
        module, "cal", {{{"p", matrix, true}, {"c", matrix, true}, {"labels", labels}}},
        {{"cross_entropy", &car::cal_result::cross_entropy}, {"corrected", &car::cal_result::corrected}},
        R"(Counterfactual Attention Learning: factual_weight CE(p, label) + corrected_weight CE(p - strength c, label).

>>> round(car.cal([[1.0, 0.0]], [[0.5, 0.5]], [0]).value, 6)
0.626523
)",
        []<class T>(const views<T, 3>& in, const car::cal_options& o) {
            using all = car::cal_arrays<T>;
            return car::cal(in.matrix(0), in.matrix(1), in.labels(2), o, in.template arrays<all>(&all::grad_p, &all::grad_c));
        });
    bind_member<car::product_of_experts_options, car::product_of_experts_result, 3>(
        module, "product_of_experts", {{{"p", matrix, true}, {"bias", matrix, true}, {"labels", labels}}},
        {{"grad_smoothing", &car::product_of_experts_result::grad_smoothing}},
        R"(Product of experts: CE(p + strength bias, label), bias the logarithms of a biased expert's probabilities.

>>> round(car.product_of_experts([[1.0, 0.0]], [[-1.0, 0.0]], [0]).value, 6)
0.693147
)",
        []<class T>(const views<T, 3>& in, const car::product_of_experts_options& o) {
            using all = car::product_of_experts_arrays<T>;
            return car::product_of_experts(in.matrix(0), in.matrix(1), in.labels(2), o,
                                           in.template arrays<all>(&all::grad_p, &all::grad_bias));
        });
    bind_member<car::product_of_experts_options, car::product_of_experts_result, 3>(
        module, "logit_adjusted", {{{"p", matrix, true}, {"log_prior", vector}, {"labels", labels}}}, {},
        R"(Logit adjustment: CE(p + strength log_prior, label), log_prior the logarithms of the classes' shares: C.
)",
        []<class T>(const views<T, 3>& in, const car::product_of_experts_options& o) {
            using all = car::product_of_experts_arrays<T>;
            return car::logit_adjusted(in.matrix(0), in.vector(1), in.labels(2), o, in.template arrays<all>(&all::grad_p));
        });
    bind_member<car::rubi_options, car::rubi_result, 4>(
        module, "rubi", {{{"p", matrix, true}, {"q", matrix, true}, {"q_out", matrix, true}, {"labels", labels}}},
        {{"cross_entropy", &car::rubi_result::cross_entropy}, {"question", &car::rubi_result::question}},
        R"(RUBi: CE(p sigmoid(q), label) + question_weight CE(q_out, label); q_out may be None with question_weight=0.
)",
        []<class T>(const views<T, 4>& in, const car::rubi_options& o) {
            using all = car::rubi_arrays<T>;
            return car::rubi(in.matrix(0), in.matrix(1), in.matrix(2), in.labels(3), o,
                             in.template arrays<all>(&all::grad_p, &all::grad_q, &all::grad_q_out));
        });
    bind_member<car::learned_mixin_options, car::learned_mixin_result, 4>(
        module, "learned_mixin", {{{"p", matrix, true}, {"bias", matrix, true}, {"gate", vector, true}, {"labels", labels}}},
        {{"cross_entropy", &car::learned_mixin_result::cross_entropy},
         {"entropy", &car::learned_mixin_result::entropy},
         {"grad_smoothing", &car::learned_mixin_result::grad_smoothing}},
        R"(Learned mixin: CE(p + g bias, label) + entropy_weight H(softmax(g bias)), g = softplus(gate), gate: N.
)",
        []<class T>(const views<T, 4>& in, const car::learned_mixin_options& o) {
            using all = car::learned_mixin_arrays<T>;
            return car::learned_mixin(in.matrix(0), in.matrix(1), in.vector(2), in.labels(3), o,
                                      in.template arrays<all>(&all::grad_p, &all::grad_bias, &all::grad_gate));
        });
    bind_member<car::counterfactual_entropy_options, car::counterfactual_entropy_result, 2>(
        module, "counterfactual_entropy", {{{"p", matrix, true}, {"labels", labels}}}, {},
        R"(Cross-entropy of a counterfactual sample: -log(1 - P[label]), or that against a uniform target over all or all other classes.
)",
        []<class T>(const views<T, 2>& in, const car::counterfactual_entropy_options& o) {
            using all = car::counterfactual_entropy_arrays<T>;
            return car::counterfactual_entropy(in.matrix(0), in.labels(1), o, in.template arrays<all>(&all::grad_p));
        });
    using vqa = car::cf_vqa_result;
    bind_member<car::cf_vqa_options, vqa, 4>(
        module, "cf_vqa", {{{"p", matrix, true}, {"q", matrix, true}, {"v", matrix, true}, {"labels", labels}}},
        {{"cross_entropy", &vqa::cross_entropy},
         {"question", &vqa::question},
         {"vision", &vqa::vision},
         {"divergence", &vqa::divergence},
         {"grad_constant", &vqa::grad_constant}},
        R"(Counterfactual VQA: CE(h, label) + question_weight CE(q, label) + vision_weight CE(v, label) + divergence_weight CE(softmax(h), h*).

    h = fusion(p, q, v),   h* = fusion(constant, q, constant); from the last term only the constant learns (`grad_constant`)
    sum: log sigmoid(p + q + v);   harmonic: log(Z / (1 + Z)), Z = sigmoid(p) sigmoid(q) sigmoid(v);   gate: p sigmoid(q)
)",
        []<class T>(const views<T, 4>& in, const car::cf_vqa_options& o) {
            using all = car::cf_vqa_arrays<T>;
            return car::cf_vqa(in.matrix(0), in.matrix(1), in.matrix(2), in.labels(3), o,
                               in.template arrays<all>(&all::grad_p, &all::grad_q, &all::grad_v));
        });
    using cross = car::xerm_result;
    bind_member<car::xerm_options, cross, 4>(
        module, "xerm", {{{"p", matrix, true}, {"factual", matrix}, {"counterfactual", matrix}, {"labels", labels}}},
        {{"factual", &cross::factual}, {"counterfactual", &cross::counterfactual}, {"share", &cross::share}},
        R"(Cross-domain empirical risk minimisation: w CE(softmax(counterfactual), p) + (1 - w) CE(p, label); the teachers are constants.

    w = CE(counterfactual, label)^gamma / (CE(counterfactual, label)^gamma + CE(factual, label)^gamma)
)",
        []<class T>(const views<T, 4>& in, const car::xerm_options& o) {
            using all = car::xerm_arrays<T>;
            return car::xerm(in.matrix(0), in.matrix(1), in.matrix(2), in.labels(3), o, in.template arrays<all>(&all::grad_p));
        });
    bind_member<car::logit_pairing_options, car::logit_pairing_result, 2>(
        module, "logit_pairing", {{{"p", matrix, true}, {"c", matrix, true}}}, {},
        R"(Counterfactual logit pairing: how far the logits of a sample and of its counterfactual are apart.
)",
        []<class T>(const views<T, 2>& in, const car::logit_pairing_options& o) {
            using all = car::logit_pairing_arrays<T>;
            return car::logit_pairing(in.matrix(0), in.matrix(1), o, in.template arrays<all>(&all::grad_p, &all::grad_c));
        });
    using worlds = car::environments_result;
    const std::vector<std::pair<const char*, double worlds::*>> parts{{"risk", &worlds::risk}, {"penalty", &worlds::penalty}};
    bind_member<car::irm_options, worlds, 3>(
        module, "irm", {{{"p", matrix, true}, {"labels", labels}, {"environments", labels}}}, parts,
        R"(Invariant risk minimisation (IRMv1): the mean over environments of R + penalty_weight g^2, g = d R(w p)/dw at w = 1.
)",
        []<class T>(const views<T, 3>& in, const car::irm_options& o) {
            using all = car::irm_arrays<T>;
            return car::irm(in.matrix(0), in.labels(1), in.labels(2), o, in.template arrays<all>(&all::grad_p));
        });
    bind_member<car::v_rex_options, worlds, 3>(
        module, "v_rex", {{{"p", matrix, true}, {"labels", labels}, {"environments", labels}}}, parts,
        R"(Risk extrapolation: the mean of the environments' risks and penalty_weight times their variance.
)",
        []<class T>(const views<T, 3>& in, const car::v_rex_options& o) {
            using all = car::v_rex_arrays<T>;
            return car::v_rex(in.matrix(0), in.labels(1), in.labels(2), o, in.template arrays<all>(&all::grad_p));
        });
    using dragon = car::dragonnet_result;
    bind_member<car::dragonnet_options, dragon, 5>(
        module, "dragonnet",
        {{{"y0", vector, true}, {"y1", vector, true}, {"propensity", vector, true}, {"outcome", vector}, {"treatment", vector}}},
        {{"outcome", &dragon::outcome},
         {"treatment", &dragon::treatment},
         {"targeted", &dragon::targeted},
         {"grad_epsilon", &dragon::grad_epsilon}},
        R"(DragonNet with targeted regularisation; propensity is a logit.

    (1 - t)(y - y0)^2 + t (y - y1)^2 + treatment_weight BCE(t, e) + targeted_weight (y - y_t - epsilon h)^2,   h = t/e - (1 - t)/(1 - e)
)",
        []<class T>(const views<T, 5>& in, const car::dragonnet_options& o) {
            using all = car::dragonnet_arrays<T>;
            return car::dragonnet(in.vector(0), in.vector(1), in.vector(2), in.vector(3), in.vector(4), o,
                                  in.template arrays<all>(&all::grad_y0, &all::grad_y1, &all::grad_propensity));
        });
}

void bind_ops(py::module_& module) {
    using enum kind;
    const std::string shared = R"(
Shapes
    every input, and out, the result: N x C, or C, of one type; float32, float64, bfloat16 or float16, in any strides. out may be an input.
Units
    logits.
Errors
    ValueError for a shape or an option's value, TypeError for a type.
)";
    bind_op<car::guidance_options>(
        module, "guidance", std::array<role, 2>{{{"p"}, {"c"}}}, "d", one_output,
        R"(Contrastive guidance: p + strength (p - c), and + strength (p - d) where there is a second counterfactual d.

A class with p < max p + log(plausibility) is masked.

>>> car.guidance([[1.0, 0.0, -9.0]], [[0.0, 0.0, 0.0]], strength=0.5, plausibility=0.01)
array([[ 1.5,  0. , -inf]])
)" + shared,
        like_input,
        []<class T>(T, const auto& in, const array& d, const std::array<car::matrix_view<T>, 1>& z, const car::guidance_options& o) {
            car::guidance(in[0].template matrix<const T>(), in[1].template matrix<const T>(), z[0], o, d.matrix<const T>());
        });
    bind_op<car::guidance_options>(
        module, "guidance_vjp", std::array<role, 2>{{{"p"}, {"upstream"}}}, nullptr,
        std::array<product, 3>{{{"grad_p"}, {"grad_c"}, {"grad_d", false}}},
        R"(Vector-Jacobian product of `car.guidance`: (grad_p, grad_c, grad_d); grad_d, True or an array, says that there was a d.
)" + shared,
        like_input,
        []<class T>(T, const auto& in, const array&, const std::array<car::matrix_view<T>, 3>& out, const car::guidance_options& o) {
            car::guidance_vjp(in[0].template matrix<const T>(), in[1].template matrix<const T>(),
                              {.grad_p = out[0], .grad_c = out[1], .grad_d = out[2]}, o);
        });
    bind_op<car::decomposition_options>(
        module, "decompose", std::array<role, 3>{{{"fact"}, {"partly"}, {"nothing"}}}, nullptr, one_output,
        R"(Effects as differences of logits: fact - nothing ('total'), fact - partly ('first'), partly - nothing ('second').

Scene graphs: TE, TDE, NIE. Counterfactual VQA: TE, TIE, NDE.
)" + shared,
        like_input,
        []<class T>(T, const auto& in, const array&, const std::array<car::matrix_view<T>, 1>& z, const car::decomposition_options& o) {
            car::decompose(in[0].template matrix<const T>(), in[1].template matrix<const T>(), in[2].template matrix<const T>(), z[0], o);
        });
    bind_op<car::fusion_effect_options>(
        module, "fusion_effect", std::array<role, 3>{{{"p"}, {"q"}, {"v"}}}, nullptr, one_output,
        R"(What `car.cf_vqa` predicts with at test: the total ('total'), the total indirect ('first') or the direct ('second') effect.
)" + shared,
        like_input,
        []<class T>(T, const auto& in, const array&, const std::array<car::matrix_view<T>, 1>& z, const car::fusion_effect_options& o) {
            car::fusion_effect(in[0].template matrix<const T>(), in[1].template matrix<const T>(), in[2].template matrix<const T>(), z[0],
                               o);
        });
    bind_op<car::logit_adjustment_options>(
        module, "logit_adjustment", std::array<role, 2>{{{"p"}, {"log_prior", vector}}}, nullptr, one_output,
        R"(Post-hoc logit adjustment: p - strength log_prior, log_prior: C.
)" + shared,
        like_input,
        []<class T>(T, const auto& in, const array&, const std::array<car::matrix_view<T>, 1>& z, const car::logit_adjustment_options& o) {
            car::logit_adjustment(in[0].template matrix<const T>(), in[1].template vector<const T>(), z[0], o);
        });
    bind_op<car::deconfounded_options>(
        module, "deconfounded", std::array<role, 2>{{{"x"}, {"w"}}}, "direction", one_output,
        R"(De-confounded classifier: multi-head normalised weights; with strength, the effect of x along `direction` taken away.

    y = (scale / heads) sum_h w^h . (x^h / |x^h| - strength cos(x^h, d^h) d^h / |d^h|) / (|w^h| + gamma)

Shapes
    x: N x D features, w: C x D, direction: D; out, the result: N x C.
Units
    logits.
Errors
    ValueError for a shape or an option's value, TypeError for a type.
)",
        [](const auto& in, std::size_t) {
            std::vector<std::ptrdiff_t> shape = in[0].shape();
            if (in[1].dimensions() != 2) in[1].require_dimensions(2, "C x D");
            shape.back() = in[1].shape(0);
            return shape;
        },
        []<class T>(T, const auto& in, const array& direction, const std::array<car::matrix_view<T>, 1>& y,
                    const car::deconfounded_options& o) {
            car::deconfounded(in[0].template matrix<const T>(), in[1].template matrix<const T>(), y[0], o, direction.vector<const T>());
        });
    bind_op<car::deconfounded_options>(
        module, "deconfounded_vjp", std::array<role, 3>{{{"x"}, {"w"}, {"upstream"}}}, nullptr,
        std::array<product, 2>{{{"grad_x"}, {"grad_w", true, 1}}},
        R"(Vector-Jacobian product of `car.deconfounded` with strength 0, as it is trained: (grad_x, grad_w).

Shapes
    x, grad_x: N x D; w, grad_w: C x D; upstream: N x C.
Units
    those of upstream.
Errors
    ValueError for a shape or an option's value, TypeError for a type.
)",
        like_input,
        []<class T>(T, const auto& in, const array&, const std::array<car::matrix_view<T>, 2>& out, const car::deconfounded_options& o) {
            car::deconfounded_vjp(in[0].template matrix<const T>(), in[1].template matrix<const T>(), in[2].template matrix<const T>(),
                                  {.grad_x = out[0], .grad_w = out[1]}, o);
        });
}

} // namespace

void bind_family(py::module_& module) {
    py::class_<family_result> result(module, "FamilyResult", "A loss of the family: its value, terms, and the arrays that were asked for.");
    result
        .def_property_readonly(
            "value", [](const family_result& r) { return r.base.value; }, "The loss; NaN with reduction='none'.")
        .def_property_readonly(
            "weight", [](const family_result& r) { return r.base.weight; }, "Sum of the rows' weights.")
        .def_property_readonly(
            "count", [](const family_result& r) { return r.base.count; }, "Rows that are not ignored.")
        .def_property_readonly(
            "status", [](const family_result& r) { return r.base.status; }, "Which row, if any, has no answer.")
        .def_property_readonly(
            "terms", [](const family_result& r) { return py::reinterpret_borrow<py::typing::Dict<py::str, py::float_>>(r.terms); },
            "Its terms by name, reduced as the value is.")
        .def_property_readonly(
            "gradients", [](const family_result& r) { return py::reinterpret_borrow<py::typing::Dict<py::str, py::object>>(r.gradients); },
            "Gradients by name; None where none was asked for.")
        .def_readonly("row_loss", &family_result::row_loss, "N, or None.");
    define(
        result, "__getattr__",
        [](const family_result& r, const py::str& name) -> py::object {
            for (const py::dict& names : {r.terms, r.gradients})
                if (names.contains(name)) return names[name];
            throw py::attribute_error("FamilyResult has no '" + name.cast<std::string>() + "'");
        },
        "__getattr__(self, name: str) -> typing.Any\n\nA term or a gradient by its name.");
    result.def("__repr__", [](const family_result& r) {
        std::ostringstream text;
        text << "FamilyResult(value=" << r.base.value << ", count=" << r.base.count << ")";
        return text.str();
    });
    bind_losses(module);
    bind_ops(module);
}

} // namespace binding
