// SPDX-License-Identifier: Apache-2.0
#include "options.hpp"

#include <car/softmax.hpp>

namespace binding {

namespace {

signature rows_signature(const char* op) {
    return signature(op, "p: numpy.typing.ArrayLike").options<car::softmax_options>().output("out").backend();
}

/// What the three have in common: `shape` of the output from p, `call` with views of both.
template <class Call>
py::object rows(const signature& signature, const py::object& p, const py::kwargs& given, bool reduces, Call call) {
    arguments list(signature, given);
    const char* op = list.op();
    const array logits(op, "p", p, element::float64);
    logits.require_logits();
    const auto options = list.options<car::softmax_options>();
    const auto [name, wanted] = list.next();
    const auto backend = list.next().value;
    const py::handle output = wanted.is_none() ? py::handle(Py_True) : wanted;
    if (logits.dimensions() != 1) logits.require_dimensions(2, "N x C, or C");
    std::vector<std::ptrdiff_t> shape = logits.shape();
    if (reduces) shape.pop_back();
    return with_type(logits.type(), [&]<class T>(T) {
        const result_array out(op, name, output, logits, reduces ? element_of<car::term_of<T>> : logits.type(), shape);
        const auto read = logits.matrix<const T>();
        if (reduces) {
            const auto y = out.view().template vector<car::term_of<T>>();
            with_backend(op, backend, [&](const auto& on) {
                const py::gil_scoped_release unlocked;
                car::log_sum_exp(on, read, y, options);
            });
        } else {
            const auto y = out.view().template matrix<T>();
            with_backend(op, backend, [&](const auto& on) {
                const py::gil_scoped_release unlocked;
                call(on, read, y, options);
            });
        }
        return out.finish();
    });
}

} // namespace

void bind_softmax(py::module_& module) {
    static const signature softmax = rows_signature("softmax"), log_softmax = rows_signature("log_softmax"),
                           log_sum_exp = rows_signature("log_sum_exp");
    define(
        module, "softmax",
        [](const py::object& p, const py::kwargs& given) {
            return rows(softmax, p, given, false, [](const auto& on, auto read, auto y, const auto& o) { car::softmax(on, read, y, o); });
        },
        py::arg("p"),
        (softmax.returns("typing.Any") + R"(Softmax of each row of p / temperature.

Shapes
    p: N x C logits, or C for one row; float32, float64, bfloat16 or float16, in any strides. out, the result: as p; out may be p.
Units
    probabilities.
Errors
    ValueError for a shape or a temperature that is not positive, TypeError for a type.
Source
    OccludeNet, Eq. 2.

>>> car.softmax([[0.0, 0.0, float("-inf")]])
array([[0.5, 0.5, 0. ]])
)")
            .c_str());
    define(
        module, "log_softmax",
        [](const py::object& p, const py::kwargs& given) {
            return rows(log_softmax, p, given, false,
                        [](const auto& on, auto read, auto y, const auto& o) { car::log_softmax(on, read, y, o); });
        },
        py::arg("p"),
        (log_softmax.returns("typing.Any") + R"(Logarithm of the softmax of each row of p / temperature.

Shapes
    as `car.softmax`.
Units
    nats.
Errors
    as `car.softmax`.
Source
    OccludeNet, Eq. 2.

>>> car.log_softmax([[0.0, 0.0]]).round(6)
array([[-0.693147, -0.693147]])
)")
            .c_str());
    define(
        module, "log_sum_exp",
        [](const py::object& p, const py::kwargs& given) { return rows(log_sum_exp, p, given, true, [](auto&&...) {}); }, py::arg("p"),
        (log_sum_exp.returns("typing.Any") + R"(Logarithm of the sum of exponentials of each row of p / temperature.

Shapes
    p: N x C, or C for one row. out, the result: N, float64 for float64 logits, else float32.
Units
    nats.
Errors
    as `car.softmax`.

>>> car.log_sum_exp([[0.0, 0.0], [1.0, float("-inf")]]).round(6)
array([0.693147, 1.      ])
)")
            .c_str());
}

} // namespace binding
