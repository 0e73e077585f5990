# SPDX-License-Identifier: Apache-2.0
"""What is taken as an array, what comes back, and what is refused, by name."""
import array

import car
import numpy as np
import pytest

ml_dtypes = pytest.importorskip("ml_dtypes", reason="bfloat16 in NumPy comes with ml_dtypes")

P = np.array([[2.0, -1.0, 0.5], [0.25, 3.0, -2.0]])
C = np.array([[0.5, -0.25, 1.0], [1.5, -0.5, 0.0]])
VALUE = car.loss(P, C, [0, 2]).value


class Dlpack:
    """Another library's array: nothing but the protocol."""

    def __init__(self, values, **limits):
        self.values, self.limits = values, limits

    def __dlpack__(self, **asked):
        if self.limits.get("old") and asked:
            raise TypeError("unexpected keyword")
        if self.limits.get("refuses"):
            raise BufferError("no")
        return self.values.__dlpack__()

    def __dlpack_device__(self):
        return self.values.__dlpack_device__()


def test_lists_tuples_buffers():
    assert car.loss(P.tolist(), C.tolist(), [0, 2]).value == VALUE
    assert car.loss(tuple(map(tuple, P)), C, (0, 2)).value == VALUE
    assert car.loss(memoryview(P), C, array.array("i", [0, 2])).value == VALUE
    assert car.softmax([[1, 1]]).tolist() == [[0.5, 0.5]]
    narrow = P.astype(np.float32)
    assert car.loss(narrow, C.tolist(), [0, 2]).value == car.loss(narrow, C.astype(np.float32), [0, 2]).value


def test_arguments_by_position_and_by_name():
    assert car.loss(p=P, c=C, labels=[0, 2]).value == car.loss(P, C, labels=[0, 2]).value == VALUE
    wanted = car.loss(P, C, [0, 2], alpha=0.5).value
    assert car.loss(P, labels=[0, 2], alpha=0.5, c=C).value == wanted != VALUE
    for call in (lambda: car.loss(P, C), lambda: car.loss(P, C, [0, 2], 0.5), lambda: car.loss(P, C, [0, 2], c=C)):
        with pytest.raises(TypeError):
            call()


@pytest.mark.parametrize("old", [False, True])
def test_dlpack(old):
    r = car.loss(Dlpack(P, old=old), Dlpack(C, old=old), Dlpack(np.array([0, 2]), old=old), gradients=True)
    assert r.value == VALUE and isinstance(r.grad_p, np.ndarray)
    assert car.loss(Dlpack(np.asfortranarray(P), old=old), Dlpack(C[::-1].copy()[::-1], old=old), [0, 2]).value == VALUE
    out = np.zeros_like(P)
    car.softmax(P, out=Dlpack(out, old=True))
    assert (out == car.softmax(P)).all()


@pytest.mark.parametrize("kind", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"])
def test_labels_of_any_integer_type(kind):
    assert car.loss(P, C, np.array([0, 2], kind)).value == VALUE


@pytest.mark.parametrize("kind, digits", [(np.float16, 11), (ml_dtypes.bfloat16, 8)])
def test_two_byte_types(kind, digits):
    p, c = P.astype(kind), C.astype(kind)
    r = car.loss(p, c, [0, 2], gradients=True, terms=True)
    exact = car.loss(p.astype(np.float64), c.astype(np.float64), [0, 2], gradients=True)
    assert r.grad_p.dtype == p.dtype and r.row_loss.dtype == np.float32
    assert abs(r.value - exact.value) <= 16 * 2.0**-24 * exact.value
    got = np.asarray(r.grad_p, np.float64)
    assert (np.abs(got - exact.grad_p) <= 1.01 * 2.0**-digits * np.abs(exact.grad_p) + 2.0**-20).all()
    assert car.softmax(p).dtype == p.dtype and car.log_sum_exp(p).dtype == np.float32


def test_no_copy_of_inputs_or_outputs():
    """The gradient may take the memory of a strided input: only so if the input itself was read."""
    wide = np.zeros((2, 6))
    wide[:, ::2] = P
    view = wide[:, ::2]
    wanted = car.loss(P, C, [0, 2], gradients=True).grad_p
    assert car.loss(view, C, [0, 2], grad_p=view).grad_p is view
    assert (wide[:, ::2] == wanted).all() and (wide[:, 1::2] == 0).all()


def test_memory_that_no_stride_fits_is_copied():
    record = np.zeros(2, dtype=[("byte", "i1"), ("label", "<i8")])
    record["label"] = [0, 2]
    assert car.loss(P, C, record["label"]).value == VALUE
    assert car.loss(P.astype(">f8"), C, [0, 2]).value == VALUE


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: car.loss(P, C[:1], [0, 2]), ValueError, "c has shape 1 x 3, expected 2 x 3"),
        (lambda: car.loss(P, C, [0, 3]), ValueError, "label in row 1 is 3"),
        (lambda: car.loss(P, C, [0]), ValueError, "labels has size 1, expected 2"),
        (lambda: car.loss(P, C, [0.5, 1.5]), TypeError, "labels has elements of float64, expected integers"),
        (lambda: car.loss(P, C, [True, False]), TypeError, "labels has elements of bool"),
        (lambda: car.loss(P, C.astype(np.float32), [0, 2]), TypeError, "c has elements of float32, expected float64, as p"),
        (lambda: car.loss(P.astype(int), C, [0, 2]), TypeError, "p has elements of int64"),
        (lambda: car.loss(P.astype(complex), C, [0, 2]), TypeError, "p has elements of another type"),
        (lambda: car.loss(P[None], C[None], [0, 2]), ValueError, "p has a shape of 3 dimensions"),
        (lambda: car.loss(None, C, [0, 2]), TypeError, "p is None"),
        (lambda: car.loss(P, None, [0, 2]), ValueError, "c has shape 0 x 0"),
        (lambda: car.loss(P, C, "ab"), TypeError, "labels"),
        (lambda: car.loss("ab", C, [0, 2]), TypeError, "p"),
        (lambda: car.loss([[1.0], [1.0, 2.0]], C, [0, 2]), TypeError, "p, a list, cannot be read as an array"),
        (lambda: car.loss(Dlpack(P, refuses=True), C, [0, 2]), TypeError, "p, a Dlpack, does not give its memory"),
        (lambda: car.loss(P, C, [0, 2], alhpa=1.0), TypeError, "there is no argument 'alhpa'"),
        (lambda: car.loss(P, C, [0, 2], alpha="much"), TypeError, "alpha is 'much', expected a number"),
        (lambda: car.loss(P, C, [0, 2], alpha=float("nan")), ValueError, "alpha is nan"),
        (lambda: car.loss(P, C, [0, 2], temperature=0), ValueError, "temperature is 0"),
        (lambda: car.loss(P, C, [0, 2], ignore_index=0.5), TypeError, "ignore_index is 0.5, expected an integer"),
        (lambda: car.loss(P, C, [0, 2], reduction="average"), ValueError, "reduction is 'average', expected 'none', 'sum' or 'mean'"),
        (lambda: car.loss(P, C, [0, 2], flow=1), TypeError, "flow is 1, expected a string"),
        (lambda: car.loss(P, C, [0, 2], gradients="add"), ValueError, "gradients is 'add'"),
        (lambda: car.loss(P, C, [0, 2], gradients="accumulate"), ValueError, "expected grad_p or grad_c to add to"),
        (lambda: car.loss(P, C, [0, 2], grad_p=[[0.0] * 3] * 2), TypeError, "grad_p is a list, expected an array that can be written"),
        (lambda: car.loss(P, C, [0, 2], grad_p=np.zeros((2, 3), np.float32)), TypeError, "grad_p has elements of float32"),
        (lambda: car.loss(P, C, [0, 2], grad_p=np.zeros((3, 2))), ValueError, "grad_p has shape 3 x 2"),
        (lambda: car.loss(P, C, [0, 2], grad_p=C), ValueError, "grad_p overlaps c"),
        (lambda: car.loss(P, C, [0, 2], weight=np.ones(3, np.float32)), TypeError, "weight has elements of float32"),
        (lambda: car.loss(P, C, [0, 2], row_mask=[0.5, 1.0]), TypeError, "row_mask has elements of float64"),
        (lambda: car.softmax(P, out=P.astype(">f8")), ValueError, "out cannot be written in place"),
        (lambda: car.effect(P, C, [0, 2], level=2.0), ValueError, "level is 2"),
        (lambda: car.EffectAccumulator(0), ValueError, "classes is less than 1"),
        (lambda: car.erase(P, C[:1]), ValueError, "masks has shape"),
        (lambda: car.erase(P, C, "median"), ValueError, "fill is 'median'"),
        (lambda: car.occlude(P, [[0, 0, 1]], P, P), ValueError, "boxes has another shape than N x 4"),
    ],
)
def test_errors_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_nothing_is_written_before_an_error():
    grad_p = np.full_like(P, 7.0)
    with pytest.raises(ValueError):
        car.loss(P, C, [0, 3], grad_p=grad_p)
    assert (grad_p == 7).all()


def test_read_only_memory_is_not_written():
    out = np.zeros_like(P)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="out cannot be written in place"):
        car.softmax(P, out=out)


def test_memory_of_a_device_is_refused():
    class Device:
        __cuda_array_interface__ = {"shape": (2, 3), "typestr": "<f8", "data": (0, False), "version": 3}

    with pytest.raises(TypeError, match="p is in the memory of a device"):
        car.loss(Device(), C, [0, 2])


def test_inputs_are_kept_alive_and_let_go():
    import sys

    p, c = P.copy(), C.copy()
    before = sys.getrefcount(p), sys.getrefcount(c)
    for _ in range(10):
        car.loss(p, c, [0, 2], gradients=True, terms=True)
        with pytest.raises(ValueError):
            car.loss(p, c, [0, 9])
        car.loss(Dlpack(p), Dlpack(c), [0, 2])
    assert (sys.getrefcount(p), sys.getrefcount(c)) == before
