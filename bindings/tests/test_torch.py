# SPDX-License-Identifier: Apache-2.0
"""The loss in PyTorch: against the formula written in PyTorch, and PyTorch's own checks of operators."""
import pathlib
import subprocess
import sys

import car
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: car.torch is not tested")

from car.torch import CARLoss, car_loss  # noqa: E402

HAS_OPERATOR = hasattr(torch.library, "custom_op")
FLOWS = ["full", "stop_target", "stop_counterfactual", "stop_factual"]
operator = pytest.mark.skipif(not HAS_OPERATOR, reason="this PyTorch has no torch.library.custom_op")


def formula(p, c, labels, alpha=1.0, flow="full"):
    """As one writes it by hand, with detach where the flow stops."""
    stopped_c = c.detach() if flow == "stop_counterfactual" else c
    log_p, log_y = p.log_softmax(1), (p - stopped_c).log_softmax(1)
    log_y = log_y.detach() if flow == "stop_target" else log_y
    fixed = log_p.detach() if flow == "stop_factual" else log_p
    return torch.nn.functional.cross_entropy(p, labels) + alpha * (fixed.exp() * (fixed - log_y)).sum(1).mean()


@pytest.fixture
def batch():
    torch.manual_seed(0)
    p, c = (torch.randn(4, 5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    return p, c, torch.tensor([0, 1, 4, 2])


# Sums of a few terms of size 1, in float64, with room for the formula's own cancellation.
CLOSE = 64 * 2.0**-53


def product(loss, p, c, v):
    """The Hessian's product with v, by double backward; 0 where nothing flows."""
    first = torch.autograd.grad(loss(p, c), (p, c), create_graph=True, allow_unused=True)
    total = sum((g * x).sum() for g, x in zip(first, v) if g is not None)
    second = torch.autograd.grad(total, (p, c), allow_unused=True)
    return [torch.zeros_like(p) if h is None else h for h in second]


@pytest.mark.parametrize("flow", FLOWS)
def test_first_and_second_order(batch, flow):
    p, c, labels = batch
    mine, theirs = (lambda p, c: car_loss(p, c, labels, alpha=0.7, flow=flow)), (lambda p, c: formula(p, c, labels, 0.7, flow))
    assert abs(mine(p, c) - theirs(p, c)).item() <= CLOSE
    for a, b in zip(
        torch.autograd.grad(mine(p, c), (p, c)), torch.autograd.grad(theirs(p, c), (p, c), allow_unused=True)
    ):
        assert (a - (0 if b is None else b)).abs().max().item() <= CLOSE
    v = torch.randn(2, 4, 5, dtype=torch.float64)
    for a, b in zip(product(mine, p, c, v), product(theirs, p, c, v)):
        assert (a - b).abs().max().item() <= CLOSE


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_gradcheck(batch, reduction):
    p, c, labels = batch
    weight = torch.tensor([1.0, 2.0, 0.5, 1.0, 3.0], dtype=torch.float64)
    loss = lambda p, c: car_loss(p, c, labels, reduction=reduction, weight=weight, label_smoothing=0.1, softcap=5.0, z_weight=0.01)
    assert torch.autograd.gradcheck(loss, (p, c)) and torch.autograd.gradgradcheck(loss, (p, c))


def test_there_is_no_third_derivative(batch):
    p, c, labels = batch
    first = torch.autograd.grad(car_loss(p, c, labels), p, create_graph=True)[0]
    second = torch.autograd.grad(first.pow(2).sum(), p, create_graph=True)[0]
    with pytest.raises(RuntimeError, match="no third derivative"):
        torch.autograd.grad(second.sum(), c)


@operator
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_opcheck(batch, reduction):
    p, c, labels = batch
    options = [reduction if name == "reduction" else default for name, _, default in car._car.loss_options()]
    no_inputs = [None] * 4
    torch.library.opcheck(torch.ops.car.loss.default, (p, c, labels, *no_inputs, True, *options))
    # The operator's own second order, with an option that is not the default.
    options[0] = 0.3
    call = lambda p, c: torch.ops.car.loss.default(p, c, labels, *no_inputs, True, *options)[0]
    assert torch.autograd.gradgradcheck(call, (p, c))
    fixed = p.detach(), c.detach(), labels, torch.ones_like(p).detach(), None
    torch.library.opcheck(torch.ops.car.loss_hvp.default, (*fixed, *no_inputs, *options))


@operator
@pytest.mark.parametrize("flow", FLOWS)
def test_compile(batch, flow):
    p, c, labels = batch
    loss = CARLoss(alpha=0.5, flow=flow)
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    for a, b in zip(torch.autograd.grad(compiled(p, c, labels), (p, c)), torch.autograd.grad(loss(p, c, labels), (p, c))):
        assert (a == b).all()
    with torch.no_grad():
        assert compiled(p, c, labels) == loss(p, c, labels)


@pytest.mark.skipif(not hasattr(torch, "func"), reason="this PyTorch has no torch.func")
def test_vmap_and_func(batch):
    p, c, labels = torch.randn(3, 4, 5, dtype=torch.float64), torch.randn(3, 4, 5, dtype=torch.float64), torch.randint(0, 5, (3, 4))
    values = torch.vmap(car_loss)(p, c, labels)
    slopes = torch.vmap(torch.func.grad(car_loss))(p, c, labels)
    for k in range(3):
        assert values[k] == car_loss(p[k], c[k], labels[k])
        assert (slopes[k] - torch.func.grad(formula)(p[k], c[k], labels[k])).abs().max().item() <= CLOSE
    curvature = torch.func.jacrev(torch.func.grad(car_loss))(p[0], c[0], labels[0])
    assert (curvature - torch.func.hessian(formula)(p[0], c[0], labels[0])).abs().max().item() <= CLOSE
    # Beside a dimension that is not mapped.
    assert torch.vmap(car_loss, (0, None, None))(p, c[0], labels[0]).shape == (3,)


def test_autocast_and_narrow_types(batch):
    p, c, labels = batch
    layer = torch.nn.Linear(5, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = car_loss(layer(p.detach().float()), layer(c.detach().float()), labels)
    loss.backward()
    assert loss.dtype == torch.float32 and layer.weight.grad.abs().sum() > 0
    for kind, digits in ((torch.bfloat16, 8), (torch.float16, 11), (torch.float32, 24)):
        narrow = p.detach().to(kind).requires_grad_(), c.detach().to(kind).requires_grad_()
        exact = [x.detach().double().requires_grad_() for x in narrow]
        got = torch.autograd.grad(car_loss(*narrow, labels), narrow)
        for a, b in zip(got, torch.autograd.grad(formula(*exact, labels), exact)):
            # one rounding of the gradient, one of it times the upstream gradient, which is 1
            assert a.dtype == kind and ((a.double() - b).abs() <= 16 * 2.0**-24 + 2.0**-digits * b.abs()).all()
    mixed = car_loss(p.detach().bfloat16(), c.detach().float(), labels)
    assert mixed.dtype == torch.float32


def test_a_large_upstream_gradient_of_narrow_types(batch):
    """65536, as a scaler of gradients begins with, is beyond the numbers of float16."""
    p, c, labels = batch[0].detach().half().requires_grad_(), batch[1].detach().half(), batch[2]
    (car_loss(p, c, labels) * 65536).backward()
    wide = p.detach().float().requires_grad_()
    (car_loss(wide, c.float(), labels) * 65536).backward()
    assert torch.allclose(p.grad.float(), wide.grad, rtol=2e-3, atol=65536 * 2**-24)


def test_weights_that_are_no_tensors(batch):
    with pytest.raises(TypeError, match="car_loss: weight is a list, expected a tensor"):
        car_loss(batch[0], batch[1], batch[2], weight=[1.0] * batch[0].shape[1])


def test_tensors_go_through_car_itself(batch):
    p, c, labels = (x.detach() for x in batch)
    r = car.loss(p, c, labels, gradients=True, terms=True)
    assert isinstance(r.grad_p, torch.Tensor) and r.grad_p.dtype == torch.float64 and isinstance(r.row_loss, torch.Tensor)
    assert r.value == car.loss(p.numpy(), c.numpy(), labels.numpy()).value
    narrow = car.softmax(p.bfloat16())
    assert narrow.dtype == torch.bfloat16 and car.log_sum_exp(p.bfloat16()).dtype == torch.float32
    out = torch.zeros(5, 4, dtype=torch.float64).T
    assert car.softmax(p, out=out) is out and (out == car.softmax(p)).all()
    with pytest.raises(TypeError, match="p, a Tensor, does not give its memory"):
        car.loss(batch[0], c, labels)


def test_inputs(batch):
    p, c, labels = batch
    soft = torch.nn.functional.one_hot(labels, 5).float()
    assert abs(car_loss(p, c, soft) - car_loss(p, c, labels)).item() <= CLOSE
    mask = torch.tensor([True, False, True, True])
    assert abs(car_loss(p, c, labels, row_mask=mask) - car_loss(p[mask], c[mask], labels[mask])).item() <= CLOSE
    assert car_loss(p, None, labels, alpha=0.0).requires_grad
    transposed = p.detach().T.contiguous().T.requires_grad_()
    assert car_loss(transposed, c, labels) == car_loss(p, c, labels)
    module = CARLoss(weight=torch.ones(5), alpha=0.5)
    assert "weight" in module.state_dict() and "alpha=0.5" in repr(module)
    assert abs(module(p, c, labels) - car_loss(p, c, labels, alpha=0.5)).item() <= CLOSE


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda p, c, y: car_loss(p, c, y, alhpa=1.0), TypeError, "no argument 'alhpa'"),
        (lambda p, c, y: CARLoss(alhpa=1.0), TypeError, "no argument 'alhpa'"),
        (lambda p, c, y: car_loss(p, c, y, reduction="average"), ValueError, "reduction is 'average'"),
        (lambda p, c, y: car_loss(p, c[:2], y), ValueError, "c has shape 2 x 5"),
        (lambda p, c, y: car_loss(p, c, y + 3), ValueError, "label in row 2 is 7"),
        (lambda p, c, y: car_loss(p[0], c[0], y), ValueError, "p has a shape of 1 dimensions"),
        (lambda p, c, y: car_loss(p, np.zeros((4, 5)), y), TypeError, "c is a ndarray"),
        (lambda p, c, y: car_loss(p, c, [0, 1, 2, 3]), TypeError, "labels is a list"),
    ],
)
def test_errors(batch, call, error, message):
    with pytest.raises(error, match=message):
        call(*batch)


def test_example():
    program = pathlib.Path(__file__).resolve().parents[2] / "examples/python/training.py"
    run = subprocess.run([sys.executable, program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    losses = [float(line.split()[3]) for line in run.stdout.splitlines()]
    assert losses[-1] < losses[0]
