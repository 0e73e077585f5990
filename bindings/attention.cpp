// SPDX-License-Identifier: Apache-2.0
#include "options.hpp"

namespace binding {

namespace {

/// The arrays of a call, in the order of its signature: of one floating-point type, that of the first.
class call_arrays {
    arguments& list_;
    array first_;

  public:
    call_arrays(arguments& list, const char* name, const py::object& first)
        : list_(list), first_(list.op(), name, first, element::float64) {
        first_.require_logits();
        require_samples(first_);
    }

    static void require_samples(const array& a) {
        if (a.dimensions() != 3) a.require_dimensions(2, "N x D, or B x N x D");
    }
    const array& first() const { return first_; }
    element type() const { return first_.type(); }
    element term() const { return type() == element::float64 ? element::float64 : element::float32; }

    array vector(const char* name, const py::object& object) const {
        array one(list_.op(), name, object, term());
        one.require(term(), "the terms of the logits");
        return one;
    }
    array matrix(const char* name, const py::object& object) const {
        array one(list_.op(), name, object, type());
        one.require(type(), first_.name());
        require_samples(one);
        return one;
    }
    /// The next argument: a matrix, or none.
    array next_matrix() {
        const auto [name, value] = list_.next();
        if (value.is_none()) return {};
        array one = matrix(name, py::reinterpret_borrow<py::object>(value));
        one.require_dimensions(2, "two dimensions");
        return one;
    }
    std::array<array, 3> next_projections() {
        array query = next_matrix(), key = next_matrix(), value = next_matrix();
        return {query, key, value};
    }

    /// The next argument: an array to write, and a new one if there is none given.
    result_array next_output(element wanted_type, const std::vector<std::ptrdiff_t>& shape) {
        const auto [name, wanted] = list_.next();
        return {list_.op(), name, wanted.is_none() ? py::handle(Py_True) : wanted, first_, wanted_type, shape};
    }
    /// The same for the gradient of an input; of one that is not given there is none unless an array is given.
    result_array next_gradient(const array& of) {
        if (of) return next_output(of.type(), of.shape());
        const auto [name, wanted] = list_.next();
        return {list_.op(), name, wanted.ptr() == Py_True ? py::handle(Py_None) : wanted, first_, type(), {}};
    }
    std::array<result_array, 3> next_gradients(const std::array<array, 3>& of) {
        result_array query = next_gradient(of[0]), key = next_gradient(of[1]), value = next_gradient(of[2]);
        return {query, key, value};
    }

    /// What `batch` says, or the number of samples of the array that has three dimensions.
    std::ptrdiff_t batch(const array& keys, std::ptrdiff_t given) const {
        if (keys.dimensions() != 3) return given;
        if (given != 1 && given != keys.shape(0))
            value_error(list_.op(), "batch is " + std::to_string(given) + ", expected " + std::to_string(keys.shape(0)) +
                                        ", the samples of " + keys.name());
        return keys.shape(0);
    }
    /// `keys` is the array that the batch is of, where it has three dimensions.
    void require_batch(const array& a, const array& keys, std::ptrdiff_t batch) const {
        if (a.dimensions() == 3 && (batch != 1 || keys.dimensions() == 3) && a.shape(0) != batch)
            value_error(list_.op(),
                        std::string(a.name()) + " has " + std::to_string(a.shape(0)) + " samples, expected " + std::to_string(batch));
    }

    /// Calls with the type and the backend, the last argument; the interpreter's lock is released.
    template <class Call>
    void run(Call call) {
        const auto backend = list_.next().value;
        with_type(type(), [&]<class T>(T one) { with_backend(list_.op(), backend, [&](const auto& on) { call(one, on); }); });
    }
};

template <class T>
car::attention_projections<const T> projections(const std::array<array, 3>& by) {
    return {by[0].matrix<const T>(), by[1].matrix<const T>(), by[2].matrix<const T>()};
}
template <class T>
car::attention_projections<T> projections(const std::array<result_array, 3>& by) {
    return {by[0].view().matrix<T>(), by[1].view().matrix<T>(), by[2].view().matrix<T>()};
}

template <class... Results>
py::tuple finished(const Results&... results) {
    return py::make_tuple(results.finish()...);
}

std::ptrdiff_t last(const array& a) { return a.shape(a.dimensions() - 1); }
std::vector<std::ptrdiff_t> with_last(std::vector<std::ptrdiff_t> shape, std::ptrdiff_t cols) {
    shape.back() = cols;
    return shape;
}

constexpr const char* matrix_type = ": numpy.typing.ArrayLike";
/// A signature whose positional arguments are all arrays.
signature of_arrays(const char* op, std::initializer_list<const char*> names) {
    std::string positional;
    for (const char* name : names) positional += std::string(positional.empty() ? "" : ", ") + name + matrix_type;
    return {op, positional};
}
signature with_inputs(signature s, std::initializer_list<const char*> names) {
    for (const char* name : names) s.input(name);
    return s;
}
signature with_outputs(signature s, std::initializer_list<const char*> names) {
    for (const char* name : names) s.output(name);
    return s;
}

// attention

const signature& attention_signature() {
    static const signature all =
        with_inputs(of_arrays("attention", {"q", "k", "v"}).options<car::attention_options>(), {"query", "key", "value"})
            .output("out")
            .backend();
    return all;
}
const signature& attention_vjp_signature() {
    static const signature all =
        with_outputs(with_inputs(of_arrays("attention_vjp", {"q", "k", "v", "upstream"}).options<car::attention_options>(),
                                 {"query", "key", "value"}),
                     {"grad_q", "grad_k", "grad_v", "grad_query", "grad_key", "grad_value"})
            .backend();
    return all;
}

/// What the two calls read.
struct attention_inputs : call_arrays {
    array k, v;
    car::attention_options options;
    std::array<array, 3> by;

    attention_inputs(arguments& list, const py::object& q, const py::object& keys, const py::object& values)
        : call_arrays(list, "q", q), k(matrix("k", keys)), v(matrix("v", values)), options(list.options<car::attention_options>()),
          by(next_projections()) {
        options.batch = batch(k, options.batch);
        require_batch(first(), k, options.batch);
        require_batch(v, k, options.batch);
    }
    std::vector<std::ptrdiff_t> shape() const { return with_last(first().shape(), by[2] ? last(by[2]) : last(v)); }
};

py::object attention(const py::object& q, const py::object& k, const py::object& v, const py::kwargs& given) {
    arguments list(attention_signature(), given);
    attention_inputs in(list, q, k, v);
    const result_array out = in.next_output(in.type(), in.shape());
    in.run([&]<class T>(T, const auto& on) {
        const auto queries = in.first().template samples<const T>(), keys = in.k.template samples<const T>(),
                   values = in.v.template samples<const T>();
        const auto y = out.view().template samples<T>();
        const auto by = projections<T>(in.by);
        const py::gil_scoped_release unlocked;
        car::attention(on, queries, keys, values, y, in.options, by);
    });
    return out.finish();
}

py::tuple attention_vjp(const py::object& q, const py::object& k, const py::object& v, const py::object& upstream,
                        const py::kwargs& given) {
    arguments list(attention_vjp_signature(), given);
    attention_inputs in(list, q, k, v);
    const array slope = in.matrix("upstream", upstream);
    slope.require_samples(in.shape());
    const result_array grad_q = in.next_gradient(in.first()), grad_k = in.next_gradient(in.k), grad_v = in.next_gradient(in.v);
    const auto grad_by = in.next_gradients(in.by);
    in.run([&]<class T>(T, const auto& on) {
        const auto queries = in.first().template samples<const T>(), keys = in.k.template samples<const T>(),
                   values = in.v.template samples<const T>(), g = slope.samples<const T>();
        const car::attention_gradients<T> gradients{grad_q.view().template samples<T>(), grad_k.view().template samples<T>(),
                                                    grad_v.view().template samples<T>(), projections<T>(grad_by)};
        const auto by = projections<T>(in.by);
        const py::gil_scoped_release unlocked;
        car::attention_vjp(on, queries, keys, values, g, gradients, in.options, by);
    });
    return finished(grad_q, grad_k, grad_v, grad_by[0], grad_by[1], grad_by[2]);
}

// confounder_dictionary

const signature& dictionary_signature() {
    static const signature all =
        with_inputs(of_arrays("confounder_dictionary", {"x", "z", "prior"}).options<car::dictionary_options>(), {"query", "key"})
            .output("out")
            .backend();
    return all;
}
const signature& dictionary_vjp_signature() {
    static const signature all =
        with_outputs(with_inputs(of_arrays("confounder_dictionary_vjp", {"x", "z", "prior", "upstream"}).options<car::dictionary_options>(),
                                 {"query", "key"}),
                     {"grad_x", "grad_z", "grad_prior", "grad_query", "grad_key"})
            .backend();
    return all;
}

struct dictionary_inputs : call_arrays {
    array z, prior;
    car::dictionary_options options;
    array query, key;

    dictionary_inputs(arguments& list, const py::object& x, const py::object& entries, const py::object& probabilities)
        : call_arrays(list, "x", x), z(matrix("z", entries)), prior(vector("prior", probabilities)),
          options(list.options<car::dictionary_options>()), query(next_matrix()), key(next_matrix()) {
        z.require_dimensions(2, "K x D");
    }
};

py::object confounder_dictionary(const py::object& x, const py::object& z, const py::object& prior, const py::kwargs& given) {
    arguments list(dictionary_signature(), given);
    dictionary_inputs in(list, x, z, prior);
    const result_array out = in.next_output(in.type(), with_last(in.first().shape(), last(in.z)));
    in.run([&]<class T>(T, const auto& on) {
        const auto rows = in.first().template samples<const T>(), entries = in.z.template matrix<const T>();
        const auto probabilities = in.prior.template vector<const car::term_of<T>>();
        const auto y = out.view().template samples<T>();
        const car::dictionary_projections<const T> by{in.query.template matrix<const T>(), in.key.template matrix<const T>()};
        const py::gil_scoped_release unlocked;
        car::confounder_dictionary(on, rows, entries, probabilities, y, in.options, by);
    });
    return out.finish();
}

py::tuple confounder_dictionary_vjp(const py::object& x, const py::object& z, const py::object& prior, const py::object& upstream,
                                    const py::kwargs& given) {
    arguments list(dictionary_vjp_signature(), given);
    dictionary_inputs in(list, x, z, prior);
    const array slope = in.matrix("upstream", upstream);
    const result_array grad_x = in.next_gradient(in.first()), grad_z = in.next_gradient(in.z),
                       grad_prior = in.next_output(in.term(), in.prior.shape()), grad_query = in.next_gradient(in.query),
                       grad_key = in.next_gradient(in.key);
    in.run([&]<class T>(T, const auto& on) {
        const auto rows = in.first().template samples<const T>(), entries = in.z.template matrix<const T>(), g = slope.samples<const T>();
        const auto probabilities = in.prior.template vector<const car::term_of<T>>();
        const car::dictionary_gradients<T> gradients{grad_x.view().template samples<T>(),
                                                     grad_z.view().template matrix<T>(),
                                                     grad_prior.view().template vector<car::term_of<T>>(),
                                                     {grad_query.view().template matrix<T>(), grad_key.view().template matrix<T>()}};
        const car::dictionary_projections<const T> by{in.query.template matrix<const T>(), in.key.template matrix<const T>()};
        const py::gil_scoped_release unlocked;
        car::confounder_dictionary_vjp(on, rows, entries, probabilities, g, gradients, in.options, by);
    });
    return finished(grad_x, grad_z, grad_prior, grad_query, grad_key);
}

// front_door_attention

const signature& front_door_signature() {
    static const signature all = with_inputs(of_arrays("front_door_attention", {"x", "m"}).options<car::front_door_options>(),
                                             {"first_query", "first_key", "first_value", "second_query", "second_key", "second_value"})
                                     .output("out")
                                     .backend();
    return all;
}
const signature& front_door_vjp_signature() {
    static const signature all =
        with_outputs(with_inputs(of_arrays("front_door_attention_vjp", {"x", "m", "upstream"}).options<car::front_door_options>(),
                                 {"first_query", "first_key", "first_value", "second_query", "second_key", "second_value"}),
                     {"grad_x", "grad_m", "grad_first_query", "grad_first_key", "grad_first_value", "grad_second_query", "grad_second_key",
                      "grad_second_value"})
            .backend();
    return all;
}

struct front_door_inputs : call_arrays {
    array m;
    car::front_door_options options;
    std::array<array, 3> first_by, second_by;

    front_door_inputs(arguments& list, const py::object& x, const py::object& mediators)
        : call_arrays(list, "x", x), m(matrix("m", mediators)), options(list.options<car::front_door_options>()),
          first_by(next_projections()), second_by(next_projections()) {
        options.batch = batch(first(), options.batch);
        require_batch(m, first(), options.batch);
    }
    template <class T>
    car::front_door_projections<const T> by() const {
        return {projections<T>(first_by), projections<T>(second_by)};
    }
};

py::object front_door_attention(const py::object& x, const py::object& m, const py::kwargs& given) {
    arguments list(front_door_signature(), given);
    front_door_inputs in(list, x, m);
    const result_array out = in.next_output(in.type(), in.first().shape());
    in.run([&]<class T>(T, const auto& on) {
        const auto rows = in.first().template samples<const T>(), mediators = in.m.template samples<const T>();
        const auto y = out.view().template samples<T>();
        const auto by = in.by<T>();
        const py::gil_scoped_release unlocked;
        car::front_door_attention(on, rows, mediators, y, in.options, by);
    });
    return out.finish();
}

py::tuple front_door_attention_vjp(const py::object& x, const py::object& m, const py::object& upstream, const py::kwargs& given) {
    arguments list(front_door_vjp_signature(), given);
    front_door_inputs in(list, x, m);
    const array slope = in.matrix("upstream", upstream);
    slope.require_samples(in.first().shape());
    const result_array grad_x = in.next_gradient(in.first()), grad_m = in.next_gradient(in.m);
    const auto grad_first = in.next_gradients(in.first_by), grad_second = in.next_gradients(in.second_by);
    in.run([&]<class T>(T, const auto& on) {
        const auto rows = in.first().template samples<const T>(), mediators = in.m.template samples<const T>(),
                   g = slope.samples<const T>();
        const car::front_door_gradients<T> gradients{grad_x.view().template samples<T>(),
                                                     grad_m.view().template samples<T>(),
                                                     {projections<T>(grad_first), projections<T>(grad_second)}};
        const auto by = in.by<T>();
        const py::gil_scoped_release unlocked;
        car::front_door_attention_vjp(on, rows, mediators, g, gradients, in.options, by);
    });
    return finished(grad_x, grad_m, grad_first[0], grad_first[1], grad_first[2], grad_second[0], grad_second[1], grad_second[2]);
}

// The interventions, which differ in name alone.

struct textual {
    static constexpr const char *op = "textual_intervention", *vjp = "textual_intervention_vjp", *of_v = "prompts",
                                *grad_v = "grad_prompts";
    template <class... Arguments>
    static void call(const Arguments&... all) {
        car::textual_intervention(all...);
    }
    template <class On, class View, class T>
    static void call_vjp(const On& on, const View& t, const View& v, const View& g, const std::array<car::matrix_view<T>, 3>& to,
                         const car::intervention_options& options, const View& by) {
        car::textual_intervention_vjp(on, t, v, g, {to[0], to[1], to[2]}, options, by);
    }
};
struct visual {
    static constexpr const char *op = "visual_intervention", *vjp = "visual_intervention_vjp", *of_v = "v", *grad_v = "grad_v";
    template <class... Arguments>
    static void call(const Arguments&... all) {
        car::visual_intervention(all...);
    }
    template <class On, class View, class T>
    static void call_vjp(const On& on, const View& t, const View& v, const View& g, const std::array<car::matrix_view<T>, 3>& to,
                         const car::intervention_options& options, const View& by) {
        car::visual_intervention_vjp(on, t, v, g, {to[0], to[1], to[2]}, options, by);
    }
};

template <class Which>
const signature& intervention_signature() {
    static const signature all = of_arrays(Which::op, {"t", Which::of_v})
                                     .template options<car::intervention_options>()
                                     .input("approximator")
                                     .output("out")
                                     .backend();
    return all;
}
template <class Which>
const signature& intervention_vjp_signature() {
    static const signature all = of_arrays(Which::vjp, {"t", Which::of_v, "upstream"})
                                     .template options<car::intervention_options>()
                                     .input("approximator")
                                     .output("grad_t")
                                     .output(Which::grad_v)
                                     .output("grad_approximator")
                                     .backend();
    return all;
}

struct intervention_inputs : call_arrays {
    array v;
    car::intervention_options options;
    array approximator;

    intervention_inputs(arguments& list, const py::object& t, const char* of_v, const py::object& keys)
        : call_arrays(list, "t", t), v(matrix(of_v, keys)), options(list.options<car::intervention_options>()),
          approximator(next_matrix()) {
        options.batch = batch(v, options.batch);
        require_batch(first(), v, options.batch);
    }
    std::vector<std::ptrdiff_t> shape() const {
        const bool is_shared = first().dimensions() == 2;
        const std::ptrdiff_t rows = first().shape(is_shared ? 0 : 1), cols = approximator ? last(approximator) : 2 * last(first());
        if (v.dimensions() == 3) return {options.batch, rows, cols};
        if (!is_shared && options.batch == 1) return {first().shape(0), rows, cols};
        return {options.batch * rows, cols};
    }
};

template <class Which>
py::object intervention(const py::object& t, const py::object& v, const py::kwargs& given) {
    arguments list(intervention_signature<Which>(), given);
    intervention_inputs in(list, t, Which::of_v, v);
    const result_array out = in.next_output(in.type(), in.shape());
    in.run([&]<class T>(T, const auto& on) {
        const auto queries = in.first().template samples<const T>(), keys = in.v.template samples<const T>(),
                   by = in.approximator.template matrix<const T>();
        const auto y = out.view().template samples<T>();
        const py::gil_scoped_release unlocked;
        Which::call(on, queries, keys, y, in.options, by);
    });
    return out.finish();
}

template <class Which>
py::tuple intervention_vjp(const py::object& t, const py::object& v, const py::object& upstream, const py::kwargs& given) {
    arguments list(intervention_vjp_signature<Which>(), given);
    intervention_inputs in(list, t, Which::of_v, v);
    const array slope = in.matrix("upstream", upstream);
    slope.require_samples(in.shape());
    const result_array grad_t = in.next_gradient(in.first()), grad_v = in.next_gradient(in.v), grad_by = in.next_gradient(in.approximator);
    in.run([&]<class T>(T, const auto& on) {
        const auto queries = in.first().template samples<const T>(), keys = in.v.template samples<const T>(), g = slope.samples<const T>(),
                   by = in.approximator.template matrix<const T>();
        const std::array<car::matrix_view<T>, 3> to{grad_t.view().template samples<T>(), grad_v.view().template samples<T>(),
                                                    grad_by.view().template matrix<T>()};
        const py::gil_scoped_release unlocked;
        Which::call_vjp(on, queries, keys, g, to, in.options, by);
    });
    return finished(grad_t, grad_v, grad_by);
}

std::string tuple_of(int count) {
    std::string text = "tuple[";
    for (int k = 0; k != count; ++k) text += k == 0 ? "typing.Any" : ", typing.Any";
    return text + "]";
}

constexpr const char* vjp_text = R"(

Shapes
    as the op's; upstream: as its result; each gradient: as what it is of. False in place of a gradient leaves it out; it is None then, as
    is that of a projection that is not given.
Units
    those of upstream.
Errors
    as the op's.
)";

} // namespace

void bind_attention(py::module_& module) {
    define(module, "attention", &attention, py::arg("q"), py::arg("k"), py::arg("v"),
           (attention_signature().returns("typing.Any") + R"(Attention: what each query reads from the keys' values.

    y = softmax(scale (q query) (k key)^T) (v value),   scale = 1 / sqrt(E) if it is None

In-sample where k has samples of its own for each of q's, cross-sample where k and v are one global dictionary.

Shapes
    q: B x L x D, k: B x S x D', v: B x S x F'; or with two dimensions the samples one after the other, batch of them. query: D x E, key:
    D' x E, value: F' x F. out, the result: B x L x F, or as q. Of one type; float32, float64, bfloat16 or float16.
Units
    those of v.
Errors
    ValueError for a shape or an option's value, TypeError for a type.
Source
    Causal Attention.

>>> car.attention([[1.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]], [[2.0], [4.0]])
array([[3.]])
)")
               .c_str());
    define(module, "attention_vjp", &attention_vjp, py::arg("q"), py::arg("k"), py::arg("v"), py::arg("upstream"),
           (attention_vjp_signature().returns(tuple_of(6)) +
            "Vector-Jacobian product of `car.attention`: (grad_q, grad_k, grad_v, grad_query, grad_key, grad_value)." + vjp_text)
               .c_str());
    define(module, "confounder_dictionary", &confounder_dictionary, py::arg("x"), py::arg("z"), py::arg("prior"),
           (dictionary_signature().returns("typing.Any") + R"(The expected confounder given each row: attention over a dictionary.

    a = softmax(scale (x query) (z key)^T),   y = sum_k w_k z_k,   scale = 1 / sqrt(E) if it is None
    w_k = prior_k a_k ('as_published', which does not sum to 1), or prior_k a_k / sum_l prior_l a_l ('yes')

Shapes
    x: N x D, or B x N x D. z: K x Dz. prior: K, of the terms' type. query: D x E, key: Dz x E. out, the result: N x Dz, or B x N x Dz.
Units
    those of z.
Errors
    ValueError for a shape, a prior that does not sum to 1 or an option's value, TypeError for a type.
Source
    VC R-CNN, DeVLBert, CCIM.

>>> z, prior = [[1.0, 1.0], [1.0, 3.0]], [0.5, 0.5]
>>> car.confounder_dictionary([[1.0, 0.0]], z, prior)
array([[1., 2.]])
>>> car.confounder_dictionary([[1.0, 0.0]], z, prior, normalise="as_published")
array([[0.5, 1. ]])
)")
               .c_str());
    define(module, "confounder_dictionary_vjp", &confounder_dictionary_vjp, py::arg("x"), py::arg("z"), py::arg("prior"),
           py::arg("upstream"),
           (dictionary_vjp_signature().returns(tuple_of(5)) +
            "Vector-Jacobian product of `car.confounder_dictionary`: (grad_x, grad_z, grad_prior, grad_query, grad_key)." + vjp_text)
               .c_str());
    define(module, "front_door_attention", &front_door_attention, py::arg("x"), py::arg("m"),
           (front_door_signature().returns("typing.Any") +
            R"(Front-door adjustment as two attentions: the mediator reads the input, and the input reads what the mediator has.

    V = softmax(scale (m first_query) (x first_key)^T) (x first_value)
    y = x + softmax(scale (x second_query) (m second_key)^T) (V second_value)

Shapes
    x: B x L x D, m: B x S x D; or with two dimensions the samples one after the other, batch of them. first_query and first_key, and
    second_query and second_key: to columns of a number; first_value: D x F, second_value: F x D. out, the result: as x.
Units
    those of x.
Errors
    ValueError for a shape or an option's value, TypeError for a type.
Source
    VLCI, which has no projections.

>>> car.front_door_attention([[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0]])
array([[1.5, 0.5],
       [0.5, 1.5]])
)")
               .c_str());
    define(module, "front_door_attention_vjp", &front_door_attention_vjp, py::arg("x"), py::arg("m"), py::arg("upstream"),
           (front_door_vjp_signature().returns(tuple_of(8)) +
            "Vector-Jacobian product of `car.front_door_attention`: the gradients of x, m and the six projections." + vjp_text)
               .c_str());
    define(module, "textual_intervention", &intervention<textual>, py::arg("t"), py::arg("prompts"),
           (intervention_signature<textual>().returns("typing.Any") +
            R"(Textual causal intervention: the texts of the labels, adjusted by the back door for what texts and videos have in common.

    H = softmax(scale t prompts^T) prompts,   y = [t, H] approximator, or [t, H]

Shapes
    t: L x D, of every sample, or B x L x D. prompts: S x D, or B x S x D. approximator: 2 D x E, or None: E = 2 D. out, the result: L x
    E, or B x L x E.
Units
    those of t.
Errors
    ValueError for a shape or an option's value, TypeError for a type.
Source
    CMDCL.

>>> car.textual_intervention([[1.0, 0.0]], [[0.0, 0.0], [0.0, 2.0]])
array([[1., 0., 0., 1.]])
)")
               .c_str());
    define(module, "textual_intervention_vjp", &intervention_vjp<textual>, py::arg("t"), py::arg("prompts"), py::arg("upstream"),
           (intervention_vjp_signature<textual>().returns(tuple_of(3)) +
            "Vector-Jacobian product of `car.textual_intervention`: (grad_t, grad_prompts, grad_approximator)." + vjp_text)
               .c_str());
    define(module, "visual_intervention", &intervention<visual>, py::arg("t"), py::arg("v"),
           (intervention_signature<visual>().returns("typing.Any") +
            R"(Visual causal intervention: what a video shows of each label, by the front door; the adjusted texts choose the frames.

    H = softmax(scale t v^T) v,   y = [t, H] approximator, or [t, H]

Shapes
    t: L x D, of every video, or B x L x D. v: B x S x D, or with two dimensions the videos one after the other, batch of them.
    approximator: 2 D x E, or None: E = 2 D. out, the result: B x L x E, or (B L) x E.
Units
    those of v.
Errors
    ValueError for a shape or an option's value, TypeError for a type.
Source
    CMDCL.

>>> car.visual_intervention([[1.0, 0.0]], [[[0.0, 0.0], [0.0, 2.0]]])
array([[[1., 0., 0., 1.]]])
)")
               .c_str());
    define(module, "visual_intervention_vjp", &intervention_vjp<visual>, py::arg("t"), py::arg("v"), py::arg("upstream"),
           (intervention_vjp_signature<visual>().returns(tuple_of(3)) +
            "Vector-Jacobian product of `car.visual_intervention`: (grad_t, grad_v, grad_approximator)." + vjp_text)
               .c_str());
}

} // namespace binding
