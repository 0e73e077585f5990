// SPDX-License-Identifier: Apache-2.0
#include "options.hpp"

#include <car/corrected.hpp>

namespace binding {

namespace {

/// Two matrices of one type; an array of p's shape for each result.
class pair {
    const char* op_;

  public:
    array first, second;

    pair(const char* op, const char* first_name, const py::object& one, const char* second_name, const py::object& other)
        : op_(op), first(op, first_name, one, element::float64) {
        first.require_logits();
        if (first.dimensions() != 1) first.require_dimensions(2, "N x C, or C");
        second = array(op, second_name, other, first.type());
        second.require(first.type(), first_name);
    }
    result_array like_first(const char* name, py::handle wanted) const { return {op_, name, wanted, first, first.type(), first.shape()}; }
};

const signature& softmax_signature() {
    static const signature all = signature("corrected_softmax", "p: numpy.typing.ArrayLike, c: numpy.typing.ArrayLike")
                                     .options<car::corrected_options>()
                                     .output("out")
                                     .backend();
    return all;
}

py::object corrected_softmax(const py::object& p, const py::object& c, const py::kwargs& given) {
    arguments list(softmax_signature(), given);
    const pair in(list.op(), "p", p, "c", c);
    const auto options = list.options<car::corrected_options>();
    const auto [name, wanted] = list.next();
    const auto backend = list.next().value;
    const result_array out = in.like_first(name, wanted.is_none() ? py::handle(Py_True) : wanted);
    with_type(in.first.type(), [&]<class T>(T) {
        const auto factual = in.first.matrix<const T>(), counterfactual = in.second.matrix<const T>();
        const auto y = out.view().template matrix<T>();
        with_backend(list.op(), backend, [&](const auto& on) {
            const py::gil_scoped_release unlocked;
            car::corrected_softmax(on, factual, counterfactual, y, options);
        });
    });
    return out.finish();
}

const signature& vjp_signature() {
    static const signature all = signature("corrected_softmax_vjp", "y: numpy.typing.ArrayLike, upstream: numpy.typing.ArrayLike")
                                     .options<car::corrected_options>()
                                     .output("grad_p")
                                     .output("grad_c")
                                     .backend();
    return all;
}

py::tuple corrected_softmax_vjp(const py::object& y, const py::object& upstream, const py::kwargs& given) {
    arguments list(vjp_signature(), given);
    const pair in(list.op(), "y", y, "upstream", upstream);
    const auto options = list.options<car::corrected_options>();
    const auto gradient = [&] {
        const auto [name, wanted] = list.next();
        return in.like_first(name, wanted.is_none() ? py::handle(Py_True) : wanted);
    };
    const result_array grad_p = gradient(), grad_c = gradient();
    const auto backend = list.next().value;
    with_type(in.first.type(), [&]<class T>(T) {
        const auto prediction = in.first.matrix<const T>(), slope = in.second.matrix<const T>();
        const car::corrected_gradients<T> gradients{grad_p.view().template matrix<T>(), grad_c.view().template matrix<T>()};
        with_backend(list.op(), backend, [&](const auto& on) {
            const py::gil_scoped_release unlocked;
            car::corrected_softmax_vjp(on, prediction, slope, gradients, options);
        });
    });
    return py::make_tuple(grad_p.finish(), grad_c.finish());
}

} // namespace

void bind_corrected(py::module_& module) {
    define(module, "corrected_softmax", &corrected_softmax, py::arg("p"), py::arg("c"),
           (softmax_signature().returns("typing.Any") + R"(Softmax of each row of (p - strength c) / temperature, the corrected prediction.

Shapes
    p, c: N x C logits, or C for one row, of one type; float32, float64, bfloat16 or float16, in any strides. out, the result: as p;
    out may be p or c.
Units
    probabilities.
Errors
    ValueError for a shape or an option's value, TypeError for a type.
Source
    OccludeNet, Eq. 3.

>>> car.corrected_softmax([[1.0, 1.0]], [[0.0, 0.0]])
array([[0.5, 0.5]])
)")
               .c_str());
    define(module, "corrected_softmax_vjp", &corrected_softmax_vjp, py::arg("y"), py::arg("upstream"),
           (vjp_signature().returns("tuple[typing.Any, typing.Any]") +
            R"(Vector-Jacobian product of `car.corrected_softmax`, from its output y: (grad_p, grad_c).

Shapes
    y, upstream, grad_p, grad_c: N x C, or C. False in place of a gradient leaves it out; it is None then.
Units
    those of upstream.
Errors
    as `car.corrected_softmax`.
Source
    OccludeNet, Eq. 3.

>>> y = car.corrected_softmax([[1.0, 1.0]], [[0.0, 0.0]])
>>> car.corrected_softmax_vjp(y, [[1.0, 0.0]], grad_c=False)
(array([[ 0.25, -0.25]]), None)
)")
               .c_str());
}

} // namespace binding
