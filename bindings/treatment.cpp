// SPDX-License-Identifier: Apache-2.0
#include "options.hpp"

#include <mutex>
#include <variant>

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
auto with_estimator(const char* op, const std::string& name, const car::hajek& weighted, Call call) {
    const auto& [word, how] = std::get<K>(estimators);
    if (name == word) {
        if constexpr (std::is_same_v<std::remove_cvref_t<decltype(how)>, car::hajek>)
            return call(weighted);
        else
            return call(how);
    }
    if constexpr (K + 1 == std::tuple_size_v<decltype(estimators)>)
        value_error(op, "estimator is '" + name + "', expected one of " + estimator_names());
    else
        return with_estimator<K + 1>(op, name, weighted, call);
}

signature with_nuisances(signature s) {
    for (const char* name : {"propensity", "control_mean", "treated_mean", "clusters"}) s.input(name);
    return s;
}

/// The rows of a call, from its arguments. Arrays live as long as the call.
class study {
    array treatment_, outcome_, propensity_, control_mean_, treated_mean_, clusters_;

  public:
    study(arguments& list, const py::object& arms, const py::object& outcomes)
        : treatment_(integers(list.op(), "treatment", arms)), outcome_(doubles(list.op(), "outcome", outcomes)) {
        const auto next = [&](auto read) {
            const auto [name, value] = list.next();
            return read(list.op(), name, value);
        };
        propensity_ = next(doubles), control_mean_ = next(doubles), treated_mean_ = next(doubles), clusters_ = next(integers);
    }
    car::treatment_data data() const {
        return {labels(treatment_),
                outcome_.vector<const double>(),
                propensity_.vector<const double>(),
                control_mean_.vector<const double>(),
                treated_mean_.vector<const double>(),
                labels(clusters_)};
    }
};

const signature& treatment_signature() {
    static const signature all = with_nuisances({"treatment", "estimator: typing.Literal[" + estimator_names() +
                                                                  "], treatment: numpy.typing.ArrayLike, outcome: numpy.typing.ArrayLike"})
                                     .options<car::hajek>()
                                     .options<car::treatment_options>();
    return all;
}

car::treatment_result treatment(const std::string& estimator, const py::object& arms, const py::object& outcomes, const py::kwargs& given) {
    arguments list(treatment_signature(), given);
    const study rows(list, arms, outcomes);
    const auto weighted = list.options<car::hajek>();
    const auto options = list.options<car::treatment_options>();
    const car::treatment_data data = rows.data();
    return with_estimator(list.op(), estimator, weighted, [&](const auto& how) {
        const py::gil_scoped_release unlocked;
        return car::treatment(how, data, options);
    });
}

const signature& treatment_accumulator_signature() {
    static const signature all = signature("__init__", "self, estimator: typing.Literal[" + estimator_names() + "]")
                                     .options<car::hajek>()
                                     .options<car::treatment_options>();
    return all;
}
const signature& add_rows_signature() {
    static const signature all = with_nuisances({"add", "self, treatment: numpy.typing.ArrayLike, outcome: numpy.typing.ArrayLike"});
    return all;
}

template <class Estimators>
struct any_accumulator;
template <class... Pair>
struct any_accumulator<std::tuple<Pair...>> {
    using type = std::variant<car::treatment_accumulator<typename Pair::second_type>...>;
};

/// Threads may add to one accumulator, since the lock of the interpreter is not held meanwhile.
class treatment_accumulator {
    using state = any_accumulator<std::remove_const_t<decltype(estimators)>>::type;
    state rows_;
    mutable std::mutex mutex_;

    static state make(const std::string& estimator, const py::kwargs& given) {
        arguments list(treatment_accumulator_signature(), given);
        const auto weighted = list.options<car::hajek>();
        const auto options = list.options<car::treatment_options>();
        return with_estimator("TreatmentAccumulator", estimator, weighted,
                              [&](const auto& how) -> state { return car::treatment_accumulator(how, options); });
    }

  public:
    treatment_accumulator(const std::string& estimator, const py::kwargs& given) : rows_(make(estimator, given)) {}

    car::row_status add(const py::object& arms, const py::object& outcomes, const py::kwargs& given) {
        arguments list(add_rows_signature(), given);
        const study rows(list, arms, outcomes);
        const car::treatment_data data = rows.data();
        const py::gil_scoped_release unlocked;
        const std::lock_guard lock(mutex_);
        return std::visit([&](auto& all) { return all.add(data); }, rows_);
    }
    void merge(const treatment_accumulator& other) {
        const py::gil_scoped_release unlocked;
        const state copy = other.copy(); // so that no two locks are held at once, and it may be merged with itself
        const std::lock_guard lock(mutex_);
        std::visit(
            [&]<class Estimator>(car::treatment_accumulator<Estimator>& all) {
                const auto* const same = std::get_if<car::treatment_accumulator<Estimator>>(&copy);
                if (!same) throw std::invalid_argument("car::TreatmentAccumulator.merge: other has another estimator");
                all.merge(*same);
            },
            rows_);
    }
    state copy() const {
        const std::lock_guard lock(mutex_);
        return rows_;
    }
    car::treatment_result result() const {
        const py::gil_scoped_release unlocked;
        return std::visit([](const auto& all) { return all.result(); }, copy());
    }
};

const signature& weights_signature() {
    static const signature all = signature("propensity_weights", "treatment: numpy.typing.ArrayLike, propensity: numpy.typing.ArrayLike")
                                     .options<car::hajek>()
                                     .output("out");
    return all;
}

py::object propensity_weights(const py::object& arms, const py::object& propensities, const py::kwargs& given) {
    arguments list(weights_signature(), given);
    const char* op = list.op();
    const array t = integers(op, "treatment", arms), e(op, "propensity", propensities, element::float64);
    e.require(element::float64);
    const auto how = list.options<car::hajek>().weighting;
    const auto [name, wanted] = list.next();
    const result_array out(op, name, wanted.is_none() ? py::handle(Py_True) : wanted, e, element::float64, e.shape());
    car::propensity_weights(how, labels(t), e.vector<const double>(), out.view().vector<double>());
    return out.finish();
}

/// Rows with a category, which is a stratum or a mediator. Arrays live as long as the call.
class categorised {
    array treatment_, outcome_, category_, clusters_;

  public:
    categorised(arguments& list, const py::object& arms, const py::object& outcomes, const char* of_category, const py::object& categories)
        : treatment_(integers(list.op(), "treatment", arms)), outcome_(doubles(list.op(), "outcome", outcomes)),
          category_(integers(list.op(), of_category, categories)) {
        const auto [name, value] = list.next();
        clusters_ = integers(list.op(), name, value);
    }
    car::label_view treatment() const { return labels(treatment_); }
    car::vector_view<const double> outcome() const { return outcome_.vector<const double>(); }
    car::label_view category() const { return labels(category_); }
    car::label_view clusters() const { return labels(clusters_); }
};

/// Back door and front door: what a row's category is called, and what is made of the table.
template <class Call>
car::treatment_result plug_in(const signature& signature, const py::object& arms, const py::object& outcomes, const char* of_category,
                              const py::object& categories, const py::kwargs& given, Call call) {
    arguments list(signature, given);
    const categorised rows(list, arms, outcomes, of_category, categories);
    const auto options = list.options<car::plug_in_options>();
    const py::gil_scoped_release unlocked;
    return call(rows, options);
}

signature plug_in_signature(const char* op, const std::string& category) {
    return signature(op, "treatment: numpy.typing.ArrayLike, outcome: numpy.typing.ArrayLike, " + category +
                             ": numpy.typing.ArrayLike, count: int")
        .input("clusters")
        .options<car::plug_in_options>();
}
const signature& stratification_signature() {
    static const signature all = plug_in_signature("stratification", "stratum");
    return all;
}
const signature& front_door_signature() {
    static const signature all = plug_in_signature("front_door", "mediator");
    return all;
}

const signature& plug_in_accumulator_signature() {
    static const signature all = signature("__init__", "self, count: int").options<car::plug_in_options>();
    return all;
}
const signature& add_categories_signature() {
    static const signature all = signature("add", "self, treatment: numpy.typing.ArrayLike, outcome: numpy.typing.ArrayLike, category: "
                                                  "numpy.typing.ArrayLike")
                                     .input("clusters");
    return all;
}

/// Threads may add to one accumulator, since the lock of the interpreter is not held meanwhile.
class plug_in_accumulator {
    car::plug_in_accumulator rows_;
    mutable std::mutex mutex_;

  public:
    plug_in_accumulator(std::int64_t count, const car::plug_in_options& options) : rows_(count, options) {}

    void add(const py::object& arms, const py::object& outcomes, const py::object& categories, const py::kwargs& given) {
        arguments list(add_categories_signature(), given);
        const categorised rows(list, arms, outcomes, "category", categories);
        const py::gil_scoped_release unlocked;
        const std::lock_guard lock(mutex_);
        rows_.add(rows.treatment(), rows.outcome(), rows.category(), rows.clusters());
    }
    void merge(const plug_in_accumulator& other) {
        const py::gil_scoped_release unlocked;
        const car::plug_in_accumulator copy = other.copy(); // so that no two locks are held at once, and it may be merged with itself
        const std::lock_guard lock(mutex_);
        rows_.merge(copy);
    }
    car::plug_in_accumulator copy() const {
        const std::lock_guard lock(mutex_);
        return rows_;
    }
    car::treatment_result back_door() const {
        const py::gil_scoped_release unlocked;
        return copy().back_door();
    }
    car::treatment_result front_door() const {
        const py::gil_scoped_release unlocked;
        return copy().front_door();
    }
};

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
            return plug_in(stratification_signature(), t, y, "stratum", s, given, [&](const categorised& rows, const auto& options) {
                return car::stratification(rows.treatment(), rows.outcome(), rows.category(), count, options, rows.clusters());
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
            return plug_in(front_door_signature(), t, y, "mediator", m, given, [&](const categorised& rows, const auto& options) {
                return car::front_door(rows.treatment(), rows.outcome(), rows.category(), count, options, rows.clusters());
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

    py::class_<treatment_accumulator> treatments(module, "TreatmentAccumulator", R"(`car.treatment` over a stream of batches.

Any split, order or merge of the same rows agrees within 4 units in the last place of max(|mean|, standard error). Threads may add to
one accumulator.

>>> study = car.TreatmentAccumulator("difference_in_means")
>>> study.add([1, 0], [3.0, 1.0]).ok
True
>>> other = car.TreatmentAccumulator("difference_in_means")
>>> status = other.add([1, 0], [5.0, 2.0])
>>> study.merge(other)
>>> study.result() # doctest: +ELLIPSIS
TreatmentResult(mean=2.5, standard_error=1.11803, ..., count=4)
)");
    define(treatments, py::init<const std::string&, const py::kwargs&>(), py::arg("estimator"),
           (treatment_accumulator_signature().returns("None") + "By one of the estimators of `car.treatment`, whose options it takes.")
               .c_str());
    define(treatments, "add", &treatment_accumulator::add, py::arg("treatment"), py::arg("outcome"),
           (add_rows_signature().returns("RowStatus") + "Adds a batch, as `car.treatment` takes it.").c_str());
    define(treatments, "merge", &treatment_accumulator::merge, py::arg("other"),
           "merge(self, other: TreatmentAccumulator) -> None\n\nAdds what another accumulator of the same estimator and options has seen.");
    define(treatments, "result", &treatment_accumulator::result, "result(self) -> TreatmentResult\n\nOver all rows so far.");

    py::class_<plug_in_accumulator> tables(module, "PlugInAccumulator",
                                           R"(`car.stratification` and `car.front_door` over a stream of batches: the state is a table.

Any split, order or merge of the same rows agrees within 4 units in the last place of max(|mean|, standard error). Threads may add to
one accumulator.

>>> strata = car.PlugInAccumulator(2)
>>> strata.add([1, 0], [2.0, 1.0], [0, 0])
>>> strata.add([1, 0], [5.0, 3.0], [1, 1])
>>> strata.back_door().mean
1.5
)");
    define(
        tables, py::init([](std::int64_t count, const py::kwargs& given) {
            arguments list(plug_in_accumulator_signature(), given);
            return std::make_unique<plug_in_accumulator>(count, list.options<car::plug_in_options>());
        }),
        py::arg("count"),
        (plug_in_accumulator_signature().returns("None") + "For categories 0 to count - 1; the options are those of `car.stratification`.")
            .c_str());
    define(tables, "add", &plug_in_accumulator::add, py::arg("treatment"), py::arg("outcome"), py::arg("category"),
           (add_categories_signature().returns("None") +
            "Adds a batch; its categories are the strata of the back door, or the mediators of the front door.")
               .c_str());
    define(tables, "merge", &plug_in_accumulator::merge, py::arg("other"),
           "merge(self, other: PlugInAccumulator) -> None\n\nAdds what another accumulator of the same count and options has seen.");
    define(tables, "back_door", &plug_in_accumulator::back_door,
           "back_door(self) -> TreatmentResult\n\n`car.stratification` of all rows so far.");
    define(tables, "front_door", &plug_in_accumulator::front_door,
           "front_door(self) -> TreatmentResult\n\n`car.front_door` of all rows so far.");
}

} // namespace binding
