# SPDX-License-Identifier: Apache-2.0
"""The loss in JAX: through XLA's foreign functions where the module has them, and through callbacks."""
import car
import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="JAX is not installed: car.jax is not tested")
jax.config.update("jax_enable_x64", True)

import car.jax as door  # noqa: E402
import jax.numpy as jnp  # noqa: E402
from car.jax import car_loss  # noqa: E402
from jax.test_util import check_grads  # noqa: E402

CLOSE = 64 * 2.0**-53  # sums of a few terms of size 1
LABELS = jnp.array([0, 1, 4, 2])


@pytest.fixture(params=["ffi", "callback"], autouse=True)
def way(request, monkeypatch):
    if request.param == "ffi" and not door.HAS_FFI:
        pytest.skip("the module was built without the headers of XLA's interface")
    monkeypatch.setattr(door, "HAS_FFI", request.param == "ffi")
    jax.clear_caches()


@pytest.fixture
def batch():
    random = np.random.default_rng(0)
    return jnp.array(random.normal(size=(4, 5))), jnp.array(random.normal(size=(4, 5)))


def formula(p, c, labels, alpha=1.0):
    log_p, log_y = jax.nn.log_softmax(p), jax.nn.log_softmax(p - c)
    return -log_p[jnp.arange(len(labels)), labels].mean() + alpha * (jnp.exp(log_p) * (log_p - log_y)).sum(1).mean()


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_check_grads(batch, reduction):
    check_grads(lambda p, c: car_loss(p, c, LABELS, reduction=reduction, softcap=5.0), batch, order=2, modes=["rev"])


def test_against_the_formula(batch):
    assert abs(car_loss(*batch, LABELS) - formula(*batch, LABELS)) <= CLOSE
    for a, b in zip(jax.jit(jax.grad(car_loss, (0, 1)))(*batch, LABELS), jax.grad(formula, (0, 1))(*batch, LABELS)):
        assert abs(a - b).max() <= CLOSE
    curvature = [jax.jit(jax.jacrev(jax.jacrev(loss)))(*batch, LABELS) for loss in (car_loss, formula)]
    assert abs(curvature[0] - curvature[1]).max() <= CLOSE


def test_vmap(batch):
    p, c = (jnp.stack([x, 2 * x, x + 1]) for x in batch)
    values, slopes = jax.vmap(car_loss, (0, 0, None))(p, c, LABELS), jax.jit(jax.vmap(jax.grad(car_loss), (0, 0, None)))(p, c, LABELS)
    for k in range(3):
        assert abs(values[k] - formula(p[k], c[k], LABELS)) <= CLOSE
        assert abs(slopes[k] - jax.grad(formula)(p[k], c[k], LABELS)).max() <= CLOSE


def test_options_and_inputs(batch):
    p, c = batch
    options = {"alpha": 0.5, "flow": "stop_target", "softcap": 3.0, "ignore_index": 2, "temperature": 2.0}
    arrays = {"weight": np.arange(5.0) + 1, "row_mask": np.array([True, True, False, True]), "class_mask": np.array([1, 1, 1, 1, 1], bool)}
    wanted = car.loss(np.asarray(p), np.asarray(c), np.asarray(LABELS), gradients=True, **options, **arrays)
    value, slope = jax.value_and_grad(lambda p: car_loss(p, c, LABELS, **options, **arrays))(p)
    assert value == wanted.value and (np.asarray(slope) == wanted.grad_p).all()
    soft = jax.nn.one_hot(LABELS, 5)
    assert abs(car_loss(p, c, soft) - car_loss(p, c, LABELS)) <= CLOSE
    assert abs(car_loss(p, None, LABELS, alpha=0.0) - formula(p, c, LABELS, 0.0)) <= CLOSE


@pytest.mark.parametrize("kind", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_narrow_types(batch, kind):
    p, c = (x.astype(kind) for x in batch)
    value, slope = jax.jit(jax.value_and_grad(car_loss))(p, c, LABELS)
    assert slope.dtype == kind and abs(value - formula(p.astype(float), c.astype(float), LABELS)) <= 64 * 2.0**-24


def test_arrays_go_through_car_itself(batch):
    p, c = batch
    r = car.loss(p, c, LABELS, gradients=True)
    assert isinstance(r.grad_p, jax.Array) and r.value == car.loss(np.asarray(p), np.asarray(c), np.asarray(LABELS)).value
    with pytest.raises(ValueError, match="out cannot be written in place"):
        car.softmax(p, out=jnp.zeros_like(p))


def test_errors(batch):
    p, c = batch
    for call, error, message in (
        (lambda: car_loss(p, c, LABELS, alhpa=1.0), TypeError, "no argument 'alhpa'"),
        (lambda: jax.jit(lambda: car_loss(p, c, LABELS, reduction="average"))(), ValueError, "reduction is 'average'"),
        (lambda: car_loss(p, c[:2], LABELS), ValueError, "p and c have shapes"),
        (lambda: car_loss(p, c, LABELS[:2]), ValueError, "labels has shape"),
        (lambda: car_loss(p, c.astype(jnp.float32), LABELS), TypeError, "c has elements of float32"),
        (lambda: car_loss(p, c, LABELS, weight=jnp.ones(4)), ValueError, "weight has shape"),
        (lambda: jax.block_until_ready(car_loss(p, c, LABELS + 3)), Exception, "label in row 2 is 7"),
    ):
        with pytest.raises(error, match=message):
            call()
