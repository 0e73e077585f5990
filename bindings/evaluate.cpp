// SPDX-License-Identifier: Apache-2.0
#include "options.hpp"

#include <pybind11/stl.h> // lists of edges and of groups

#include <mutex>

namespace binding {

namespace {

const signature& top_k_signature() {
    static const signature all =
        signature("top_k", "p: numpy.typing.ArrayLike, labels: numpy.typing.ArrayLike").options<car::top_k_options>().output("hits");
    return all;
}

py::object top_k(const py::object& p, const py::object& labels, const py::kwargs& given) {
    arguments list(top_k_signature(), given);
    const char* op = list.op();
    const array logits(op, "p", p, element::float64), classes(op, "labels", labels, element::int64);
    logits.require_logits();
    const auto options = list.options<car::top_k_options>();
    const auto [name, wanted] = list.next();
    const std::ptrdiff_t rows = logits.dimensions() == 2 ? logits.shape(0) : 1;
    const result_array hits(op, name, wanted.is_none() ? py::handle(Py_True) : wanted, logits, element::float64, {rows});
    with_type(logits.type(), [&]<class T>(T) {
        const auto read = logits.matrix<const T>();
        const auto targets = classes.labels();
        const auto out = hits.view().template vector<double>();
        const py::gil_scoped_release unlocked;
        car::top_k(read, targets, out, options);
    });
    return hits.finish();
}

const signature& bins_signature() {
    static const signature all =
        signature("bins", "values: numpy.typing.ArrayLike, edges: collections.abc.Sequence[float]").output("groups");
    return all;
}

py::object bins(const py::object& values, const std::vector<double>& edges, const py::kwargs& given) {
    arguments list(bins_signature(), given);
    const char* op = list.op();
    const array in(op, "values", values, element::float64);
    in.require(element::float64);
    const auto [name, wanted] = list.next();
    const result_array groups(op, name, wanted.is_none() ? py::handle(Py_True) : wanted, in, element::int64, in.shape());
    car::bins(in.vector<const double>(), edges, groups.view().vector<std::int64_t>());
    return groups.finish();
}

const signature& profile_signature() {
    static const signature all = signature("__init__", "self, groups: int").options<car::profile_options>();
    return all;
}
const signature& add_signature() {
    static const signature all = signature("add", "self, values: numpy.typing.ArrayLike, groups: numpy.typing.ArrayLike").input("clusters");
    return all;
}
const signature& add_drop_signature() {
    static const signature all = signature("add_drop", "self, before: numpy.typing.ArrayLike, after: numpy.typing.ArrayLike, groups: "
                                                       "numpy.typing.ArrayLike")
                                     .input("clusters");
    return all;
}

/// Threads may add to one profile, since the lock of the interpreter is not held meanwhile.
class profile {
    car::profile groups_;
    mutable std::mutex mutex_;

    static array doubles(const char* op, const char* name, const py::object& object) {
        array one(op, name, object, element::float64);
        one.require(element::float64);
        return one;
    }
    template <class Add>
    void with_groups(arguments& list, const py::object& groups, Add add) {
        const array of(list.op(), "groups", groups, element::int64);
        const auto [name, value] = list.next();
        const array clusters = value.is_none() ? array() : array(list.op(), name, value, element::int64);
        const auto group = of.labels(), cluster = clusters ? clusters.labels() : car::label_view();
        const py::gil_scoped_release unlocked;
        const std::lock_guard lock(mutex_);
        add(group, cluster);
    }

  public:
    profile(std::ptrdiff_t groups, const car::profile_options& options) : groups_(groups, options) {}

    void add(const py::object& values, const py::object& groups, const py::kwargs& given) {
        arguments list(add_signature(), given);
        const array in = doubles(list.op(), "values", values);
        const auto read = in.vector<const double>();
        with_groups(list, groups, [&](const auto& of, const auto& clusters) { groups_.add(read, of, clusters); });
    }
    void add_drop(const py::object& before, const py::object& after, const py::object& groups, const py::kwargs& given) {
        arguments list(add_drop_signature(), given);
        const array first = doubles(list.op(), "before", before), second = doubles(list.op(), "after", after);
        const auto from = first.vector<const double>(), to = second.vector<const double>();
        with_groups(list, groups, [&](const auto& of, const auto& clusters) { groups_.add_drop(from, to, of, clusters); });
    }
    void merge(const profile& other) {
        const py::gil_scoped_release unlocked;
        const car::profile copy = other.copy(); // so that no two locks are held at once, and it may be merged with itself
        const std::lock_guard lock(mutex_);
        groups_.merge(copy);
    }
    car::profile copy() const {
        const std::lock_guard lock(mutex_);
        return groups_;
    }
};

} // namespace

void bind_evaluate(py::module_& module) {
    define(module, "top_k", &top_k, py::arg("p"), py::arg("labels"),
           (top_k_signature().returns("typing.Any") + R"(Is the label among the k largest logits of its row? Equal ones in their order.

Shapes
    p: N x C logits or probabilities, or C for one row. labels: N integers. hits, the result: N, float64.
Units
    1 or 0; NaN where a row is ignored or has a NaN.
Errors
    ValueError for a shape, a k that is not 1 to C or a label out of range, TypeError for a type.

>>> car.top_k([[1.0, 3.0, 2.0], [2.0, 1.0, 0.0]], [2, 0])
array([0., 1.])
)")
               .c_str());
    define(module, "bins", &bins, py::arg("values"), py::arg("edges"),
           (bins_signature().returns("typing.Any") +
            R"(The bin of each value: the number of edges that are at most the value; -1 for a NaN.

Shapes
    values: N, float64. edges: any number, rising. groups, the result: N, int64.
Units
    bins, from 0.
Errors
    ValueError for a shape or edges that do not rise, TypeError for a type.

>>> car.bins([0.0, 0.3, 0.9], [0.25, 0.5])
array([0, 1, 2])
)")
               .c_str());

    using result = car::estimate;
    py::class_<result>(module, "Estimate", "A mean with its interval. NaN where there is no answer; `reason` says why.")
        .def_readonly("mean", &result::mean, "The mean of the values.")
        .def_readonly("standard_error", &result::standard_error, "Of the mean.")
        .def_readonly("lower", &result::lower, "Where the interval begins.")
        .def_readonly("upper", &result::upper, "Where the interval ends.")
        .def_readonly("count", &result::count, "Values that the mean is of.")
        .def_readonly("units", &result::units, "What was sampled independently: clusters where they are given, else values.")
        .def_property_readonly(
            "reason", [](const result& r) { return words<enum car::reason>::names[static_cast<std::size_t>(r.reason)]; },
            "Why the mean, or its error and interval alone, is NaN; else 'none'.")
        .def("__repr__", [](const result& r) {
            std::ostringstream text;
            text << "Estimate(mean=" << r.mean << ", standard_error=" << r.standard_error << ", lower=" << r.lower << ", upper=" << r.upper
                 << ", count=" << r.count << ")";
            return text.str();
        });

    py::class_<profile> all(module, "Profile", R"(Means by group, each with its interval, in a stream: accuracy by class, its drop.

Any split, order or merge of the same values agrees within 4 units in the last place of max(|mean|, standard error). Threads may add to
one profile.

>>> accuracy = car.Profile(2, interval="wilson")
>>> accuracy.add([1.0, 0.0, 1.0, 1.0], [0, 0, 1, 1])
>>> accuracy.of(0).mean, accuracy.of([0, 1]).mean, accuracy.macro().mean, accuracy.ranked()
(0.5, 0.75, 0.75, [1, 0])
)");
    define(all, py::init([](std::ptrdiff_t groups, const py::kwargs& given) {
               arguments list(profile_signature(), given);
               return std::make_unique<profile>(groups, list.options<car::profile_options>());
           }),
           py::arg("groups"), (profile_signature().returns("None") + "For groups 0 to groups - 1.").c_str());
    define(all, "add", &profile::add, py::arg("values"), py::arg("groups"),
           (add_signature().returns("None") + "Adds values with their groups; one of group -1 is left out.").c_str());
    define(all, "add_drop", &profile::add_drop, py::arg("before"), py::arg("after"), py::arg("groups"),
           (add_drop_signature().returns("None") + "Adds before - after of each row.").c_str());
    define(all, "merge", &profile::merge, py::arg("other"), "merge(self, other: Profile) -> None\n\nAdds what another profile has seen.");
    define(
        all, "of",
        [](const profile& p, const py::object& group) {
            if (!PySequence_Check(group.ptr())) return p.copy().of(from_python<std::ptrdiff_t>("Profile.of", "group", group));
            try {
                return p.copy().of(group.cast<std::vector<std::ptrdiff_t>>());
            } catch (const py::cast_error&) {
                type_error("Profile.of", "group is " + shown(group) + ", expected an integer or several");
            }
        },
        py::arg("group"), "of(self, group: int | collections.abc.Sequence[int]) -> Estimate\n\nOver a group, or several as one.");
    define(
        all, "all", [](const profile& p) { return p.copy().all(); }, "all(self) -> Estimate\n\nOver all groups as one.");
    define(
        all, "macro", [](const profile& p) { return p.copy().macro(); }, "macro(self) -> Estimate\n\nThe mean over groups.");
    define(
        all, "ranked", [](const profile& p) { return p.copy().ranked(); },
        "ranked(self) -> list[int]\n\nThe groups that have a mean, the largest first.");
    all.def("__len__", [](const profile& p) { return p.copy().size(); });
}

} // namespace binding
