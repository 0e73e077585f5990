# SPDX-License-Identifier: Apache-2.0
"""The loss for PyTorch: one call that autograd, torch.compile, vmap and autocast know.

In a training loop, three lines change:

    loss_of = car.torch.CARLoss(alpha=1.0)                  # was: torch.nn.CrossEntropyLoss()
    p, c = model(images), model(car.erase(images, masks))   # was: p = model(images)
    loss = loss_of(p, c, labels)                            # was: loss = loss_of(p, labels)

>>> p = torch.tensor([[2.0, -1.0, 0.5]], requires_grad=True)
>>> c = torch.tensor([[0.5, -0.25, 1.0]], requires_grad=True)
>>> car_loss(p, c, torch.tensor([0]), alpha=1.0).backward()
>>> p.grad.shape == c.grad.shape == (1, 3)
True
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

import torch
from torch.utils.dlpack import to_dlpack

from . import _car

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._car import LossOptions

__all__ = ["CARLoss", "car_loss"]

# Name, type and default of each option, from the table that the C++ options are bound with.
_OPTIONS = tuple(_car.loss_options())
_DEFAULTS = {name: default for name, _, default in _OPTIONS}
_INPUTS = ("weight", "sample_weight", "row_mask", "class_mask")
_TENSORS = 3 + len(_INPUTS)  # p, c, labels and these


class _Options:
    """The options of a call, and how it calls the kernel with them."""

    def __init__(self, given: dict[str, Any]) -> None:
        unknown = [name for name in given if name not in _DEFAULTS]
        if unknown:
            raise TypeError(f"car_loss: there is no argument {unknown[0]!r}")
        self.given = given
        self.by_row = given.get("reduction") == "none"

    def all(self) -> tuple[Any, ...]:
        return tuple(self.given.get(name, default) for name, default in _DEFAULTS.items())

    def arguments(self, inputs: tuple[Any, ...]) -> dict[str, Any]:
        tensors = {name: _memory(tensor) for name, tensor in zip(_INPUTS, inputs) if tensor is not None}
        return {**self.given, **tensors}


def _named(options: tuple[Any, ...]) -> _Options:
    return _Options(dict(zip(_DEFAULTS, options)))


def _term(p: torch.Tensor) -> torch.dtype:
    return torch.float64 if p.dtype == torch.float64 else torch.float32


def _memory(tensor: Optional[torch.Tensor]) -> Any:
    """A tensor's memory without a copy, and without asking whether it requires a gradient."""
    if tensor is None:
        return None
    return to_dlpack(tensor.view(torch.uint8) if tensor.dtype == torch.bool else tensor)


# What is computed. c and the inputs may be None; gradients that are not wanted have no element.


def _loss(p: Any, c: Any, labels: Any, inputs: tuple[Any, ...], gradients: bool, options: _Options) -> Any:
    value, grad_p, grad_c = _empty_loss(p, c, gradients, options)
    arguments = options.arguments(inputs)
    if options.by_row:
        arguments["row_loss"] = _memory(value)
    if gradients:
        arguments["grad_p"] = _memory(grad_p)
        if c is not None:
            arguments["grad_c"] = _memory(grad_c)
    result = _car.loss(_memory(p), _memory(c), _memory(labels), **arguments)
    if not options.by_row:
        value.fill_(result.value)
    return value, grad_p, grad_c


def _empty_loss(p: Any, c: Any, gradients: bool, options: _Options) -> Any:
    value = p.new_empty((p.shape[0],) if options.by_row else (), dtype=_term(p))
    grad_p = torch.empty_like(p) if gradients else p.new_empty((0,))
    return value, grad_p, torch.empty_like(c) if gradients and c is not None else p.new_empty((0,))


def _hvp(p: Any, c: Any, labels: Any, v_p: Any, v_c: Any, inputs: tuple[Any, ...], options: _Options) -> Any:
    grad_p, grad_c = _empty_hvp(p, c)
    arguments = options.arguments(inputs)
    if c is not None:
        arguments["grad_c"] = _memory(grad_c)
    _car.loss_hvp(_memory(p), _memory(c), _memory(labels), _memory(v_p), _memory(v_c), grad_p=_memory(grad_p), **arguments)
    return grad_p, grad_c


def _empty_hvp(p: Any, c: Any) -> Any:
    return torch.empty_like(p), torch.empty_like(c) if c is not None else p.new_empty((0,))


def _backward(ctx: Any, cotangents: Any, hvp: Any) -> list[Any]:
    """Of the value: its gradients, which the forward pass has left. Of these gradients, for the second order: the Hessian."""
    p, c, labels, *inputs, grad_p, grad_c = ctx.saved_tensors
    upstream, v_p, v_c = cotangents
    out: list[Any] = [None, None]
    wanted = [k for k in range(1 if c is None else 2) if ctx.needs_input_grad[k]]
    if upstream is not None:
        if not ctx.gradients:
            raise RuntimeError("car_loss: it was called without gradients and cannot be differentiated now")
        # Never of no dimension: that would be rounded to the type of the gradients.
        scale = upstream.unsqueeze(-1) if upstream.dim() else upstream.reshape(1, 1)
        for k in wanted:
            out[k] = ((grad_p, grad_c)[k] * scale).to(p.dtype)
    if v_p is not None or v_c is not None:
        second = hvp(p, c, labels, v_p, v_c, inputs, ctx.options)
        for k in wanted:
            out[k] = second[k] if out[k] is None else out[k] + second[k]
    return out


def _save(ctx: Any, tensors: tuple[Any, ...], output: Any, gradients: bool, options: _Options) -> None:
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*tensors, *output[1:])
    ctx.gradients = gradients
    ctx.options = options


def _map(op: Any, info: Any, in_dims: Any, arguments: Any) -> Any:
    """Over a batch of calls: one after the other, stacked."""
    results = []
    for k in range(info.batch_size):
        results.append(op(*(x if dim is None else x.select(dim, k) for x, dim in zip(arguments, in_dims))))
    return tuple(torch.stack(parts) for parts in zip(*results)), (0,) * len(results[0])


# For eager PyTorch: an autograd.Function costs a fraction of an operator's dispatch. torch.func wants another form of it, which
# PyTorch calls more slowly.


class _Loss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, p: Any, c: Any, labels: Any, *rest: Any) -> Any:
        output = _loss(p, c, labels, rest[:-2], rest[-2], rest[-1])
        _save(ctx, (p, c, labels, *rest[:-2]), output, rest[-2], rest[-1])
        return output

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        return (*_backward(ctx, upstream, _eager_hvp), *(None,) * _TENSORS)


class _Hvp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, p: Any, c: Any, labels: Any, v_p: Any, v_c: Any, *rest: Any) -> Any:
        return _hvp(p, c, labels, v_p, v_c, rest[:-1], rest[-1])

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        raise RuntimeError("car_loss: there is no third derivative")


class _TransformedLoss(torch.autograd.Function):
    backward = _Loss.backward

    @staticmethod
    def forward(p: Any, c: Any, labels: Any, *rest: Any) -> Any:
        return _loss(p, c, labels, rest[:-2], rest[-2], rest[-1])

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        _save(ctx, inputs[:_TENSORS], output, inputs[-2], inputs[-1])

    @staticmethod
    def vmap(info: Any, in_dims: Any, *arguments: Any) -> Any:
        return _map(_TransformedLoss.apply, info, in_dims, arguments)


class _TransformedHvp(torch.autograd.Function):
    backward = _Hvp.backward

    @staticmethod
    def forward(p: Any, c: Any, labels: Any, v_p: Any, v_c: Any, *rest: Any) -> Any:
        return _hvp(p, c, labels, v_p, v_c, rest[:-1], rest[-1])

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def vmap(info: Any, in_dims: Any, *arguments: Any) -> Any:
        return _map(_TransformedHvp.apply, info, in_dims, arguments)


# Where PyTorch does not say, every call is taken as one of torch.func, if there is torch.func.
_is_transformed: Any = getattr(torch._C, "_are_functorch_transforms_active", lambda: hasattr(torch, "func"))


def _eager_hvp(p: Any, c: Any, labels: Any, v_p: Any, v_c: Any, inputs: Any, options: _Options) -> Any:
    function: Any = _TransformedHvp if _is_transformed() else _Hvp
    return function.apply(p, c, labels, v_p, v_c, *inputs, options)


# For torch.compile, torch.export and tensor subclasses: an operator, whose schema has the options of the same table.
_HAS_OPERATOR = hasattr(torch.library, "custom_op")

if _HAS_OPERATOR:

    def _schema(first: str, last: str, results: int) -> str:
        kinds = {"float": "float", "float | None": "float?", "int": "int"}
        inputs = ", ".join(f"Tensor? {name}" for name in _INPUTS)
        options = ", ".join(f"{kinds.get(kind, 'str')} {name}" for name, kind, _ in _OPTIONS)
        return f"(Tensor p, Tensor? c, Tensor labels, {first}{inputs}, {last}{options}) -> ({', '.join(['Tensor'] * results)})"

    def _operator(name: str, call: Any, fake: Any, schema: str) -> Any:
        operator = torch.library.custom_op(f"car::{name}", call, mutates_args=(), device_types="cpu", schema=schema)
        operator.register_fake(fake)
        if hasattr(operator, "register_vmap"):
            operator.register_vmap(lambda info, dims, *arguments: _map(operator, info, dims, arguments))
        return operator

    _loss_operator = _operator(
        "loss",
        lambda p, c, labels, *rest: _loss(p, c, labels, rest[:4], rest[4], _named(rest[5:])),
        lambda p, c, labels, *rest: _empty_loss(p, c, rest[4], _named(rest[5:])),
        _schema("", "bool gradients, ", 3),
    )
    _hvp_operator = _operator(
        "loss_hvp",
        lambda p, c, labels, v_p, v_c, *rest: _hvp(p, c, labels, v_p, v_c, rest[:4], _named(rest[4:])),
        lambda p, c, *rest: _empty_hvp(p, c),
        _schema("Tensor? v_p, Tensor? v_c, ", "", 2),
    )

    def _operator_backward(ctx: Any, *upstream: Any) -> Any:
        compiled = lambda p, c, labels, v_p, v_c, inputs, options: _hvp_operator(p, c, labels, v_p, v_c, *inputs, *options.all())
        return (*_backward(ctx, upstream, compiled), *(None,) * (_TENSORS - 1 + len(_OPTIONS)))

    _loss_operator.register_autograd(
        _operator_backward,
        setup_context=lambda ctx, inputs, output: _save(
            ctx, inputs[:_TENSORS], output, inputs[_TENSORS], _named(inputs[_TENSORS + 1 :])
        ),
    )


def _is_plain(p: torch.Tensor) -> bool:
    if not _HAS_OPERATOR:
        return True
    return type(p) in (torch.Tensor, torch.nn.Parameter) and not torch.compiler.is_compiling()


def car_loss(
    p: torch.Tensor,
    c: Optional[torch.Tensor],
    labels: torch.Tensor,
    *,
    weight: Optional[torch.Tensor] = None,
    sample_weight: Optional[torch.Tensor] = None,
    row_mask: Optional[torch.Tensor] = None,
    class_mask: Optional[torch.Tensor] = None,
    **options: Unpack[LossOptions],
) -> torch.Tensor:
    """The loss of Causal Action Recognition, differentiable twice in p and c.

    Shapes
        p, c: N x C logits on the CPU; float32, float64, bfloat16 or float16, any strides, and where they differ the wider type of the
        two. labels: N integers, or N x C probabilities. weight, class_mask: C. sample_weight, row_mask: N.
    Units
        nats, as float64 for float64 logits, else float32. With reduction='none' N losses, else one.
    Errors
        TypeError or ValueError, naming the argument. RuntimeError for a third derivative.
    Source
        OccludeNet, Eq. 4. The options are those of `car.loss`.

    >>> p, c = torch.zeros(2, 3), torch.zeros(2, 3)
    >>> round(float(car_loss(p, c, torch.tensor([0, 2]), label_smoothing=0.1)), 6)
    1.098612
    """
    return _call(p, c, labels, (weight, sample_weight, row_mask, class_mask), _Options(dict(options)))


def _call(p: Any, c: Any, labels: Any, inputs: tuple[Any, ...], options: _Options) -> torch.Tensor:
    weights = zip(("weight", "sample_weight", "row_mask", "class_mask"), inputs)
    for name, tensor in (("p", p), ("c", c), ("labels", labels), *weights):
        if not isinstance(tensor, torch.Tensor) and not (tensor is None and name not in ("p", "labels")):
            raise TypeError(f"car_loss: {name} is a {type(tensor).__name__}, expected a tensor")
        if tensor is not None and tensor.device.type not in ("cpu", "meta"):
            raise TypeError(f"car_loss: {name} is on {tensor.device}, expected the CPU: this build has no backend for it")
    if p.dim() != 2:
        raise ValueError(f"car_loss: p has a shape of {p.dim()} dimensions, expected N x C")
    if c is not None and c.dtype != p.dtype:
        wider = torch.promote_types(p.dtype, c.dtype)
        p, c = p.to(wider), c.to(wider)
    term = _term(p)
    if labels.is_floating_point():
        labels = labels.to(term)
    inputs = tuple(x.to(term) if x is not None and x.is_floating_point() else x for x in inputs)
    gradients = torch.is_grad_enabled() and (p.requires_grad or (c is not None and c.requires_grad))
    value: torch.Tensor
    if not gradients and _is_plain(p) and not _is_transformed():
        value = _loss(p, c, labels, inputs, False, options)[0]
    elif _is_plain(p):
        function: Any = _TransformedLoss if _is_transformed() else _Loss
        value = function.apply(p, c, labels, *inputs, gradients, options)[0]
    else:
        value = _loss_operator(p, c, labels, *inputs, gradients, *options.all())[0]
    return value


class CARLoss(torch.nn.Module):
    """The loss as a module: `CARLoss(alpha=1.0)(p, c, labels)`. Takes the options of `car_loss`, and C weights or a mask of the classes.

    >>> CARLoss(alpha=0.5, flow="stop_target")
    CARLoss(alpha=0.5, flow='stop_target')
    """

    weight: Optional[torch.Tensor]
    class_mask: Optional[torch.Tensor]

    def __init__(
        self,
        *,
        weight: Optional[torch.Tensor] = None,
        class_mask: Optional[torch.Tensor] = None,
        **options: Unpack[LossOptions],
    ) -> None:
        super().__init__()
        self.options = _Options(dict(options))
        self.register_buffer("weight", weight)
        self.register_buffer("class_mask", class_mask)

    def forward(
        self,
        p: torch.Tensor,
        c: Optional[torch.Tensor],
        labels: torch.Tensor,
        *,
        sample_weight: Optional[torch.Tensor] = None,
        row_mask: Optional[torch.Tensor] = None,
    ) -> torch.Tensor:
        return _call(p, c, labels, (self.weight, sample_weight, row_mask, self.class_mask), self.options)

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self.options.given.items())
