// SPDX-License-Identifier: Apache-2.0
#include "array.hpp"

#include "dlpack.hpp"

#include <algorithm>

namespace binding {

namespace {

constexpr std::array names{"bool",   "int8",   "int16",   "int32",    "int64",   "uint8",   "uint16",
                           "uint32", "uint64", "float16", "bfloat16", "float32", "float64", "another type"};
constexpr std::array<std::ptrdiff_t, 13> widths{1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 2, 4, 8};

constexpr element sized(element least, std::ptrdiff_t bytes) {
    const int power = bytes == 1 ? 0 : bytes == 2 ? 1 : bytes == 4 ? 2 : bytes == 8 ? 3 : -1;
    return power < 0 ? element::other : static_cast<element>(static_cast<int>(least) + power);
}

/// NumPy has no bfloat16 of its own; packages register one and call it so.
bool is_bfloat16(const py::dtype& type) {
    static int known = -1;
    if (type.num() == known) return true;
    if (type.num() < 256 || type.itemsize() != 2 || py::str(type.attr("name")).cast<std::string>() != "bfloat16") return false;
    known = type.num();
    return true;
}

element element_of_numpy(const py::dtype& type) {
    // NumPy has one object for each type in the machine's order of bytes: most questions end with its address.
    static const auto known = [] {
        std::array<PyObject*, widths.size()> types{};
        for (std::size_t k = 0; k != types.size(); ++k)
            if (static_cast<element>(k) != element::bfloat16) types[k] = py::dtype(std::string(names[k])).release().ptr();
        return types;
    }();
    if (const auto found = std::find(known.begin(), known.end(), type.ptr()); found != known.end())
        return static_cast<element>(found - known.begin());
    const char order = type.byteorder();
    if (order == '>') return element::other;
    switch (type.kind()) {
    case 'b': return element::boolean;
    case 'i': return sized(element::int8, type.itemsize());
    case 'u': return sized(element::uint8, type.itemsize());
    case 'f':
        return type.itemsize() == 2   ? element::float16
               : type.itemsize() == 4 ? element::float32
               : type.itemsize() == 8 ? element::float64
                                      : element::other;
    default: return is_bfloat16(type) ? element::bfloat16 : element::other;
    }
}

element element_of_dlpack(const dlpack::tensor& tensor) {
    const int bits = tensor.type_bits;
    if (tensor.type_lanes != 1 || bits % 8 != 0) return element::other;
    switch (tensor.type_code) {
    case dlpack::boolean: return bits == 8 ? element::boolean : element::other;
    case dlpack::integer: return sized(element::int8, bits / 8);
    case dlpack::unsigned_integer: return sized(element::uint8, bits / 8);
    case dlpack::floating:
        return bits == 16 ? element::float16 : bits == 32 ? element::float32 : bits == 64 ? element::float64 : element::other;
    case dlpack::brain_floating: return bits == 16 ? element::bfloat16 : element::other;
    default: return element::other;
    }
}

py::dtype numpy_type(element type) {
    if (type == element::bfloat16) return py::dtype::from_args(py::module_::import("ml_dtypes").attr("bfloat16"));
    return py::dtype(std::string(name_of(type)));
}

std::string type_name(py::handle object) { return py::str(py::type::handle_of(object).attr("__name__")).cast<std::string>(); }

} // namespace

const char* name_of(element type) { return names[static_cast<std::size_t>(type)]; }

void type_error(const char* op, const std::string& message) { throw py::type_error(std::string("car::") + op + ": " + message); }
void value_error(const char* op, const std::string& message) { throw py::value_error(std::string("car::") + op + ": " + message); }

/// False where the memory cannot be read as it lies: bytes in another order, or elements that do not stand a whole number of elements
/// apart, as in a field of a record.
bool array::from_numpy(py::handle object) {
    const auto numpy = py::reinterpret_borrow<py::array>(object);
    owner_ = numpy;
    data_ = const_cast<void*>(numpy.data());
    writable_ = numpy.writeable();
    type_ = element_of_numpy(numpy.dtype());
    dimensions_ = static_cast<int>(numpy.ndim());
    if (dimensions_ > 4) type_error(op_, std::string(name_) + " has " + std::to_string(dimensions_) + " dimensions, expected at most 4");
    if (type_ == element::other) return numpy.dtype().byteorder() != '>';
    const py::ssize_t *shape = numpy.shape(), *strides = numpy.strides();
    const std::ptrdiff_t width = widths[static_cast<std::size_t>(type_)];
    bool aligned = reinterpret_cast<std::uintptr_t>(data_) % static_cast<std::size_t>(width) == 0;
    for (std::size_t k = 0; k != static_cast<std::size_t>(dimensions_); ++k) {
        shape_[k] = shape[k];
        strides_[k] = strides[k] / width;
        aligned = aligned && strides[k] % width == 0;
    }
    return aligned;
}

template <class View>
View array::integers() const {
    switch (type_) {
    case element::int8: return vector<const std::int8_t>();
    case element::int16: return vector<const std::int16_t>();
    case element::int32: return vector<const std::int32_t>();
    case element::uint8: return vector<const std::uint8_t>();
    case element::uint16: return vector<const std::uint16_t>();
    case element::uint32: return vector<const std::uint32_t>();
    case element::uint64: return vector<const std::uint64_t>();
    default: return vector<const std::int64_t>();
    }
}

void array::from_capsule(py::object capsule) {
    const dlpack::tensor* tensor = nullptr;
    if (PyCapsule_IsValid(capsule.ptr(), "dltensor_versioned")) {
        const auto* managed = static_cast<dlpack::versioned_tensor*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor_versioned"));
        if (managed->major != 1)
            type_error(op_, std::string(name_) + " comes through version " + std::to_string(managed->major) + " of DLPack, expected 1");
        tensor = &managed->tensor;
        writable_ = (managed->flags & 1) == 0;
    } else if (PyCapsule_IsValid(capsule.ptr(), "dltensor")) {
        tensor = &static_cast<dlpack::managed_tensor*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor"))->tensor;
        writable_ = true;
    } else {
        type_error(op_, std::string(name_) + " is a capsule without a tensor");
    }
    if (tensor->device_type != dlpack::cpu && tensor->device_type != dlpack::cuda_host)
        type_error(op_, std::string(name_) + " is in the memory of a device, expected the host's: this build has no backend for it");
    if (tensor->dimensions > 4)
        type_error(op_, std::string(name_) + " has " + std::to_string(tensor->dimensions) + " dimensions, expected at most 4");
    data_ = static_cast<char*>(tensor->data) + tensor->byte_offset;
    type_ = element_of_dlpack(*tensor);
    dimensions_ = tensor->dimensions;
    std::ptrdiff_t contiguous = 1;
    for (auto k = static_cast<std::size_t>(dimensions_); k-- > 0;) {
        shape_[k] = tensor->shape[k];
        strides_[k] = tensor->strides ? tensor->strides[k] : contiguous;
        contiguous *= shape_[k];
    }
    owner_ = std::move(capsule); // not taken over: as long as it lives, so does its memory
}

array::array(const char* op, const char* name, py::handle object, std::optional<element> wanted) : given_(object), op_(op), name_(name) {
    if (object.is_none()) type_error(op, std::string(name) + " is None, expected an array");
    if (py::isinstance<py::array>(object)) {
        if (!from_numpy(object)) {
            const auto copy = py::module_::import("numpy").attr("array")(object, py::arg("order") = "C");
            from_numpy(copy.attr("astype")(copy.attr("dtype").attr("newbyteorder")("=")));
        }
    } else if (PyCapsule_CheckExact(object.ptr())) {
        from_capsule(py::reinterpret_borrow<py::object>(object));
    } else if (py::hasattr(object, "__dlpack__")) {
        try {
            py::object capsule;
            try {
                capsule = object.attr("__dlpack__")(py::arg("max_version") = py::make_tuple(1, 0));
            } catch (py::error_already_set& error) { // a library that knows the first version alone
                if (!error.matches(PyExc_TypeError)) throw;
                capsule = object.attr("__dlpack__")();
            }
            from_capsule(std::move(capsule));
        } catch (py::error_already_set& error) {
            py::raise_from(error, PyExc_TypeError,
                           (std::string("car::") + op + ": " + name + ", a " + type_name(object) + ", does not give its memory").c_str());
            throw py::error_already_set();
        }
    } else if (py::hasattr(object, "__cuda_array_interface__")) {
        type_error(op, std::string(name) + " is in the memory of a device, expected the host's: this build has no backend for it");
    } else {
        const auto convert = py::module_::import("numpy").attr("asarray");
        try {
            py::object converted = convert(object);
            const bool plain = !py::hasattr(object, "dtype") && !PyObject_CheckBuffer(object.ptr());
            const element made = element_of_numpy(converted.attr("dtype"));
            // A list of whole numbers can be read as floating point; one of fractions is not read as integers, unless it is empty.
            const bool number = is_logit(made) || is_integer(made);
            if (plain && wanted && made != *wanted && number && (is_logit(*wanted) || py::len(converted) == 0))
                converted = convert(converted, numpy_type(*wanted));
            from_numpy(converted);
        } catch (py::error_already_set& error) {
            py::raise_from(error, PyExc_TypeError,
                           (std::string("car::") + op + ": " + name + ", a " + type_name(object) + ", cannot be read as an array").c_str());
            throw py::error_already_set();
        }
    }
}

array array::converted(const char* op, const char* name, py::handle object, element wanted) {
    array one(op, name, object, wanted);
    if (one.type() == wanted) return one;
    const auto numpy = py::module_::import("numpy");
    array other;
    other.given_ = object;
    other.op_ = op;
    other.name_ = name;
    try {
        other.from_numpy(numpy.attr("asarray")(object).attr("astype")(numpy_type(wanted)));
    } catch (py::error_already_set& error) {
        one.require(wanted);
    }
    return other;
}

array array::output(const char* op, const char* name, py::handle object, element wanted) {
    if (!py::isinstance<py::array>(object) && !py::hasattr(object, "__dlpack__") && !PyCapsule_CheckExact(object.ptr()))
        type_error(op, std::string(name) + " is a " + type_name(object) + ", expected an array that can be written, or True for a new one");
    // JAX hands out memory that says nothing of it, but its arrays never change.
    const bool constant = !py::isinstance<py::array>(object) && !PyCapsule_CheckExact(object.ptr()) &&
                          py::str(py::type::handle_of(object).attr("__module__")).cast<std::string>().rfind("jax", 0) == 0;
    array out(op, name, object);
    out.require(wanted);
    if (constant || !out.writable_ || (py::isinstance<py::array>(object) && out.owner_.ptr() != object.ptr()))
        value_error(op, std::string(name) + " cannot be written in place");
    return out;
}

void array::require(element wanted, const char* of) const {
    if (type_ != wanted)
        type_error(op_, std::string(name_) + " has elements of " + name_of(type_) + ", expected " + name_of(wanted) +
                            (of ? std::string(", as ") + of : std::string()));
}

void array::require_logits() const {
    if (!is_logit(type_))
        type_error(op_, std::string(name_) + " has elements of " + name_of(type_) + ", expected float32, float64, bfloat16 or float16");
}

void array::apart() const {
    value_error(op_, std::string(name_) + " has samples that do not lie one after the other, expected them to: copy it");
}

void array::require_dimensions(int wanted, const char* shape) const {
    if (dimensions_ != wanted)
        value_error(op_, std::string(name_) + " has a shape of " + std::to_string(dimensions_) + " dimensions, expected " + shape);
}

car::label_view array::labels() const {
    if (!is_integer(type_)) type_error(op_, std::string(name_) + " has elements of " + name_of(type_) + ", expected integers");
    return integers<car::label_view>();
}

car::mask_view array::mask() const {
    if (!*this) return {};
    if (type_ == element::boolean) return vector<const bool>();
    if (!is_integer(type_)) type_error(op_, std::string(name_) + " has elements of " + name_of(type_) + ", expected bool or integers");
    return integers<car::mask_view>();
}

void array::require_samples(const std::vector<std::ptrdiff_t>& wanted) const {
    if (dimensions_ != 3 || wanted.size() != 3 || shape() == wanted) return;
    const auto text = [](const std::vector<std::ptrdiff_t>& of) {
        return std::to_string(of[0]) + " x " + std::to_string(of[1]) + " x " + std::to_string(of[2]);
    };
    value_error(op_, std::string(name_) + " has shape " + text(shape()) + ", expected " + text(wanted));
}

result_array::result_array(const char* op, const char* name, py::handle wanted, const array& like, element type,
                           const std::vector<std::ptrdiff_t>& shape) {
    if (wanted.is_none() || wanted.ptr() == Py_False) return;
    if (wanted.ptr() != Py_True) {
        object_ = py::reinterpret_borrow<py::object>(wanted);
        array_ = array::output(op, name, wanted, type);
        array_.require_samples(shape);
        return;
    }
    const py::handle given = like.given();
    const bool numpy = py::isinstance<py::array>(given);
    if (!numpy && py::hasattr(given, "new_empty")) { // PyTorch
        py::tuple sizes(shape.size());
        for (std::size_t k = 0; k != shape.size(); ++k) sizes[k] = py::int_(shape[k]);
        object_ = type == like.type() ? given.attr("new_empty")(sizes)
                                      : given.attr("new_empty")(sizes, py::arg("dtype") = py::module_::import("torch").attr(name_of(type)));
        array_ = array::output(op, name, object_, type);
        return;
    }
    if (!numpy && py::hasattr(given, "__array_namespace__")) library_ = given.attr("__array_namespace__")();
    const bool same = numpy && type == like.type() && type == element::bfloat16;
    object_ = py::array(same ? py::reinterpret_borrow<py::array>(given).dtype() : numpy_type(type), shape);
    array_ = array::output(op, name, object_, type);
}

py::object result_array::finish() const {
    if (!*this) return py::none();
    return library_ ? library_.attr("asarray")(object_) : object_;
}

} // namespace binding
