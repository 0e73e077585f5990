# SPDX-License-Identifier: Apache-2.0
"""Does this build compute what it should, here? `python -m car.selftest` checks gradients, backends and array libraries, and exits 0."""
from __future__ import annotations

import sys
from typing import Any, Callable

import numpy as np

import car

CHECKS: "list[Callable[[], str]]" = []


def check(one: Callable[[], str]) -> Callable[[], str]:
    CHECKS.append(one)
    return one


def batch() -> "tuple[Any, Any, Any]":
    random = np.random.default_rng(0)
    return random.normal(size=(8, 12)), random.normal(size=(8, 12)), random.integers(0, 12, 8)


@check
def formula() -> str:
    p, c, labels = batch()
    log_p, log_y = (x - np.log(np.exp(x).sum(1, keepdims=True)) for x in (p, p - c))
    wanted = (np.exp(log_p) * (log_p - log_y)).sum(1).mean() - log_p[np.arange(8), labels].mean()
    error = abs(car.loss(p, c, labels).value - wanted)
    assert error <= 2.0**-53 * 12 * 16, error
    return f"loss against the printed formula: {error:.0e}"


@check
def gradients() -> str:
    p, c, labels = batch()
    worst, step = 0.0, 2.0**-17  # of central differences: truncation and rounding are below 2^-30 each
    r = car.loss(p, c, labels, gradients=True)
    for name, which, gradient in (("p", p, r.grad_p), ("c", c, r.grad_c)):
        direction = np.random.default_rng(1).normal(size=which.shape)
        ahead, behind = (
            car.loss(which + h * direction if name == "p" else p, which + h * direction if name == "c" else c, labels).value
            for h in (step, -step)
        )
        worst = max(worst, abs((ahead - behind) / (2 * step) - (gradient * direction).sum()))
    assert worst <= 2.0**-30, worst
    return f"gradients against differences: {worst:.0e}"


@check
def backends() -> str:
    p, c, labels = batch()
    names = car.config()["backends"]
    wanted, worst = car.loss(p, c, labels, gradients=True, backend="scalar"), 0.0
    for name in names:
        got = car.loss(p, c, labels, gradients=True, backend=name)
        worst = max(worst, abs(got.value - wanted.value), abs(got.grad_p - wanted.grad_p).max(), abs(got.grad_c - wanted.grad_c).max())
    assert worst <= 2.0**-53 * 64, worst
    return f"backends {', '.join(names)} agree: {worst:.0e}"


@check
def threads() -> str:
    random, before = np.random.default_rng(0), car.get_num_threads()
    p, c = random.normal(size=(2, 256, 400)).astype(np.float32)
    labels = random.integers(0, 400, 256)
    results = []
    try:
        for number in (1, 2):
            car.set_num_threads(number)
            results.append(car.loss(p, c, labels, gradients=True))
    finally:
        car.set_num_threads(before)
    one, two = results
    assert one.value == two.value and (one.grad_p == two.grad_p).all() and (one.grad_c == two.grad_c).all()
    return "one thread and two: the same bits"


@check
def torch() -> str:
    try:
        import torch
    except ImportError:
        return "PyTorch is not installed: skipped"
    from car.torch import car_loss

    p, c = (torch.tensor(x[:3, :4], requires_grad=True) for x in batch()[:2])
    call = lambda p, c: car_loss(p, c, torch.tensor([0, 3, 1]))
    assert torch.autograd.gradcheck(call, (p, c)) and torch.autograd.gradgradcheck(call, (p, c))
    return f"PyTorch {torch.__version__}: gradcheck and gradgradcheck"


@check
def jax() -> str:
    try:
        import jax
    except ImportError:
        return "JAX is not installed: skipped"
    from jax.test_util import check_grads

    from car.jax import HAS_FFI, car_loss

    jax.config.update("jax_enable_x64", True)
    p, c = (jax.numpy.array(x[:3, :4]) for x in batch()[:2])
    check_grads(lambda p, c: car_loss(p, c, jax.numpy.array([0, 3, 1])), (p, c), order=2, modes=["rev"])
    return f"JAX {jax.__version__}, through {'XLA' if HAS_FFI else 'callbacks'}: check_grads of order 2"


def main() -> None:
    config = car.config()
    print(f"car {config['version']}, {config['instruction_set']}, backends {', '.join(config['backends'])}")
    failed = 0
    for one in CHECKS:
        try:
            print(f"ok      {one()}")
        except Exception as error:  # a check that cannot run has failed as well
            print(f"FAILED  {one.__name__}: {error}")
            failed += 1
    sys.exit(failed != 0)


if __name__ == "__main__":
    main()
