# SPDX-License-Identifier: Apache-2.0
"""The loss for JAX, under jit, grad and vmap: through XLA's foreign function interface, or a callback where the build had no headers of it.

>>> p, c = jnp.array([[2.0, -1.0, 0.5]]), jnp.array([[0.5, -0.25, 1.0]])
>>> value, (grad_p, grad_c) = jax.jit(jax.value_and_grad(car_loss, argnums=(0, 1)))(p, c, jnp.array([0]))
>>> round(float(value), 4), grad_p.shape
(0.274, (1, 3))
"""
from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Optional

import jax
import jax.numpy as jnp
import numpy as np

from . import _car

_ffi: Any
try:
    from . import _ffi
except ImportError:
    _ffi = None

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._car import LossOptions

__all__ = ["HAS_FFI", "car_loss"]

_KINDS = {name: kind for name, kind, _ in _car.loss_options()}

#: Whether calls go through XLA's foreign function interface; else they call back into Python.
HAS_FFI: bool = _ffi is not None and hasattr(jax, "ffi")

if HAS_FFI:
    for _name in ("loss", "loss_hvp"):
        jax.ffi.register_ffi_target(f"car_{_name}", getattr(_ffi, _name), platform="cpu")


def _attribute(name: str, value: Any) -> Any:
    kind = _KINDS[name]
    return np.float64(value) if kind.startswith("float") else np.int64(value) if kind == "int" else str(value)


def _call(name: str, options: Any, arguments: tuple[Any, ...], shapes: tuple[Any, ...]) -> Any:
    """One of the two ops. An argument that is None travels as an array without elements, and an output without elements is not made."""
    if HAS_FFI:
        attributes = {key: _attribute(key, value) for key, value in options if value is not None}
        full = [_absent(k, arguments) if x is None else x for k, x in enumerate(arguments)]
        return jax.ffi.ffi_call(f"car_{name}", shapes, vmap_method="sequential")(*full, **attributes)
    call = functools.partial(_loss_on_host if name == "loss" else _hvp_on_host, dict(options), shapes)
    return jax.pure_callback(call, shapes, *arguments, vmap_method="sequential")


def _absent(k: int, arguments: tuple[Any, ...]) -> Any:
    p, inputs = arguments[0], len(arguments) - 4
    return jnp.zeros((0, 0), p.dtype) if k < inputs else jnp.zeros((0,), _term(p) if k < inputs + 2 else bool)


def _inputs(arguments: tuple[Any, ...]) -> dict[str, Any]:
    names = ("weight", "sample_weight", "row_mask", "class_mask")
    return {name: np.asarray(x) for name, x in zip(names, arguments) if x is not None}


def _loss_on_host(options: dict[str, Any], shapes: Any, p: Any, c: Any, labels: Any, *inputs: Any) -> Any:
    value, grad_p, grad_c = (np.zeros(shape.shape, shape.dtype) for shape in shapes)
    p, c, labels = np.asarray(p), None if c is None else np.asarray(c), np.asarray(labels)
    arrays = _inputs(inputs)
    if value.ndim:
        arrays["row_loss"] = value
    if grad_p.size:
        arrays["grad_p"] = grad_p
    if grad_c.size:
        arrays["grad_c"] = grad_c
    result = _car.loss(p, c, labels, **options, **arrays)
    return value if value.ndim else value.dtype.type(result.value), grad_p, grad_c


def _hvp_on_host(options: dict[str, Any], shapes: Any, p: Any, c: Any, labels: Any, v_p: Any, v_c: Any, *inputs: Any) -> Any:
    grad_p, grad_c = (np.zeros(shape.shape, shape.dtype) for shape in shapes)
    arrays = _inputs(inputs)
    if c is not None:
        c, v_c, arrays["grad_c"] = np.asarray(c), np.asarray(v_c), grad_c
    _car.loss_hvp(np.asarray(p), c, np.asarray(labels), np.asarray(v_p), v_c, grad_p=grad_p, **options, **arrays)
    return grad_p, grad_c


def _term(p: Any) -> Any:
    return jnp.float64 if p.dtype == jnp.float64 else jnp.float32


def _run(options: Any, p: Any, c: Any, labels: Any, inputs: Any, gradients: bool) -> Any:
    by_row = dict(options).get("reduction") == "none"
    grad = p.shape if gradients else (0, 0)
    shapes = (
        jax.ShapeDtypeStruct((p.shape[0],) if by_row else (), _term(p)),
        jax.ShapeDtypeStruct(grad, p.dtype),
        jax.ShapeDtypeStruct((0, 0) if c is None else grad, p.dtype),
    )
    return _call("loss", options, (p, c, labels, *inputs), shapes)


def _scaled(gradient: Any, upstream: Any, like: Any) -> Any:
    if like is None:
        return None
    return ((upstream[:, None] if upstream.ndim else upstream) * gradient).astype(like.dtype)


# Value and gradients, differentiable in turn: the Hessian-vector product is what reaches p and c through the gradients.


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _with_gradients(options: Any, p: Any, c: Any, labels: Any, inputs: Any) -> Any:
    return _run(options, p, c, labels, inputs, True)


def _with_gradients_forward(options: Any, p: Any, c: Any, labels: Any, inputs: Any) -> Any:
    out = _with_gradients(options, p, c, labels, inputs)
    return out, (p, c, labels, inputs, out[1], out[2])


def _with_gradients_backward(options: Any, saved: Any, cotangents: Any) -> Any:
    p, c, labels, inputs, grad_p, grad_c = saved
    upstream, v_p, v_c = cotangents
    shapes = (
        jax.ShapeDtypeStruct(p.shape, p.dtype),
        jax.ShapeDtypeStruct((0, 0) if c is None else c.shape, p.dtype),
    )
    along = (v_p, None if c is None else v_c)
    second_p, second_c = _call("loss_hvp", options, (p, c, labels, *along, *inputs), shapes)
    to_p = _scaled(grad_p, upstream, p) + second_p
    to_c = None if c is None else _scaled(grad_c, upstream, c) + second_c
    return to_p, to_c, None, None


_with_gradients.defvjp(_with_gradients_forward, _with_gradients_backward)


# The value. Its first derivative costs no product: the gradients are there.


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _value(options: Any, p: Any, c: Any, labels: Any, inputs: Any) -> Any:
    return _run(options, p, c, labels, inputs, False)[0]


def _value_forward(options: Any, p: Any, c: Any, labels: Any, inputs: Any) -> Any:
    value, grad_p, grad_c = _with_gradients(options, p, c, labels, inputs)
    return value, (p, c, grad_p, grad_c)


def _value_backward(options: Any, saved: Any, upstream: Any) -> Any:
    p, c, grad_p, grad_c = saved
    return _scaled(grad_p, upstream, p), _scaled(grad_c, upstream, c), None, None


_value.defvjp(_value_forward, _value_backward)


def car_loss(
    p: Any,
    c: Optional[Any],
    labels: Any,
    *,
    weight: Optional[Any] = None,
    sample_weight: Optional[Any] = None,
    row_mask: Optional[Any] = None,
    class_mask: Optional[Any] = None,
    **options: Unpack[LossOptions],
) -> Any:
    """The loss of Causal Action Recognition, differentiable twice in p and c by reverse mode.

    Shapes
        p, c: N x C logits of one type; float32, float64, bfloat16 or float16. labels: N integers, or N x C probabilities. weight,
        class_mask: C. sample_weight, row_mask: N.
    Units
        nats, as float64 for float64 logits, else float32. With reduction='none' N losses, else one.
    Errors
        TypeError or ValueError for shapes, types and options, while tracing. A label out of range is seen when the call runs: JAX's
        runtime error then carries the message.
    Source
        OccludeNet, Eq. 4. The options are those of `car.loss`, and are static.

    >>> round(float(car_loss(jnp.zeros((2, 3)), jnp.zeros((2, 3)), jnp.array([0, 2]))), 6)
    1.098612
    """
    for name in options:
        if name not in _KINDS:
            raise TypeError(f"car_loss: there is no argument {name!r}")
    p, labels = jnp.asarray(p), jnp.asarray(labels)
    c = None if c is None else jnp.asarray(c)
    if p.ndim != 2 or (c is not None and c.shape != p.shape):
        raise ValueError(f"car_loss: p and c have shapes {p.shape} and {None if c is None else c.shape}, expected N x C of both")
    if c is not None and c.dtype != p.dtype:
        raise TypeError(f"car_loss: c has elements of {c.dtype}, expected {p.dtype}, as p")
    if jnp.issubdtype(labels.dtype, jnp.floating):
        labels = labels.astype(_term(p))
        expected: tuple[int, ...] = p.shape
    elif jnp.issubdtype(labels.dtype, jnp.integer):
        expected = p.shape[:1]
    else:
        raise TypeError(f"car_loss: labels has elements of {labels.dtype}, expected integers or probabilities")
    if labels.shape != expected:
        raise ValueError(f"car_loss: labels has shape {labels.shape}, expected {expected}")
    inputs = []
    for name, value, size in (
        ("weight", weight, p.shape[1]),
        ("sample_weight", sample_weight, p.shape[0]),
        ("row_mask", row_mask, p.shape[0]),
        ("class_mask", class_mask, p.shape[1]),
    ):
        value = None if value is None else jnp.asarray(value, dtype=_term(p) if name.endswith("weight") else bool)
        if value is not None and value.shape != (size,):
            raise ValueError(f"car_loss: {name} has shape {value.shape}, expected {(size,)}")
        inputs.append(value)
    # The kernel's own checks of the options, and of the type of p, on a row of no meaning.
    probe = np.zeros((1, p.shape[1]), p.dtype)
    checked: dict[str, Any] = {**options, "ignore_index": 0, "empty": "zero"}
    _car.loss(probe, None if c is None else probe, np.zeros(1, np.int64), **checked)
    return _value(tuple(sorted(options.items())), p, c, labels, tuple(inputs))
