// SPDX-License-Identifier: Apache-2.0
#include "options.hpp"

#include <car/hvp.hpp>
#include <car/loss.hpp>

namespace binding {

namespace {

struct loss_result : car::loss_result {
    py::object grad_p = {}, grad_c = {}, row_loss = {}, row_cross_entropy = {}, row_divergence = {}, lse_p = {}, lse_y = {}, predicted = {};
};
struct loss_hvp_result {
    car::row_status status;
    py::object grad_p = {}, grad_c = {};
};

/// The vectors of a row's terms, with how the C++ struct and the Python result call them.
template <class T>
constexpr std::tuple row_terms{std::tuple{"row_loss", &car::loss_arrays<T>::row_loss, &loss_result::row_loss},
                               std::tuple{"row_cross_entropy", &car::loss_arrays<T>::row_cross_entropy, &loss_result::row_cross_entropy},
                               std::tuple{"row_divergence", &car::loss_arrays<T>::row_divergence, &loss_result::row_divergence},
                               std::tuple{"lse_p", &car::loss_arrays<T>::lse_p, &loss_result::lse_p},
                               std::tuple{"lse_y", &car::loss_arrays<T>::lse_y, &loss_result::lse_y},
                               std::tuple{"predicted", &car::loss_arrays<T>::predicted, &loss_result::predicted}};
constexpr std::size_t row_term_count = std::tuple_size_v<decltype(row_terms<float>)>;

signature with_inputs(signature s) {
    s.options<car::loss_options>();
    for (const char* name : {"upstream", "weight", "sample_weight", "row_mask", "class_mask"}) s.input(name);
    return s;
}

/// The options and inputs that loss and loss_hvp share. Arrays live as long as the call.
class inputs {
    array upstream_, weight_, sample_weight_, row_mask_, class_mask_, labels_;
    bool probabilities_ = false;

  public:
    array p, c;
    car::loss_options options;

    inputs(arguments& given, py::handle p_object, py::handle c_object, py::handle labels) : p(given.op(), "p", p_object, element::float64) {
        const char* op = given.op();
        p.require_logits();
        if (p.dimensions() != 1) p.require_dimensions(2, "N x C, or C");
        if (!c_object.is_none()) {
            c = array(op, "c", c_object, p.type());
            c.require(p.type(), "p");
        }
        options = given.options<car::loss_options>();
        const element term = p.type() == element::float64 ? element::float64 : element::float32;
        labels_ = array(op, "labels", labels, element::int64);
        if (is_logit(labels_.type())) {
            if (labels_.dimensions() != 2 || p.dimensions() != 2)
                type_error(op, std::string("labels has elements of ") + name_of(labels_.type()) +
                                   ", expected integers, or N x C probabilities");
            if (!py::hasattr(labels, "dtype")) labels_ = array(op, "labels", labels, term);
            labels_.require(term, "the terms of p");
            probabilities_ = true;
        }
        const auto terms = [&](array& to) {
            const auto [name, value] = given.next();
            if (value.is_none()) return;
            to = array(op, name, value, term);
            to.require(term, "the terms of p");
        };
        const auto mask = [&](array& to) {
            const auto [name, value] = given.next();
            if (!value.is_none()) to = array(op, name, value);
        };
        terms(upstream_);
        terms(weight_);
        terms(sample_weight_);
        mask(row_mask_);
        mask(class_mask_);
    }

    template <class T>
    car::targets<T> targets() const {
        if (probabilities_) return labels_.matrix<const car::term_of<T>>();
        return labels_.labels();
    }

    template <class T>
    car::loss_arrays<T> arrays() const {
        using term = const car::term_of<T>;
        return {.upstream = upstream_.vector<term>(),
                .weight = weight_.vector<term>(),
                .sample_weight = sample_weight_.vector<term>(),
                .row_mask = row_mask_.mask(),
                .class_mask = class_mask_.mask()};
    }

    std::ptrdiff_t rows() const { return p.dimensions() == 1 ? 1 : p.shape(0); }
    /// Without c, its gradient is made for those alone who give an array for it.
    result_array like_c(const char* name, py::handle wanted) const {
        return c || !PyBool_Check(wanted.ptr()) ? like_p(name, wanted) : result_array();
    }
    result_array like_p(const char* name, py::handle wanted) const { return {op(), name, wanted, p, p.type(), p.shape()}; }
    const char* op() const { return p.op(); }
};

/// `gradients`: True or "overwrite" makes those that are not given; "accumulate" adds to those that are.
void read_gradients(const char* op, py::handle wanted, py::handle& grad_p, py::handle& grad_c, car::loss_options& options) {
    const auto is = [&](const char* word) {
        return PyUnicode_Check(wanted.ptr()) && PyUnicode_CompareWithASCIIString(wanted.ptr(), word) == 0;
    };
    if (wanted.is_none() || wanted.ptr() == Py_False) return;
    if (is("accumulate")) {
        const auto array = [](py::handle one) { return !one.is_none() && !PyBool_Check(one.ptr()); };
        if (!array(grad_p) && !array(grad_c)) value_error(op, "gradients is 'accumulate', expected grad_p or grad_c to add to");
        if (grad_p.ptr() == Py_True || grad_c.ptr() == Py_True)
            value_error(op, "gradients is 'accumulate', expected arrays that hold something, not new ones");
        options.gradients = car::gradients::accumulate;
        return;
    }
    if (wanted.ptr() != Py_True && !is("overwrite"))
        value_error(op, "gradients is " + shown(wanted) + ", expected True, False, 'overwrite' or 'accumulate'");
    if (grad_p.is_none()) grad_p = Py_True;
    if (grad_c.is_none()) grad_c = Py_True;
}

const signature& loss_signature() {
    static const signature all = [] {
        signature s = with_inputs({"loss", "p: numpy.typing.ArrayLike, c: numpy.typing.ArrayLike | None, labels: numpy.typing.ArrayLike"});
        s.add("gradients", "bool | typing.Literal['overwrite', 'accumulate']", "False").add("terms", "bool", "False");
        s.output("grad_p").output("grad_c");
        std::apply([&](const auto&... one) { (s.output(std::get<0>(one)), ...); }, row_terms<float>);
        return s.backend();
    }();
    return all;
}

loss_result loss(const py::object& p, const py::object& c, const py::object& labels, const py::kwargs& given) {
    arguments list(loss_signature(), given);
    inputs in(list, p, c, labels);
    const py::handle gradients = list.next().value, terms = list.next().value;
    py::handle wanted_p = list.next().value, wanted_c = list.next().value;
    read_gradients(list.op(), gradients, wanted_p, wanted_c, in.options);
    const result_array grad_p = in.like_p("grad_p", wanted_p);
    const result_array grad_c = in.like_c("grad_c", wanted_c);

    return with_type(in.p.type(), [&]<class T>(T) {
        constexpr element term = element_of<car::term_of<T>>;
        car::loss_arrays<T> arrays = in.arrays<T>();
        arrays.grad_p = grad_p.view().template matrix<T>();
        arrays.grad_c = grad_c.view().template matrix<T>();
        std::array<result_array, row_term_count> rows;
        std::size_t next = 0;
        const auto row = [&](const auto& one) {
            auto [name, value] = list.next();
            const bool needed = std::string_view(name) == "row_loss" && in.options.reduction == car::reduction::none;
            if (value.is_none() && (needed || terms.ptr() == Py_True)) value = Py_True;
            result_array& made = rows[next++];
            if (value.is_none()) return;
            auto& field = arrays.*std::get<1>(one);
            using Value = typename std::remove_reference_t<decltype(field)>::element_type;
            made = result_array(list.op(), name, value, in.p, std::is_integral_v<Value> ? element::int64 : term, {in.rows()});
            field = made.view().template vector<Value>();
        };
        std::apply([&](const auto&... one) { (row(one), ...); }, row_terms<T>);

        const py::handle backend = list.next().value;
        const auto factual = in.p.matrix<const T>(), counterfactual = in.c.matrix<const T>();
        const auto targets = in.targets<T>();
        loss_result result{with_backend(list.op(), backend, [&](const auto& on) {
            const py::gil_scoped_release unlocked;
            return car::loss(on, factual, counterfactual, targets, in.options, arrays);
        })};
        result.grad_p = grad_p.finish();
        result.grad_c = grad_c.finish();
        next = 0;
        std::apply([&](const auto&... one) { ((result.*std::get<2>(one) = rows[next++].finish()), ...); }, row_terms<T>);
        return result;
    });
}

const signature& hvp_signature() {
    static const signature all = with_inputs({"loss_hvp", "p: numpy.typing.ArrayLike, c: numpy.typing.ArrayLike | None, labels: "
                                                          "numpy.typing.ArrayLike, v_p: numpy.typing.ArrayLike | None, v_c: "
                                                          "numpy.typing.ArrayLike | None"})
                                     .add("gradients", "bool | typing.Literal['overwrite', 'accumulate']", "True")
                                     .output("grad_p")
                                     .output("grad_c")
                                     .backend();
    return all;
}

loss_hvp_result loss_hvp(const py::object& p, const py::object& c, const py::object& labels, const py::object& v_p, const py::object& v_c,
                         const py::kwargs& given) {
    arguments list(hvp_signature(), given);
    inputs in(list, p, c, labels);
    const auto direction = [&](const char* name, const py::object& object) {
        if (object.is_none()) return array();
        array one(list.op(), name, object, in.p.type());
        one.require(in.p.type(), "p");
        return one;
    };
    const array along_p = direction("v_p", v_p), along_c = direction("v_c", v_c);
    const py::handle gradients = list.next().value;
    py::handle wanted_p = list.next().value, wanted_c = list.next().value;
    read_gradients(list.op(), gradients.is_none() ? py::handle(Py_True) : gradients, wanted_p, wanted_c, in.options);
    const result_array grad_p = in.like_p("grad_p", wanted_p);
    const result_array grad_c = in.like_c("grad_c", wanted_c);
    const py::handle backend = list.next().value;

    return with_type(in.p.type(), [&]<class T>(T) {
        car::loss_arrays<T> arrays = in.arrays<T>();
        arrays.grad_p = grad_p.view().template matrix<T>();
        arrays.grad_c = grad_c.view().template matrix<T>();
        const car::loss_direction<T> along{.p = along_p.matrix<const T>(), .c = along_c.matrix<const T>()};
        const auto factual = in.p.matrix<const T>(), counterfactual = in.c.matrix<const T>();
        const auto targets = in.targets<T>();
        const auto status = with_backend(list.op(), backend, [&](const auto& on) {
            const py::gil_scoped_release unlocked;
            return car::loss_hvp(on, factual, counterfactual, targets, along, in.options, arrays);
        });
        return loss_hvp_result{status, grad_p.finish(), grad_c.finish()};
    });
}

} // namespace

void bind_loss(py::module_& module) {
    py::class_<car::row_status>(module, "RowStatus", "The first row whose values have no answer, and how many such rows there are.")
        .def_property_readonly(
            "fault", [](const car::row_status& s) { return word_of(s.fault); }, "'none', 'masked_row' or 'not_finite'.")
        .def_readonly("row", &car::row_status::row, "The first such row; -1 if there is none.")
        .def_readonly("rows", &car::row_status::rows, "How many there are.")
        .def_property_readonly("ok", &car::row_status::ok, "Whether there is none.")
        .def("__repr__", [](const car::row_status& s) {
            std::ostringstream text;
            text << "RowStatus(fault='" << word_of(s.fault) << "', row=" << s.row << ", rows=" << s.rows << ")";
            return text.str();
        });

    py::class_<loss_result> result(module, "LossResult", "The loss, every term of it, and the arrays that were asked for (else None).");
    result.def_readonly("value", &loss_result::value, "The loss: sum or mean of the rows'; NaN with reduction='none'.")
        .def_readonly("cross_entropy", &loss_result::cross_entropy, "Reduced as the value is.")
        .def_readonly("divergence", &loss_result::divergence, "Reduced as the value is, without alpha.")
        .def_readonly("z_loss", &loss_result::z_loss, "The squares of lse_p, reduced as the value is, without z_weight.")
        .def_readonly("weight", &loss_result::weight, "Sum of the rows' weights: what the mean divides by.")
        .def_readonly("count", &loss_result::count, "Rows that are not ignored.")
        .def_readonly("correct", &loss_result::correct, "Rows predicted as their label.")
        .def_readonly("status", &loss_result::status, "Which row, if any, has no answer.")
        .def_readonly("grad_p", &loss_result::grad_p, "N x C: d value / d p.")
        .def_readonly("grad_c", &loss_result::grad_c, "N x C: d value / d c.");
    std::apply([&](const auto&... one) { (result.def_readonly(std::get<0>(one), std::get<2>(one), "N."), ...); }, row_terms<float>);
    result.def("__repr__", [](const loss_result& r) {
        std::ostringstream text;
        text << "LossResult(value=" << r.value << ", cross_entropy=" << r.cross_entropy << ", divergence=" << r.divergence
             << ", count=" << r.count << ", correct=" << r.correct << ")";
        return text.str();
    });

    py::class_<loss_hvp_result>(module, "LossHvpResult", "The product of the loss's Hessian and a direction.")
        .def_readonly("status", &loss_hvp_result::status, "Which row, if any, has no answer.")
        .def_readonly("grad_p", &loss_hvp_result::grad_p, "N x C: how d value / d p changes along the direction.")
        .def_readonly("grad_c", &loss_hvp_result::grad_c, "N x C: how d value / d c changes along the direction.");

    // By position first: pybind11 looks for each named argument among the keywords, one after the other.
    define(module, "loss", &loss);
    define(module, "loss", &loss, py::arg("p"), py::arg("c"), py::arg("labels"),
           (loss_signature().returns("LossResult") +
            R"(The loss of Causal Action Recognition: cross-entropy plus a divergence between the prediction and the corrected prediction.

    P = softmax(p),   Y = softmax(p - strength c),   row = w (CE(label, P) + alpha KL(P || Y) + z_weight lse(p)^2)

where p and c are read as softcap(logit_scale x) / temperature.

Shapes
    p, c: N x C logits, or C for one row; float32, float64, bfloat16 or float16, in any strides; c may be None where alpha is 0.
    labels: N integers of any type, or N x C probabilities (float64 for float64 logits, else float32).
    weight, class_mask: C. upstream, sample_weight, row_mask: N. Weights are of the terms' type, masks bool or integers; False ignores a
    row or masks a class.
Units
    nats, as 64-bit floats, summed or averaged over rows that are not ignored, by weight. Gradients have the type of p.
Arrays
    gradients=True makes grad_p and grad_c, terms=True every row's terms; each output also takes True, or an array that is written.
    gradients='accumulate' adds to the arrays given. New arrays come from the library that p is from.
Errors
    ValueError for a shape, a label out of range or an option's value, TypeError for a type; both name the argument, and nothing has
    been written then. NaN or infinite logits are no error: `status` names the first such row.
Source
    OccludeNet, Eq. 2 to 4; kl_target='label': Counterfactual Attention Learning, Eq. 5.

>>> import numpy as np
>>> p = np.array([[2.0, -1.0, 0.5], [0.25, 3.0, -2.0]])
>>> c = np.array([[0.5, -0.25, 1.0], [1.5, -0.5, 0.0]])
>>> r = car.loss(p, c, [0, 2], alpha=1.0, gradients=True)
>>> print(f"{r.value:.6f} = {r.cross_entropy:.6f} + {r.divergence:.6f} over {r.count} rows")
2.704618 = 2.654796 + 0.049822 over 2 rows
>>> r.grad_p.shape, r.status.ok
((2, 3), True)
)")
               .c_str());

    define(module, "loss_hvp", &loss_hvp, py::arg("p"), py::arg("c"), py::arg("labels"), py::arg("v_p"), py::arg("v_c"),
           (hvp_signature().returns("LossHvpResult") +
            R"(Hessian-vector product of the loss: how both its gradients change along the direction (v_p, v_c).

    grad_p = d/dt g_p(p + t v_p, c + t v_c),   grad_c = d/dt g_c(p + t v_p, c + t v_c)   at t = 0

What the flow holds fixed is a constant here too, as where it is detached.

Shapes
    v_p, v_c: as p; None is a direction of 0. Everything else as in `car.loss`.
Units
    those of the gradients, for a direction of length 1.
Errors
    as `car.loss`.
Source
    derived from OccludeNet, Eq. 4.

>>> import numpy as np
>>> p = np.array([[2.0, -1.0, 0.5]])
>>> c = np.array([[0.5, -0.25, 1.0]])
>>> h = car.loss_hvp(p, c, [0], np.ones_like(p), None)  # a shift of all logits changes nothing
>>> bool(abs(h.grad_p).max() < 1e-15)
True
)")
               .c_str());

    define(
        module, "loss_options",
        [] {
            py::list list;
            const car::loss_options defaults;
            for_each_option<car::loss_options>([&](const char* name, auto field) {
                using Value = std::remove_cvref_t<decltype(defaults.*field)>;
                list.append(py::make_tuple(name, type_text<Value>(), to_python(defaults.*field)));
            });
            return list;
        },
        "loss_options() -> list[tuple[str, str, typing.Any]]\n\nName, type and default of every option of `car.loss`, in order.");
}

} // namespace binding
