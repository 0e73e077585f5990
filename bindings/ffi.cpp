// SPDX-License-Identifier: Apache-2.0
// The loss as a target of XLA's foreign function interface, for car.jax. Built where the interface's headers are.
#include "options.hpp"

#include <car/hvp.hpp>
#include <car/loss.hpp>

#include <xla/ffi/api/ffi.h>

#include <stdexcept>

namespace binding {

namespace {

using pool_getter = std::shared_ptr<const car::thread_pool> (*)();
pool_getter compiled_half = nullptr; // process_pool() of _car: what is inline there is another copy here

} // namespace

std::shared_ptr<const car::thread_pool> process_pool() { return compiled_half(); }

namespace {

namespace ffi = xla::ffi;

element element_of_xla(ffi::DataType type) {
    switch (type) {
    case ffi::DataType::PRED: return element::boolean;
    case ffi::DataType::S8: return element::int8;
    case ffi::DataType::S16: return element::int16;
    case ffi::DataType::S32: return element::int32;
    case ffi::DataType::S64: return element::int64;
    case ffi::DataType::U8: return element::uint8;
    case ffi::DataType::U16: return element::uint16;
    case ffi::DataType::U32: return element::uint32;
    case ffi::DataType::U64: return element::uint64;
    case ffi::DataType::F16: return element::float16;
    case ffi::DataType::BF16: return element::bfloat16;
    case ffi::DataType::F32: return element::float32;
    case ffi::DataType::F64: return element::float64;
    default: return element::other;
    }
}

/// XLA's buffers are contiguous. A vector without elements, or a matrix of 0 x 0, stands for an array that is not given.
struct buffer {
    ffi::AnyBuffer memory;

    bool given() const { return memory.element_count() != 0; }
    element type() const { return element_of_xla(memory.element_type()); }
    std::ptrdiff_t size() const { return static_cast<std::ptrdiff_t>(memory.element_count()); }

    template <class T>
    T* pointer() const {
        return static_cast<T*>(memory.untyped_data());
    }
    template <class T>
    car::vector_view<T> vector() const {
        return given() ? car::vector_view<T>(pointer<T>(), size()) : car::vector_view<T>();
    }
    template <class T>
    car::matrix_view<T> matrix() const {
        const auto shape = memory.dimensions();
        return shape[1] != 0 ? car::matrix_view<T>(pointer<T>(), shape[0], shape[1]) : car::matrix_view<T>();
    }
    /// The same for labels, and for masks, which may be of bool too.
    template <class View>
    View integers() const {
        switch (type()) {
        case element::int8: return vector<const std::int8_t>();
        case element::int16: return vector<const std::int16_t>();
        case element::int32: return vector<const std::int32_t>();
        case element::int64: return vector<const std::int64_t>();
        case element::uint16: return vector<const std::uint16_t>();
        case element::uint32: return vector<const std::uint32_t>();
        case element::uint64: return vector<const std::uint64_t>();
        default: return vector<const std::uint8_t>();
        }
    }
};

class call {
    ffi::RemainingArgs arguments_;
    ffi::RemainingRets results_;
    ffi::Dictionary attributes_;

    template <class Value>
    void read(const char* name, Value& value) const {
        if (!attributes_.contains(name)) return;
        if constexpr (is_optional<Value>) {
            typename Value::value_type given{};
            read(name, given);
            value = given;
        } else if constexpr (enumeration<Value>) {
            const std::string_view word = attributes_.get<std::string_view>(name).value();
            const auto& names = words<Value>::names;
            value = static_cast<Value>(std::find(names.begin(), names.end(), word) - names.begin()); // car.jax has checked the word
        } else {
            value = attributes_.get<Value>(name).value();
        }
    }

  public:
    call(ffi::RemainingArgs arguments, ffi::RemainingRets results, ffi::Dictionary attributes)
        : arguments_(arguments), results_(results), attributes_(attributes) {}

    buffer argument(std::size_t k) const { return {arguments_.get<ffi::AnyBuffer>(k).value()}; }
    buffer result(std::size_t k) const { return {*results_.get<ffi::AnyBuffer>(k).value()}; }

    car::loss_options options() const {
        car::loss_options options;
        for_each_option<car::loss_options>([&](const char* name, auto field) { read(name, options.*field); });
        return options;
    }
    template <class T>
    car::targets<T> targets() const {
        const buffer labels = argument(2);
        if (is_logit(labels.type())) return labels.matrix<const car::term_of<T>>();
        return labels.integers<car::label_view>();
    }
    /// The weights and masks, which begin at `first`.
    template <class T>
    car::loss_arrays<T> arrays(std::size_t first) const {
        using term = const car::term_of<T>;
        return {.weight = argument(first).vector<term>(),
                .sample_weight = argument(first + 1).vector<term>(),
                .row_mask = argument(first + 2).integers<car::mask_view>(),
                .class_mask = argument(first + 3).integers<car::mask_view>()};
    }
};

/// What a call throws becomes XLA's error.
template <class Op>
ffi::Error guarded(Op op) {
    try {
        op();
        return ffi::Error::Success();
    } catch (const std::invalid_argument& error) {
        return ffi::Error::InvalidArgument(error.what());
    }
}

/// p, c, labels, weight, sample_weight, row_mask, class_mask -> value, grad_p, grad_c
ffi::Error loss(ffi::RemainingArgs arguments, ffi::RemainingRets results, ffi::Dictionary attributes) {
    return guarded([&] {
        const call in(arguments, results, attributes);
        const car::loss_options options = in.options();
        with_type(in.argument(0).type(), [&]<class T>(T) {
            car::loss_arrays<T> arrays = in.arrays<T>(3);
            const buffer value = in.result(0);
            arrays.grad_p = in.result(1).matrix<T>();
            arrays.grad_c = in.result(2).matrix<T>();
            if (options.reduction == car::reduction::none) arrays.row_loss = value.vector<car::term_of<T>>();
            const auto loss = car::loss(car::simd.on(on_process_threads), in.argument(0).matrix<const T>(),
                                        in.argument(1).matrix<const T>(), in.targets<T>(), options, arrays);
            if (options.reduction != car::reduction::none) *value.pointer<car::term_of<T>>() = static_cast<car::term_of<T>>(loss.value);
        });
    });
}

/// p, c, labels, v_p, v_c, weight, sample_weight, row_mask, class_mask -> grad_p, grad_c
ffi::Error loss_hvp(ffi::RemainingArgs arguments, ffi::RemainingRets results, ffi::Dictionary attributes) {
    return guarded([&] {
        const call in(arguments, results, attributes);
        with_type(in.argument(0).type(), [&]<class T>(T) {
            car::loss_arrays<T> arrays = in.arrays<T>(5);
            arrays.grad_p = in.result(0).matrix<T>();
            arrays.grad_c = in.result(1).matrix<T>();
            const car::loss_direction<T> along{.p = in.argument(3).matrix<const T>(), .c = in.argument(4).matrix<const T>()};
            car::loss_hvp(in.argument(0).matrix<const T>(), in.argument(1).matrix<const T>(), in.targets<T>(), along, in.options(), arrays);
        });
    });
}

XLA_FFI_DEFINE_HANDLER(loss_handler, loss, ffi::Ffi::Bind().RemainingArgs().RemainingRets().Attrs());
XLA_FFI_DEFINE_HANDLER(loss_hvp_handler, loss_hvp, ffi::Ffi::Bind().RemainingArgs().RemainingRets().Attrs());

} // namespace

} // namespace binding

PYBIND11_MODULE(_ffi, module) {
    module.doc() = "The loss as a target of XLA's foreign function interface. Import car.jax.";
    binding::compiled_half = reinterpret_cast<binding::pool_getter>(
        py::module_::import("car._car").attr("_process_pool").cast<py::capsule>().get_pointer<void>());
    module.attr("loss") = py::capsule(reinterpret_cast<void*>(binding::loss_handler));
    module.attr("loss_hvp") = py::capsule(reinterpret_cast<void*>(binding::loss_hvp_handler));
}
