// SPDX-License-Identifier: Apache-2.0
#include "options.hpp"

#include <variant>

namespace binding {

namespace {

constexpr const char* fill_type = "float | typing.Literal['mean'] | NoiseFill | numpy.typing.ArrayLike";

/// Masks of the pixels' type as they are, in any other type converted. One mask for each image needs no axis of channels.
array read_masks(const char* op, py::handle object, element type) { return array::converted(op, "masks", object, type); }
template <class T>
car::image_view<const T> view_masks(const array& masks, const array& images) {
    return images.dimensions() == 4 ? masks.frames<const T>() : masks.images<const T>();
}

/// What is put in the actor's place, as Python gives it.
class fill {
    std::variant<car::constant_fill, car::mean_fill, car::noise_fill, array> kind_;

  public:
    fill(const char* op, py::handle object, element type) {
        if (py::isinstance<car::noise_fill>(object)) {
            kind_ = object.cast<car::noise_fill>();
        } else if (PyFloat_Check(object.ptr()) || PyLong_Check(object.ptr())) {
            kind_ = car::constant_fill{from_python<double>(op, "fill", object)};
        } else if (py::hasattr(object, "item") && py::hasattr(object, "ndim") && object.attr("ndim").cast<int>() == 0) { // NumPy's numbers
            kind_ = car::constant_fill{from_python<double>(op, "fill", object.attr("item")())};
        } else if (PyUnicode_Check(object.ptr())) {
            if (PyUnicode_CompareWithASCIIString(object.ptr(), "mean") != 0)
                value_error(op, "fill is " + shown(object) + ", expected a number, 'mean', a NoiseFill or images");
            kind_ = car::mean_fill{};
        } else {
            array background(op, "background", object, type);
            background.require(type, "the images");
            kind_ = background;
        }
    }

    const array* background() const { return std::get_if<array>(&kind_); }

    /// Calls with the fill as C++ knows it.
    template <class T, class Call>
    void with(Call call) const {
        std::visit(
            [&](const auto& kind) {
                if constexpr (std::is_same_v<std::remove_cvref_t<decltype(kind)>, array>)
                    call(car::background_fill<T>{kind.template images<const T>()});
                else
                    call(kind);
            },
            kind_);
    }
};

array read_images(const char* op, const char* name, py::handle object) {
    array images(op, name, object, element::float64);
    images.require_logits();
    return images;
}

const signature& erase_signature() {
    static const signature all =
        signature("erase", std::string("images: numpy.typing.ArrayLike, masks: numpy.typing.ArrayLike, fill: ") + fill_type + " = 0.0")
            .output("out");
    return all;
}

py::object erase(const py::object& images, const py::object& masks, const py::object& filling, const py::kwargs& given) {
    arguments list(erase_signature(), given);
    const char* op = list.op();
    const array source = read_images(op, "images", images), mask = read_masks(op, masks, source.type());
    const fill with(op, filling, source.type());
    const auto [name, wanted] = list.next();
    const result_array out(op, name, wanted.is_none() ? py::handle(Py_True) : wanted, source, source.type(), source.shape());
    with_type(source.type(), [&]<class T>(T) {
        const auto from = source.images<const T>(), erased = view_masks<T>(mask, source);
        const auto to = out.view().template images<T>();
        const py::gil_scoped_release unlocked;
        with.template with<T>([&](const auto& kind) { car::erase(from, erased, kind, to); });
    });
    return out.finish();
}

const signature& vjp_signature() {
    static const signature all =
        signature("erase_vjp",
                  std::string("masks: numpy.typing.ArrayLike, upstream: numpy.typing.ArrayLike, fill: ") + fill_type + " = 0.0")
            .output("grad_images")
            .output("grad_background");
    return all;
}

py::tuple erase_vjp(const py::object& masks, const py::object& upstream, const py::object& filling, const py::kwargs& given) {
    arguments list(vjp_signature(), given);
    const char* op = list.op();
    const array slope = read_images(op, "upstream", upstream), mask = read_masks(op, masks, slope.type());
    const fill with(op, filling, slope.type());
    const auto standard = [](py::handle wanted) { return wanted.is_none() ? py::handle(Py_True) : wanted; };
    const auto [images_name, images_wanted] = list.next();
    const auto [background_name, background_wanted] = list.next();
    const result_array images(op, images_name, standard(images_wanted), slope, slope.type(), slope.shape());
    result_array background;
    if (with.background())
        background = result_array(op, background_name, standard(background_wanted), slope, slope.type(), with.background()->shape());
    else if (!background_wanted.is_none() && background_wanted.ptr() != Py_False)
        value_error(op, "grad_background is given, expected a background as fill");
    with_type(slope.type(), [&]<class T>(T) {
        const auto from = slope.images<const T>(), erased = view_masks<T>(mask, slope);
        const auto to = images.view().template images<T>(), to_background = background.view().template images<T>();
        const py::gil_scoped_release unlocked;
        with.template with<T>([&](const auto& kind) {
            if constexpr (std::is_same_v<std::remove_cvref_t<decltype(kind)>, car::background_fill<T>>) {
                if (to_background) return car::erase_vjp(erased, from, kind, to, to_background);
            }
            car::erase_vjp(erased, from, kind, to);
        });
    });
    return py::make_tuple(images.finish(), background.finish());
}

/// N x 4: x, y, width, height.
class box_list {
    std::vector<car::box> boxes_;

  public:
    box_list(const char* op, py::handle object) {
        const array all = array::converted(op, "boxes", object, element::float64);
        if (all.dimensions() != 2 || all.shape(1) != 4) value_error(op, "boxes has another shape than N x 4: x, y, width, height");
        const auto view = all.matrix<const double>();
        for (std::ptrdiff_t n = 0; n != view.rows; ++n) boxes_.push_back({view(n, 0), view(n, 1), view(n, 2), view(n, 3)});
    }
    std::span<const car::box> view() const { return boxes_; }
};

const signature& occlude_signature() {
    static const signature all = signature("occlude", "frames: numpy.typing.ArrayLike, boxes: numpy.typing.ArrayLike, occluder: "
                                                      "numpy.typing.ArrayLike, opacity: numpy.typing.ArrayLike")
                                     .options<car::occlusion_options>()
                                     .output("out")
                                     .output("coverage");
    return all;
}

py::tuple occlude(const py::object& frames, const py::object& boxes, const py::object& occluder, const py::object& opacity,
                  const py::kwargs& given) {
    arguments list(occlude_signature(), given);
    const char* op = list.op();
    const array source = read_images(op, "frames", frames);
    const box_list actors(op, boxes);
    const auto other = [&](const char* name, py::handle object) {
        array one(op, name, object, source.type());
        one.require(source.type(), "frames");
        return one;
    };
    const array what = other("occluder", occluder), opaque = other("opacity", opacity);
    const auto options = list.options<car::occlusion_options>();
    const auto [out_name, out_wanted] = list.next();
    const auto [coverage_name, coverage_wanted] = list.next();
    const result_array out(op, out_name, out_wanted.is_none() ? py::handle(Py_True) : out_wanted, source, source.type(), source.shape());
    std::vector<std::ptrdiff_t> shape = source.shape();
    if (shape.size() == 4) shape[1] = 1;
    if (shape.size() == 3) shape[0] = 1;
    const result_array coverage(op, coverage_name, coverage_wanted, source, source.type(), shape);
    with_type(source.type(), [&]<class T>(T) {
        const auto from = source.images<const T>(), picture = what.images<const T>(), alpha = opaque.images<const T>();
        const auto to = out.view().template images<T>();
        const auto covered = source.dimensions() == 4 ? coverage.view().template frames<T>() : coverage.view().template images<T>();
        const py::gil_scoped_release unlocked;
        car::occlude(from, actors.view(), picture, alpha, options, to, covered);
    });
    return py::make_tuple(out.finish(), coverage.finish());
}

car::occlusion_factors occlusion_factors_of(const py::object& coverage, const py::object& boxes) {
    const char* op = "occlusion_factors_of";
    const array covered = read_images(op, "coverage", coverage);
    const box_list actors(op, boxes);
    return with_type(covered.type(), [&]<class T>(T) {
        const auto view = covered.frames<const T>();
        const py::gil_scoped_release unlocked;
        return car::occlusion_factors_of(view, actors.view());
    });
}

const signature& noise_signature() {
    static const signature all = signature("__init__", "self").options<car::noise_fill>();
    return all;
}

} // namespace

void bind_image(py::module_& module) {
    py::class_<car::noise_fill> noise(module, "NoiseFill", R"(Normal noise in the actor's place.

A pixel's value depends on the seed and its index (first_image + n, channel, y, x) alone: no split or order of batches shows.

>>> car.erase([[1.0, 1.0]], [[0.0, 1.0]], car.NoiseFill(seed=3)).shape
(1, 2)
)");
    define(noise, py::init([](const py::kwargs& given) { return arguments(noise_signature(), given).options<car::noise_fill>(); }),
           noise_signature().returns("None").c_str());
    for_each_option<car::noise_fill>([&](const char* name, auto field) { noise.def_readonly(name, field); });
    noise.def("__repr__", [](const car::noise_fill& one) {
        std::string text;
        for_each_option<car::noise_fill>([&](const char* name, auto field) {
            text += std::string(text.empty() ? "NoiseFill(" : ", ") + name + "=" + shown(to_python(one.*field));
        });
        return text + ")";
    });

    define(module, "erase", &erase, py::arg("images"), py::arg("masks"), py::arg("fill") = 0.0,
           (erase_signature().returns("typing.Any") + R"(The counterfactual image: the actor is erased, everything else is kept.

    out = (1 - mask) image + mask fill

Shapes
    images, out: N x channels x height x width, channels x height x width or height x width, any strides; out may be images. masks: of
    the same axes, with one channel or as many, or without the axis of channels; 1 erases, 0 keeps. Masks of another type are
    converted.
    fill: a number; 'mean', of the image's channel; a NoiseFill; or images, one for all or one for each.
Units
    those of the images.
Errors
    ValueError for a shape or a fill's value, TypeError for a type.
Source
    OccludeNet, section 4.2.

>>> car.erase([[1.0, 2.0], [3.0, 4.0]], [[0, 0], [0, 1]])
array([[1., 2.],
       [3., 0.]])
>>> car.erase([[1.0, 2.0], [3.0, 4.0]], [[0, 0], [0, 1]], "mean")
array([[1. , 2. ],
       [3. , 2.5]])
)")
               .c_str());

    define(module, "erase_vjp", &erase_vjp, py::arg("masks"), py::arg("upstream"), py::arg("fill") = 0.0,
           (vjp_signature().returns("tuple[typing.Any, typing.Any]") +
            R"(Vector-Jacobian product of `car.erase`: (grad_images, grad_background), the second None unless the fill is images.

Shapes
    upstream, grad_images: as the images; masks, fill: as in `car.erase`.
Units
    those of upstream.
Errors
    as `car.erase`.
Source
    the derivative of erase.

>>> car.erase_vjp([[0, 1]], [[1.0, 1.0]])[0]
array([[1., 0.]])
)")
               .c_str());

    define(module, "occlude", &occlude, py::arg("frames"), py::arg("boxes"), py::arg("occluder"), py::arg("opacity"),
           (occlude_signature().returns("tuple[typing.Any, typing.Any]") +
            R"(Tracked occlusion: an occluder at the centre of the actor's box, in every frame of a clip: (out, coverage).

    a = alpha * opacity of the occluder, resized to `scale` times the box,   out = (1 - a) frame + a occluder

Shapes
    frames, out: N x channels x height x width, or one frame without the first axes; any strides; out may be frames. boxes: N x 4, of x,
    y, width, height. occluder: channels x its own height x width; opacity: its height x width, in [0, 1]. coverage: a, as frames with
    one channel; None unless it is asked for.
Units
    boxes in pixels, from the top left corner.
Errors
    ValueError for a shape or an option's value, TypeError for a type.
Source
    OccludeNet, section 3.1 and Figure 3.

>>> out, coverage = car.occlude([[0.0] * 4] * 4, [[0, 0, 4, 4]], [[1.0]], [[1.0]], scale=0.5, coverage=True)
>>> out[1]
array([0., 1., 1., 0.])
>>> car.occlusion_factors_of(coverage, [[0, 0, 4, 4]]).degree
0.5
)")
               .c_str());

    py::class_<car::occlusion_factors>(module, "OcclusionFactors",
                                       "The paper's three factors; NaN where no frame has an actor, or none is occluded.")
        .def_readonly("degree", &car::occlusion_factors::degree, "Size of what covers over the box's size.")
        .def_readonly("area_ratio", &car::occlusion_factors::area_ratio, "Share of the box's area in the frame that is covered.")
        .def_readonly("duration_ratio", &car::occlusion_factors::duration_ratio,
                      "Share of the frames with an actor in which it is occluded.")
        .def("__repr__", [](const car::occlusion_factors& f) {
            std::ostringstream text;
            text << "OcclusionFactors(degree=" << f.degree << ", area_ratio=" << f.area_ratio << ", duration_ratio=" << f.duration_ratio
                 << ")";
            return text.str();
        });
    define(module, "occlusion_factors_of", &occlusion_factors_of, py::arg("coverage"), py::arg("boxes"),
           R"(occlusion_factors_of(coverage: numpy.typing.ArrayLike, boxes: numpy.typing.ArrayLike) -> OcclusionFactors

Occlusion degree, area ratio and duration ratio of a clip, from what covers it.

Shapes
    coverage: N x 1 x height x width, N x height x width or height x width, in [0, 1]. boxes: N x 4, of x, y, width, height.
Units
    ratios. Boxes in pixels.
Errors
    ValueError for a shape or a box that is not finite, TypeError for a type.
Source
    OccludeNet, section 3.3.
)");
}

} // namespace binding
