// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "array.hpp"
#include "threads.hpp"

#include <car/adjust.hpp>         // adjust_options, and those of attention
#include <car/backend.hpp>        // policies
#include <car/counterfactual.hpp> // noise_fill
#include <car/effect.hpp>         // effect_options
#include <car/evaluate.hpp>       // top_k_options, profile_options
#include <car/occlusion.hpp>      // occlusion_options
#include <car/options.hpp>        // the other options
#include <car/treatment.hpp>      // treatment_options, plug_in_options

#if defined(CAR_PYTHON_EIGEN)
#include <car/eigen.hpp> // a second backend, where the build has found Eigen
#endif

#include <algorithm>
#include <concepts>
#include <sstream>
#include <string_view>
#include <tuple>
#include <vector>

/// Each option struct has one table here: a name and the field. Arguments, signatures, schemas and stubs are all read from it.
namespace binding {

template <class Enum>
struct words;
template <>
struct words<enum car::flow> {
    static constexpr std::array names{"full", "stop_target", "stop_counterfactual", "stop_factual"};
};
template <>
struct words<enum car::kl_target> {
    static constexpr std::array names{"prediction", "label"};
};
template <>
struct words<enum car::reduction> {
    static constexpr std::array names{"none", "sum", "mean"};
};
template <>
struct words<enum car::empty> {
    static constexpr std::array names{"zero", "nan", "error"};
};
template <>
struct words<enum car::precision> {
    static constexpr std::array names{"fast", "accurate", "highest"};
};
template <>
struct words<enum car::interval> {
    static constexpr std::array names{"student_t", "normal", "bootstrap", "wilson"};
};
template <>
struct words<enum car::scale> {
    static constexpr std::array names{"probability", "log_odds", "logit", "divergence"};
};
template <>
struct words<enum car::reason> {
    static constexpr std::array names{"none",       "no_rows",    "bad_weight", "propensity_outside", "no_treated", "no_control",
                                      "empty_cell", "not_finite", "too_few",    "undefined_replicate"};
};
template <>
struct words<enum car::adjustment> {
    static constexpr std::array names{"exact", "geometric"};
};
template <>
struct words<enum car::normalise> {
    static constexpr std::array names{"as_published", "yes"};
};
template <>
struct words<enum car::weighting> {
    static constexpr std::array names{"inverse", "stabilised", "treated", "control", "overlap"};
};
template <>
struct words<enum car::empty_stratum> {
    static constexpr std::array names{"undefined", "drop"};
};
template <>
struct words<enum car::fault> {
    static constexpr std::array names{"none", "masked_row", "not_finite"};
};

template <class Options, class Value>
struct option {
    const char* name;
    Value Options::*field;
};
template <class Options, class Value>
option(const char*, Value Options::*) -> option<Options, Value>;

/// Whether gradients are made and accumulate depends on the arrays as well: the ops read `gradients` themselves.
template <class Options>
struct table;
template <>
struct table<car::loss_options> {
    using of = car::loss_options;
    static constexpr std::tuple options{option{"alpha", &of::alpha},
                                        option{"strength", &of::strength},
                                        option{"temperature", &of::temperature},
                                        option{"logit_scale", &of::logit_scale},
                                        option{"softcap", &of::softcap},
                                        option{"label_smoothing", &of::label_smoothing},
                                        option{"z_weight", &of::z_weight},
                                        option{"ignore_index", &of::ignore_index},
                                        option{"kl_target", &of::kl_target},
                                        option{"flow", &of::flow},
                                        option{"reduction", &of::reduction},
                                        option{"divisor", &of::divisor},
                                        option{"empty", &of::empty},
                                        option{"precision", &of::precision}};
};
template <>
struct table<car::softmax_options> {
    static constexpr std::tuple options{option{"temperature", &car::softmax_options::temperature}};
};
template <>
struct table<car::corrected_options> {
    static constexpr std::tuple options{option{"strength", &car::corrected_options::strength},
                                        option{"temperature", &car::corrected_options::temperature}};
};
template <>
struct table<car::effect_options> {
    using of = car::effect_options;
    static constexpr std::tuple options{
        option{"level", &of::level}, option{"interval", &of::interval},  option{"ignore_index", &of::ignore_index},
        option{"scale", &of::scale}, option{"draws", &of::draws},        option{"resamples", &of::resamples},
        option{"seed", &of::seed},   option{"first_row", &of::first_row}};
};

template <>
struct table<car::noise_fill> {
    using of = car::noise_fill;
    static constexpr std::tuple options{option{"seed", &of::seed}, option{"mean", &of::mean}, option{"deviation", &of::deviation},
                                        option{"first_image", &of::first_image}};
};
template <>
struct table<car::occlusion_options> {
    using of = car::occlusion_options;
    static constexpr std::tuple options{option{"scale", &of::scale}, option{"alpha", &of::alpha}, option{"first_frame", &of::first_frame},
                                        option{"last_frame", &of::last_frame}};
};

template <>
struct table<car::adjust_options> {
    using of = car::adjust_options;
    static constexpr std::tuple options{option{"adjustment", &of::adjustment}, option{"reduction", &of::reduction},
                                        option{"ignore_index", &of::ignore_index}};
};
template <>
struct table<car::attention_options> {
    static constexpr std::tuple options{option{"batch", &car::attention_options::batch}, option{"scale", &car::attention_options::scale}};
};
template <>
struct table<car::dictionary_options> {
    static constexpr std::tuple options{option{"normalise", &car::dictionary_options::normalise},
                                        option{"scale", &car::dictionary_options::scale}};
};
template <>
struct table<car::front_door_options> {
    static constexpr std::tuple options{option{"batch", &car::front_door_options::batch}, option{"scale", &car::front_door_options::scale}};
};
template <>
struct table<car::intervention_options> {
    static constexpr std::tuple options{option{"batch", &car::intervention_options::batch},
                                        option{"scale", &car::intervention_options::scale}};
};

template <>
struct table<car::top_k_options> {
    static constexpr std::tuple options{option{"k", &car::top_k_options::k}, option{"ignore_index", &car::top_k_options::ignore_index}};
};
template <>
struct table<car::profile_options> {
    using of = car::profile_options;
    static constexpr std::tuple options{option{"level", &of::level}, option{"interval", &of::interval}, option{"resamples", &of::resamples},
                                        option{"seed", &of::seed}, option{"first_row", &of::first_row}};
};
template <>
struct table<car::hajek> {
    static constexpr std::tuple options{option{"weighting", &car::hajek::weighting}};
};
template <>
struct table<car::treatment_options> {
    using of = car::treatment_options;
    static constexpr std::tuple options{option{"level", &of::level},        option{"interval", &of::interval},   option{"clip", &of::clip},
                                        option{"trim", &of::trim},          option{"resamples", &of::resamples}, option{"seed", &of::seed},
                                        option{"first_row", &of::first_row}};
};
template <>
struct table<car::plug_in_options> {
    using of = car::plug_in_options;
    static constexpr std::tuple options{
        option{"level", &of::level},         option{"interval", &of::interval}, option{"empty_stratum", &of::empty_stratum},
        option{"resamples", &of::resamples}, option{"seed", &of::seed},         option{"first_row", &of::first_row}};
};

template <class Options, class Each>
void for_each_option(Each each) {
    std::apply([&](const auto&... one) { (each(one.name, one.field), ...); }, table<Options>::options);
}

template <class Enum>
concept enumeration = std::is_enum_v<Enum>;
template <class Value>
inline constexpr bool is_optional = false;
template <class Value>
inline constexpr bool is_optional<std::optional<Value>> = true;

/// What an option is called in Python's types, and how its default is written.
template <class Value>
std::string type_text() {
    if constexpr (std::same_as<Value, double>) return "float";
    if constexpr (is_optional<Value>) return type_text<typename Value::value_type>() + " | None";
    if constexpr (std::integral<Value>) return "int";
    if constexpr (enumeration<Value>) {
        std::string text = "typing.Literal[";
        for (const char* name : words<Value>::names) text += std::string(text.back() == '[' ? "'" : ", '") + name + "'";
        return text + "]";
    }
}
template <class Value>
py::object to_python(const Value& value) {
    if constexpr (enumeration<Value>)
        return py::str(words<Value>::names[static_cast<std::size_t>(value)]);
    else if constexpr (is_optional<Value>)
        return value ? to_python(*value) : py::object(py::none());
    else
        return py::cast(value);
}

inline std::string shown(py::handle object) { return py::repr(object).cast<std::string>(); }

[[noreturn]] inline void unexpected(const char* op, const std::string& name, py::handle value, const std::string& expected) {
    type_error(op, name + " is " + shown(value) + ", expected " + expected);
}

template <class Value>
Value from_python(const char* op, const char* name, py::handle value) {
    if constexpr (is_optional<Value>) {
        if (value.is_none()) return std::nullopt;
        return from_python<typename Value::value_type>(op, name, value);
    } else if constexpr (std::same_as<Value, double>) {
        const double number = PyFloat_AsDouble(value.ptr());
        if (number == -1 && PyErr_Occurred()) {
            PyErr_Clear();
            unexpected(op, name, value, "a number");
        }
        return number;
    } else if constexpr (std::integral<Value>) {
        const auto index = py::reinterpret_steal<py::object>(PyNumber_Index(value.ptr()));
        const auto number = !index ? Value(-1) : [&] {
            if constexpr (std::is_signed_v<Value>)
                return static_cast<Value>(PyLong_AsLongLong(index.ptr()));
            else
                return static_cast<Value>(PyLong_AsUnsignedLongLong(index.ptr()));
        }();
        if (number == Value(-1) && PyErr_Occurred()) {
            PyErr_Clear();
            unexpected(op, name, value, std::is_signed_v<Value> ? "an integer of 64 bits" : "an integer of 64 bits, 0 or more");
        }
        return number;
    } else {
        constexpr auto& names = words<Value>::names;
        if (!PyUnicode_Check(value.ptr())) unexpected(op, name, value, "a string");
        const auto found = std::find_if(names.begin(), names.end(),
                                        [&](const char* word) { return PyUnicode_CompareWithASCIIString(value.ptr(), word) == 0; });
        if (found == names.end()) {
            std::string expected;
            for (const char* word : names)
                expected += std::string(expected.empty() ? "'" : word == names.back() ? " or '" : ", '") + word + "'";
            value_error(op, std::string(name) + " is " + shown(value) + ", expected " + expected);
        }
        return static_cast<Value>(found - names.begin());
    }
}

/// What a function of the module takes by keyword, in order. It is the first line of its docstring, from which the stubs are made.
class signature {
    struct argument {
        PyObject* key; // interned, as the names in a call are: most comparisons end with the pointer
        const char* name;
    };
    const char* op_;
    std::string text_;
    std::vector<argument> arguments_;

  public:
    signature(const char* op, const std::string& positional) : op_(op), text_(op + ("(" + positional) + ", *") {}

    signature& add(const char* name, const std::string& type, const std::string& standard) {
        arguments_.push_back({PyUnicode_InternFromString(name), name});
        text_ += std::string(", ") + name + ": " + type + " = " + standard;
        return *this;
    }
    signature& input(const char* name) { return add(name, "numpy.typing.ArrayLike | None", "None"); }
    signature& output(const char* name) { return add(name, "bool | typing.Any", "None"); }
    signature& backend() { return add("backend", "str | None", "None"); }
    template <class Options>
    signature& options() {
        const Options defaults;
        for_each_option<Options>([&](const char* name, auto field) {
            add(name, type_text<std::remove_cvref_t<decltype(defaults.*field)>>(), shown(to_python(defaults.*field)));
        });
        return *this;
    }

    std::string returns(const std::string& type) const { return text_ + ") -> " + type + "\n\n"; }
    const char* op() const { return op_; }
    const std::vector<argument>& list() const { return arguments_; }
};

/// The keyword arguments of a call, taken in the order of the signature; None where one is not given.
class arguments {
    const signature& signature_;
    std::array<PyObject*, 40> values_{};
    std::size_t next_ = 0;

  public:
    struct argument {
        const char* name;
        py::handle value;
    };

    arguments(const signature& signature, const py::kwargs& given) : signature_(signature) {
        const auto& list = signature.list();
        PyObject *key = nullptr, *value = nullptr;
        for (Py_ssize_t at = 0; PyDict_Next(given.ptr(), &at, &key, &value);) {
            auto found = std::find_if(list.begin(), list.end(), [&](const auto& one) { return one.key == key; });
            if (found == list.end())
                found = std::find_if(list.begin(), list.end(), [&](const auto& one) { return PyUnicode_Compare(one.key, key) == 0; });
            if (found == list.end()) type_error(op(), "there is no argument " + shown(key));
            values_[static_cast<std::size_t>(found - list.begin())] = value;
        }
    }

    const char* op() const { return signature_.op(); }

    argument next() {
        const std::size_t k = next_++;
        return {signature_.list()[k].name, values_[k] ? values_[k] : Py_None};
    }

    template <class Options>
    Options options() {
        Options options;
        for_each_option<Options>([&](const char* name, auto field) {
            if (PyObject* value = values_[next_++])
                options.*field = from_python<std::remove_reference_t<decltype(options.*field)>>(op(), name, value);
        });
        return options;
    }
};

/// Binds a function whose docstring begins with its signature: pybind11 knows no more of it than *args.
template <class Scope, class... Arguments>
void define(Scope& scope, Arguments&&... arguments) {
    py::options options;
    options.disable_function_signatures();
    scope.def(std::forward<Arguments>(arguments)...);
}

/// The backends of this build, once. Each is a name and a policy.
inline constexpr auto backends = std::make_tuple(
#if defined(CAR_PYTHON_EIGEN)
    std::pair{"eigen", car::eigen},
#endif
    std::pair{"scalar", car::scalar}, std::pair{"simd", car::simd.on(on_process_threads)});
static_assert(std::is_same_v<decltype(car::default_backend), const car::simd_backend>);

/// Calls with the policy of this name; None is the default's.
template <std::size_t K = 0, class Call>
auto with_backend(const char* op, py::handle name, Call call) {
    if (name.is_none()) return call(car::simd.on(on_process_threads)); // the default
    if constexpr (K == std::tuple_size_v<decltype(backends)>) {
        std::string expected;
        std::apply([&](const auto&... one) { ((expected += std::string(expected.empty() ? "'" : " or '") + one.first + "'"), ...); },
                   backends);
        value_error(op, "backend is " + shown(name) + ", expected " + expected);
    } else {
        const auto& [word, policy] = std::get<K>(backends);
        if (PyUnicode_Check(name.ptr()) && PyUnicode_CompareWithASCIIString(name.ptr(), word) == 0) return call(policy);
        return with_backend<K + 1>(op, name, call);
    }
}

inline const char* word_of(car::fault what) { return words<enum car::fault>::names[static_cast<std::size_t>(what)]; }

/// The parts of the module.
void bind_loss(py::module_& module);
void bind_softmax(py::module_& module);
void bind_corrected(py::module_& module);
void bind_effect(py::module_& module);
void bind_adjust(py::module_& module);
void bind_attention(py::module_& module);
void bind_treatment(py::module_& module);
void bind_evaluate(py::module_& module);
void bind_image(py::module_& module);
void bind_family(py::module_& module);
void bind_threads(py::module_& module);

} // namespace binding
