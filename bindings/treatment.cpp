// SPDX-License-Identifier: Apache-2.0
#include "options.hpp"

namespace binding {

namespace {

/// An array of doubles, or none.
array doubles(const char* op, const char* name, py::handle object) {
    if (object.is_none()) return {};
    array one(op, name, object, element::float64);
    one.require(element::float64);
    return one;
}
array integers(const char* op, const char* name, py::handle object) {
    return object.is_none() ? array() : array(op, name, object, element::int64);
}
car::label_view labels(const array& a) { return a ? a.labels() : car::label_view(); }

/// The estimators, once, by the names of their types.
constexpr std::tuple estimators{std::pair{"difference_in_means", car::difference_in_means{}},
                                std::pair{"horvitz_thompson", car::horvitz_thompson{}},
                                std::pair{"hajek", car::hajek{}},
                                std::pair{"t_learner", car::t_learner{}},
                                std::pair{"aipw", car::aipw{}},
                                std::pair{"aipw_treated", car::aipw_treated{}}};

std::string estimator_names() {
    std::string text;
    std::apply([&](const auto&... one) { ((text += std::string(text.empty() ? "'" : ", '") + one.first + "'"), ...); }, estimators);
    return text;
}

template <std::size_t K = 0, class Call>
car::treatment_result with_estimator(const char* op, const std::string& name, const car::hajek& weighted, Call call) {
    if constexpr (K == std::tuple_size_v<decltype(estimators)>) {
        value_error(op, "estimator is '" + name + "', expected one of " + estimator_names());
    } else {
        const auto& [word, how] = std::get<K>(estimators);
        if (name != word) return with_estimator<K + 1>(op, name, weighted, call);
        if constexpr (std::is_same_v<std::remove_cvref_t<decltype(how)>, car::hajek>)
            return call(weighted);
        else
            return call(how);
    }
}

const signature& treatment_signature() {
    static const signature all = signature("treatment", "estimator: typing.Literal[" + estimator_names() +
                                                            "], treatment: numpy.typing.ArrayLike, outcome: numpy.typing.ArrayLike")
                                     .input("propensity")
                                     .input("control_mean")
                                     .input("treated_mean")
                                     .input("clusters")
                                     .options<car::hajek>()
                                     .options<car::treatment_options>();
    return all;
}

car::treatment_result treatment(const std::string& estimator, const py::object& arms, const py::object& outcomes, const py::kwargs& given) {
    arguments list(treatment_signature(), given);
    const char* op = list.op();
    const array t = integers(op, "treatment", arms), y = doubles(op, "outcome", outcomes);
    const auto next = [&](auto read) {
        const auto [name, value] = list.next();
        return read(op, name, value);
    };
    const array e = next(doubles), mu0 = next(doubles), mu1 = next(doubles), clusters = next(integers);
    const auto weighted = list.options<car::hajek>();
    const auto options = list.options<car::treatment_options>();
    const car::treatment_data data{
        labels(t),       y.vector<const double>(), e.vector<const double>(), mu0.vector<const double>(), mu1.vector<const double>(),
        labels(clusters)};
    return with_estimator(op, estimator, weighted, [&](const auto& how) {
        const py::gil_scoped_release unlocked;
        return car::treatment(how, data, options);
    });
}

const signature& weights_signature() {
    static const signature all = signature("propensity_weights", "treatment: numpy.typing.ArrayLike, propensity: numpy.typing.ArrayLike")
                                     .options<car::hajek>()
                                     .output("out");
    return all;
}

py::object propensity_weights(const py::object& arms, const py::object& propensities, const py::kwargs& given) {
    arguments list(weights_signature(), given);
    const char* op = list.op();
    const array t = integers(op, "treatment", arms), e = doubles(op, "propensity", propensities);
    const auto how = list.options<car::hajek>().weighting;
    const auto [name, wanted] = list.next();
    const result_array out(op, name, wanted.is_none() ? py::handle(Py_True) : wanted, e, element::float64, e.shape());
    car::propensity_weights(how, labels(t), e.vector<const double>(), out.view().vector<double>());
    return out.finish();
}

/// Back door and front door: what a row's category is called, and what is made of the table.
template <class Call>
car::treatment_result plug_in(const signature& signature, const py::object& arms, const py::object& outcomes, const char* of_category,
                              const py::object& categories, const py::kwargs& given, Call call) {
    arguments list(signature, given);
    const char* op = list.op();
    const array t = integers(op, "treatment", arms), y = doubles(op, "outcome", outcomes), s = integers(op, of_category, categories);
    const auto options = list.options<car::plug_in_options>();
    const auto [name, value] = list.next();
    const array clusters = integers(op, name, value);
    const auto arm = labels(t), category = labels(s), cluster = labels(clusters);
    const auto outcome = y.vector<const double>();
    const py::gil_scoped_release unlocked;
    return call(arm, outcome, category, options, cluster);
}

signature plug_in_signature(const char* op, const std::string& category) {
    return signature(op, "treatment: numpy.typing.ArrayLike, outcome: numpy.typing.ArrayLike, " + category +
                             ": numpy.typing.ArrayLike, count: int")
        .options<car::plug_in_options>()
        .input("clusters");
}
const signature& stratification_signature() {
    static const signature all = plug_in_signature("stratification", "stratum");
    return all;
}
const signature& front_door_signature() {
    static const signature all = plug_in_signature("front_door", "mediator");
    return all;
}

constexpr const char* errors = R"(
Errors
    ValueError for a shape, a treatment that is not 0 or 1, or an option's value, TypeError for a type. Values are no error: `reason` says
    why a result is NaN.
)";

} // namespace

void bind_treatment(py::module_& module) {
    using result = car::treatment_result;
    py::class_<result>(module, "TreatmentResult", "The effect of a treatment. NaN where there is no answer; `reason` says why.")
        .def_readonly("mean", &result::mean, "The effect.")
        .def_readonly("standard_error", &result::standard_error, "Of the effect; the row, or the cluster, is the unit.")
        .def_readonly("lower", &result::lower, "Where the interval begins.")
        .def_readonly("upper", &result::upper, "Where the interval ends.")
        .def_readonly("count", &result::count, "Rows that the effect is of.")
        .def_readonly("units", &result::units, "What was sampled independently: clusters where they are given, else rows.")
        .def_readonly("status", &result::status, "Which row, if any, has no value.")
        .def_property_readonly(
            "reason", [](const result& r) { return words<enum car::reason>::names[static_cast<std::size_t>(r.reason)]; },
            "Why the effect, or its error and interval alone, is NaN; else 'none'.")
        .def_readonly("treated", &result::treated, "Rows of the treated arm.")
        .def_readonly("control", &result::control, "Rows of the control arm.")
        .def_readonly("clipped", &result::clipped, "Rows whose propensity was moved.")
        .def_readonly("trimmed", &result::trimmed, "Rows left out for their propensity.")
        .def_readonly("empty_cells", &result::empty_cells, "Strata without one of the arms, or combinations that were not seen.")
        .def_readonly("dropped", &result::dropped, "Rows left out with them.")
        .def("__repr__", [](const result& r) {
            std::ostringstream text;
            text << "TreatmentResult(mean=" << r.mean << ", standard_error=" << r.standard_error << ", lower=" << r.lower
                 << ", upper=" << r.upper << ", count=" << r.count << ")";
            return text.str();
        });

    define(module, "treatment", &treatment, py::arg("estimator"), py::arg("treatment"), py::arg("outcome"),
           (treatment_signature().returns("TreatmentResult") +
            R"(The effect of a treatment on an outcome, from given nuisances.

    difference_in_means, horvitz_thompson, hajek (by `weighting`), t_learner, aipw, aipw_treated

Shapes
    treatment: N integers, 0 or 1. outcome, propensity P(t = 1 | x), control_mean E[y | x, 0], treated_mean E[y | x, 1]: N, float64; what
    an estimator does not read need not be given. clusters: N integers; rows of one cluster are not independent.
Units
    those of the outcome.)" +
            errors + R"(Source
    Horvitz and Thompson 1952; Hajek 1971; Robins, Rotnitzky and Zhao 1994.

>>> car.treatment("difference_in_means", [1, 1, 0, 0], [3.0, 5.0, 1.0, 2.0])
TreatmentResult(mean=2.5, standard_error=1.11803, lower=-11.706, upper=16.706, count=4)
)")
               .c_str());
    define(module, "propensity_weights", &propensity_weights, py::arg("treatment"), py::arg("propensity"),
           (weights_signature().returns("typing.Any") + R"(The weights of rows, as the estimator 'hajek' takes them.

Shapes
    treatment: N integers, 0 or 1. propensity, out, the result: N, float64.
Units
    rows that a row counts for. A propensity that is not between 0 and 1 gives NaN.)" +
            errors + R"(
>>> car.propensity_weights([1, 0], [0.5, 0.75])
array([2., 4.])
)")
               .c_str());
    define(
        module, "stratification",
        [](const py::object& t, const py::object& y, const py::object& s, std::int64_t count, const py::kwargs& given) {
            return plug_in(stratification_signature(), t, y, "stratum", s, given,
                           [&](const auto& arm, const auto& outcome, const auto& category, const auto& options, const auto& clusters) {
                               return car::stratification(arm, outcome, category, count, options, clusters);
                           });
        },
        py::arg("treatment"), py::arg("outcome"), py::arg("stratum"), py::arg("count"),
        (stratification_signature().returns("TreatmentResult") +
         R"(Back-door adjustment by strata of a discrete confounder: sum_s n_s / n (mean of treated in s - mean of control in s).

Shapes
    treatment: N integers, 0 or 1. outcome: N, float64. stratum: N integers, 0 to count - 1. clusters: N integers.
Units
    those of the outcome.)" +
         errors + R"(Source
    Pearl 2009, 3.3.1.

>>> r = car.stratification([1, 0, 1, 0], [2.0, 1.0, 5.0, 3.0], [0, 0, 1, 1], 2)
>>> r.mean, r.reason
(1.5, 'too_few')
)")
            .c_str());
    define(
        module, "front_door",
        [](const py::object& t, const py::object& y, const py::object& m, std::int64_t count, const py::kwargs& given) {
            return plug_in(front_door_signature(), t, y, "mediator", m, given,
                           [&](const auto& arm, const auto& outcome, const auto& category, const auto& options, const auto& clusters) {
                               return car::front_door(arm, outcome, category, count, options, clusters);
                           });
        },
        py::arg("treatment"), py::arg("outcome"), py::arg("mediator"), py::arg("count"),
        (front_door_signature().returns("TreatmentResult") +
         R"(Front-door adjustment by a discrete mediator: psi(1) - psi(0), psi(x) = sum_m P(m|x) sum_x' E[y|m,x'] P(x').

Shapes
    treatment: N integers, 0 or 1. outcome: N, float64. mediator: N integers, 0 to count - 1. clusters: N integers.
Units
    those of the outcome.)" +
         errors + R"(Source
    Pearl 2009, 3.3.2.

>>> r = car.front_door([1, 1, 1, 0, 0, 0], [3.0, 3.0, 1.0, 3.0, 1.0, 1.0], [1, 1, 0, 1, 0, 0], 2)
>>> round(r.mean, 6)
0.666667
)")
            .c_str());
}

} // namespace binding
