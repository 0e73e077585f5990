// SPDX-License-Identifier: Apache-2.0
#include "options.hpp"

#include <car/effect.hpp>

#include <mutex>

namespace binding {

namespace {

struct effect_result : car::effect_result {
    py::object row_effect = py::none(), row_draw_error = py::none(), class_effect = py::none();
};

/// A batch, and what weighs and groups its rows.
struct batch {
    array p, c, labels, weights, clusters;

    batch(const char* op, const py::object& factual, const py::object& counterfactual, const py::object& classes)
        : p(op, "p", factual, element::float64) {
        p.require_logits();
        c = array(op, "c", counterfactual, p.type());
        c.require(p.type(), "p");
        labels = array(op, "labels", classes, element::int64);
    }

    /// The next two arguments of a call.
    void group(arguments& list) {
        const auto [weights_name, weights_value] = list.next();
        if (!weights_value.is_none()) {
            const element term = p.type() == element::float64 ? element::float64 : element::float32;
            weights = array(list.op(), weights_name, weights_value, term);
            weights.require(term, "the terms of p");
        }
        const auto [clusters_name, clusters_value] = list.next();
        if (!clusters_value.is_none()) clusters = array(list.op(), clusters_name, clusters_value, element::int64);
    }

    template <class T>
    car::effect_arrays<T> arrays() const {
        car::effect_arrays<T> arrays{.weights = weights.vector<const car::term_of<T>>()};
        if (clusters) arrays.clusters = clusters.labels();
        return arrays;
    }
};

const signature& effect_signature() {
    static const signature all = signature("effect", "p: numpy.typing.ArrayLike, c: numpy.typing.ArrayLike, labels: numpy.typing.ArrayLike")
                                     .options<car::effect_options>()
                                     .input("weights")
                                     .input("clusters")
                                     .output("row_effect")
                                     .output("row_draw_error")
                                     .output("class_effect")
                                     .backend();
    return all;
}

effect_result effect(const py::object& p, const py::object& c, const py::object& labels, const py::kwargs& given) {
    arguments list(effect_signature(), given);
    batch in(list.op(), p, c, labels);
    const auto options = list.options<car::effect_options>();
    in.group(list);
    const element term = in.p.type() == element::float64 ? element::float64 : element::float32;
    const auto output = [&](element type, const std::vector<std::ptrdiff_t>& shape) {
        const auto [name, wanted] = list.next();
        return result_array(list.op(), name, wanted, in.p, type, shape);
    };
    const std::ptrdiff_t rows = in.p.dimensions() == 2 ? in.p.shape(0) : 1;
    const result_array row_effect = output(term, {rows}), row_draw_error = output(term, {rows}),
                       class_effect = output(in.p.type(), in.p.shape());
    const auto backend = list.next().value;
    return with_type(in.p.type(), [&]<class T>(T) {
        const auto factual = in.p.matrix<const T>(), counterfactual = in.c.matrix<const T>();
        const auto classes = in.labels.labels();
        car::effect_arrays<T> arrays = in.arrays<T>();
        arrays.row_effect = row_effect.view().template vector<car::term_of<T>>();
        arrays.row_draw_error = row_draw_error.view().template vector<car::term_of<T>>();
        arrays.class_effect = class_effect.view().template matrix<T>();
        effect_result result{with_backend(list.op(), backend, [&](const auto& on) {
            const py::gil_scoped_release unlocked;
            return car::effect(on, factual, counterfactual, classes, options, arrays);
        })};
        result.row_effect = row_effect.finish();
        result.row_draw_error = row_draw_error.finish();
        result.class_effect = class_effect.finish();
        return result;
    });
}

const signature& mean_signature() {
    static const signature all =
        signature("mean_effect", "effects: numpy.typing.ArrayLike").options<car::effect_options>().input("weights");
    return all;
}

effect_result mean_effect(const py::object& effects, const py::kwargs& given) {
    arguments list(mean_signature(), given);
    const array values(list.op(), "effects", effects, element::float64);
    values.require(element::float64);
    const auto options = list.options<car::effect_options>();
    array weights;
    if (const auto [name, value] = list.next(); !value.is_none()) {
        weights = array(list.op(), name, value, element::float64);
        weights.require(element::float64);
    }
    const auto view = values.vector<const double>(), weight = weights.vector<const double>();
    return {[&] {
        const py::gil_scoped_release unlocked;
        return car::mean_effect(view, options, weight);
    }()};
}

const signature& add_signature() {
    static const signature all = signature("add", "self, p: numpy.typing.ArrayLike, c: numpy.typing.ArrayLike, labels: "
                                                  "numpy.typing.ArrayLike")
                                     .input("weights")
                                     .input("clusters");
    return all;
}

/// Threads may add to one accumulator, since the lock of the interpreter is not held meanwhile.
class effect_accumulator {
    car::effect_accumulator effects_;
    mutable std::mutex mutex_;

  public:
    effect_accumulator(std::ptrdiff_t classes, const car::effect_options& options) : effects_(classes, options) {}

    car::row_status add(const py::object& p, const py::object& c, const py::object& labels, const py::kwargs& given) {
        arguments list(add_signature(), given);
        batch in(list.op(), p, c, labels);
        in.group(list);
        return with_type(in.p.type(), [&]<class T>(T) {
            const auto factual = in.p.matrix<const T>(), counterfactual = in.c.matrix<const T>();
            const auto classes = in.labels.labels();
            const car::effect_arrays<T> arrays = in.arrays<T>();
            const py::gil_scoped_release unlocked;
            const std::lock_guard lock(mutex_);
            return effects_.add(factual, counterfactual, classes, arrays);
        });
    }
    void merge(const effect_accumulator& other) {
        const py::gil_scoped_release unlocked;
        const car::effect_accumulator copy = other.copy(); // so that no two locks are held at once, and it may be merged with itself
        const std::lock_guard lock(mutex_);
        effects_.merge(copy);
    }
    car::effect_accumulator copy() const {
        const std::lock_guard lock(mutex_);
        return effects_;
    }
};

const signature& accumulator_signature() {
    static const signature all = signature("__init__", "self, classes: int").options<car::effect_options>();
    return all;
}

} // namespace

void bind_effect(py::module_& module) {
    py::class_<effect_result>(module, "EffectResult",
                              "A mean effect. NaN where there is no answer: the mean of no sample, the error of fewer than two.")
        .def_readonly("mean", &effect_result::mean, "The mean of the effects.")
        .def_readonly("standard_error", &effect_result::standard_error, "Of the mean; the sample is the unit.")
        .def_readonly("lower", &effect_result::lower, "Where the interval begins.")
        .def_readonly("upper", &effect_result::upper, "Where the interval ends.")
        .def_readonly("count", &effect_result::count, "Samples that are not ignored.")
        .def_readonly("status", &effect_result::status, "Which row, if any, has no answer.")
        .def_readonly("units", &effect_result::units, "What was sampled independently: clusters where they are given, else rows.")
        .def_readonly("positive", &effect_result::positive, "Share of rows with a positive effect.")
        .def_property_readonly(
            "reason", [](const effect_result& r) { return words<enum car::reason>::names[static_cast<std::size_t>(r.reason)]; },
            "Why the mean, or its error and interval alone, is NaN; else 'none'.")
        .def_readonly("row_effect", &effect_result::row_effect, "N: each sample's effect, if it was asked for.")
        .def_readonly("row_draw_error", &effect_result::row_draw_error, "N: its standard error over the draws, if it was asked for.")
        .def_readonly("class_effect", &effect_result::class_effect, "N x C: the effect on every class, if it was asked for.")
        .def("__repr__", [](const effect_result& r) {
            std::ostringstream text;
            text << "EffectResult(mean=" << r.mean << ", standard_error=" << r.standard_error << ", lower=" << r.lower
                 << ", upper=" << r.upper << ", count=" << r.count << ")";
            return text.str();
        });

    define(module, "effect", &effect, py::arg("p"), py::arg("c"), py::arg("labels"),
           (effect_signature().returns("EffectResult") +
            R"(P_effect: how much probability the actor gives to the label, as a paired mean over samples.

    e[i] = softmax(p[i])[labels[i]] - softmax(c[i])[labels[i]],   mean = sum e / n,   standard_error = sd(e) / sqrt(n)

Shapes
    p: N x C logits, or C for one row. c: the same, or with draws=M the M counterfactuals of each row: (M N) x C, draw after draw. Of one
    type, any strides. labels: N integers. weights: N, of the terms' type. clusters: N integers; rows of one cluster are not independent.
    row_effect, row_draw_error: N, of the terms' type; class_effect: N x C. True for a new array, or an array to write.
Units
    differences of probabilities, or as `scale` says: nats for log-odds, logits and divergences. The interval is Student's t, normal, or
    a seeded bootstrap.
Errors
    ValueError for a shape, a label out of range or an option's value, TypeError for a type. Values are no error: `reason` says why a
    result is NaN.
Source
    OccludeNet, Eq. 1.

>>> e = car.effect([[2.0, 0.0], [1.0, 1.0]], [[0.0, 0.0], [0.0, 1.0]], [0, 1])
>>> print(f"{e.mean:.4f} +- {e.standard_error:.4f}")
0.0749 +- 0.3059
)")
               .c_str());

    define(module, "mean_effect", &mean_effect, py::arg("effects"),
           (mean_signature().returns("EffectResult") +
            R"(The mean of effects that are there already, one for each sample: differences of two treatments, for example.

Shapes
    effects, weights: n, float64, any stride.
Units
    those of the effects.
Errors
    ValueError for a level that is not between 0 and 1, TypeError for a type.

>>> car.mean_effect([1.0, 2.0, 3.0])
EffectResult(mean=2, standard_error=0.57735, lower=-0.484138, upper=4.48414, count=3)
)")
               .c_str());

    py::class_<effect_accumulator> accumulator(module, "EffectAccumulator", R"(P_effect over a stream of batches, overall and by class.

Any split, order or merge of the same rows agrees within 4 units in the last place of max(|mean|, standard error). Threads may add to
one accumulator.

>>> effects = car.EffectAccumulator(2)
>>> effects.add([[2.0, 0.0]], [[0.0, 0.0]], [0]).ok
True
>>> other = car.EffectAccumulator(2)
>>> status = other.add([[1.0, 1.0]], [[0.0, 1.0]], [1])
>>> effects.merge(other)
>>> effects.result().count, effects.of_class(1).count
(2, 1)
)");
    define(accumulator, py::init([](std::ptrdiff_t classes, const py::kwargs& given) {
               arguments list(accumulator_signature(), given);
               return std::make_unique<effect_accumulator>(classes, list.options<car::effect_options>());
           }),
           py::arg("classes"),
           (accumulator_signature().returns("None") + "For labels 0 to classes - 1; the options are those of `car.effect`.").c_str());
    define(accumulator, "add", &effect_accumulator::add, py::arg("p"), py::arg("c"), py::arg("labels"),
           (add_signature().returns("RowStatus") + "Adds a batch, as `car.effect` takes it; C is the number of classes.").c_str());
    define(accumulator, "merge", &effect_accumulator::merge, py::arg("other"),
           "merge(self, other: EffectAccumulator) -> None\n\nAdds what another accumulator has seen.");
    accumulator.def_property_readonly(
        "classes", [](const effect_accumulator& all) { return all.copy().classes(); }, "The number of classes.");
    define(
        accumulator, "result", [](const effect_accumulator& all) { return effect_result{all.copy().result()}; },
        "result(self) -> EffectResult\n\nOver all rows so far.");
    define(
        accumulator, "of_class",
        [](const effect_accumulator& all, std::ptrdiff_t label) { return effect_result{all.copy().of_class(label)}; }, py::arg("label"),
        "of_class(self, label: int) -> EffectResult\n\nOver the rows of one label so far.");
    define(
        accumulator, "macro", [](const effect_accumulator& all) { return effect_result{all.copy().macro()}; },
        "macro(self) -> EffectResult\n\nThe mean over classes.");
}

} // namespace binding
