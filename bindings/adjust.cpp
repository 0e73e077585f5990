// SPDX-License-Identifier: Apache-2.0
#include "options.hpp"

namespace binding {

namespace {

struct adjust_result : car::adjust_result {
    py::object probability = py::none(), grad = py::none(), row_loss = py::none();
};

const signature& adjust_signature() {
    static const signature all =
        signature("adjust", "g: numpy.typing.ArrayLike, prior: numpy.typing.ArrayLike, labels: numpy.typing.ArrayLike")
            .options<car::adjust_options>()
            .output("probability")
            .output("grad")
            .output("row_loss")
            .backend();
    return all;
}

adjust_result adjust(const py::object& g, const py::object& prior, const py::object& labels, const py::kwargs& given) {
    arguments list(adjust_signature(), given);
    const char* op = list.op();
    const array logits(op, "g", g, element::float64);
    logits.require_logits();
    if (logits.dimensions() != 3) logits.require_dimensions(2, "(K N) x C, or K x N x C");
    const element term = logits.type() == element::float64 ? element::float64 : element::float32;
    const array weights(op, "prior", prior, term), classes(op, "labels", labels, element::int64);
    weights.require(term, "the terms of g");
    const auto options = list.options<car::adjust_options>();
    const std::ptrdiff_t rows = classes.dimensions() == 1 ? classes.shape(0) : 1, strata = weights.dimensions() == 1 ? weights.shape(0) : 1,
                         cols = logits.shape(logits.dimensions() - 1);
    logits.require_samples({strata, rows, cols});
    const auto output = [&](element type, const std::vector<std::ptrdiff_t>& shape) {
        const auto [name, wanted] = list.next();
        return result_array(op, name, wanted, logits, type, shape);
    };
    const result_array probability = output(logits.type(), {rows, cols}), grad = output(logits.type(), logits.shape()),
                       row_loss = output(term, {rows});
    const auto backend = list.next().value;
    return with_type(logits.type(), [&]<class T>(T) {
        const auto all = logits.samples<const T>();
        const auto shares = weights.vector<const car::term_of<T>>();
        const auto targets = classes.labels();
        const car::adjust_arrays<T> arrays{.probability = probability.view().template matrix<T>(),
                                           .grad = grad.view().template samples<T>(),
                                           .row_loss = row_loss.view().template vector<car::term_of<T>>()};
        adjust_result result{with_backend(op, backend, [&](const auto& on) {
            const py::gil_scoped_release unlocked;
            return car::adjust(on, all, shares, targets, options, arrays);
        })};
        result.probability = probability.finish();
        result.grad = grad.finish();
        result.row_loss = row_loss.finish();
        return result;
    });
}

} // namespace

void bind_adjust(py::module_& module) {
    py::class_<adjust_result>(module, "AdjustResult", "The loss of adjusted predictions, and the arrays that were asked for (else None).")
        .def_readonly("value", &adjust_result::value, "The loss: sum or mean of the rows'; NaN with reduction='none'.")
        .def_readonly("count", &adjust_result::count, "Rows that are not ignored.")
        .def_readonly("status", &adjust_result::status, "Which row, if any, has no answer.")
        .def_readonly("probability", &adjust_result::probability, "N x C: P(y | do x).")
        .def_readonly("grad", &adjust_result::grad, "As g: d value / d g.")
        .def_readonly("row_loss", &adjust_result::row_loss, "N.")
        .def("__repr__", [](const adjust_result& r) {
            std::ostringstream text;
            text << "AdjustResult(value=" << r.value << ", count=" << r.count << ")";
            return text.str();
        });

    define(module, "adjust", &adjust, py::arg("g"), py::arg("prior"), py::arg("labels"),
           (adjust_signature().returns("AdjustResult") +
            R"(Back-door adjustment of predictions: the confounder's strata, each with its own logits g_k and the probability prior_k.

    exact      P = sum_k prior_k softmax(g_k)
    geometric  P = softmax(sum_k prior_k g_k), the normalised weighted geometric mean (NWGM)

and the negative log-likelihood of the labels.

Shapes
    g: (K N) x C logits, stratum after stratum, or K x N x C; float32, float64, bfloat16 or float16. prior: K, of the terms' type. labels:
    N integers. probability: N x C. grad: as g. row_loss: N, of the terms' type. True for a new array, or an array to write.
Units
    nats, as 64-bit floats.
Errors
    ValueError for a shape, a prior that does not sum to 1, a label out of range or an option's value, TypeError for a type. Values are
    no error: `status` names the first row that has no answer.
Source
    Pearl 2009, 3.3.1; Xu et al. 2015 for the NWGM.

>>> r = car.adjust([[[2.0, 0.0]], [[0.0, 2.0]]], [0.5, 0.5], [0], probability=True)
>>> r.probability, round(r.value, 6)
(array([[0.5, 0.5]]), 0.693147)
)")
               .c_str());
}

} // namespace binding
