# SPDX-License-Identifier: Apache-2.0
"""The same training, from the same weights and batches, in C++, NumPy, PyTorch and JAX: one curve."""
import pathlib
import shutil
import subprocess

import car
import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
STEPS, ROWS, INPUTS, HIDDEN, CLASSES, RATE = 200, 16, 12, 10, 5, 0.5
AGREE = 1e-9  # what is promised; the curves differ by the order of sums alone


@pytest.fixture(scope="module")
def problem():
    random = np.random.default_rng(0)
    centres = random.normal(size=(CLASSES, INPUTS))
    labels = random.integers(0, CLASSES, (STEPS, ROWS))
    images = centres[labels] + random.normal(size=(STEPS, ROWS, INPUTS))
    erased = images * (np.arange(INPUTS) < INPUTS // 2)
    weights = random.normal(size=(INPUTS, HIDDEN)) / 4, random.normal(size=(HIDDEN, CLASSES)) / 4
    return weights, images, erased, labels


@pytest.fixture(scope="module")
def curve(problem):
    """NumPy's."""
    (into, out), images, erased, labels = problem
    into, out, losses = into.copy(), out.copy(), []
    for x, e, y in zip(images, erased, labels):
        hidden = np.tanh(x @ into), np.tanh(e @ into)
        r = car.loss(hidden[0] @ out, hidden[1] @ out, y, alpha=1.0, gradients=True)
        losses.append(r.value)
        step_in, step_out = np.zeros_like(into), np.zeros_like(out)
        for image, active, slope in zip((x, e), hidden, (r.grad_p, r.grad_c)):
            step_in += image.T @ ((slope @ out.T) * (1 - active**2))
            step_out += active.T @ slope
        into -= RATE * step_in
        out -= RATE * step_out
    assert losses[-1] < 0.5 * losses[0]
    return np.array(losses)


def test_cpp(problem, curve, tmp_path):
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("there is no g++ to compile the C++ half with")
    weights, images, erased, labels = problem
    parts = [np.array([STEPS, ROWS, INPUTS, HIDDEN, CLASSES, RATE]), *weights]
    for batch in zip(images, erased, labels.astype(float)):
        parts += batch
    np.concatenate([part.ravel() for part in parts]).tofile(tmp_path / "problem")
    source = ROOT / "bindings/tests/training.cpp"
    subprocess.run([compiler, "-std=c++20", "-O1", "-I", ROOT / "include", source, "-o", tmp_path / "training"], check=True)
    lines = subprocess.run([tmp_path / "training", tmp_path / "problem"], check=True, capture_output=True, text=True).stdout.split()
    worst = np.abs(np.array(lines, float) - curve).max()
    print(f"C++ and NumPy: {worst:.1e}")
    assert worst <= AGREE


def test_torch(problem, curve):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: its curve is not compared")
    from car.torch import CARLoss

    weights, images, erased, labels = problem
    into, out = (torch.tensor(w, requires_grad=True) for w in weights)
    descent, loss_of, losses = torch.optim.SGD([into, out], lr=RATE), CARLoss(alpha=1.0), []
    for x, e, y in zip(torch.tensor(images), torch.tensor(erased), torch.tensor(labels)):
        loss = loss_of(torch.tanh(x @ into) @ out, torch.tanh(e @ into) @ out, y)
        losses.append(loss.item())
        descent.zero_grad()
        loss.backward()
        descent.step()
    worst = np.abs(np.array(losses) - curve).max()
    print(f"PyTorch and NumPy: {worst:.1e}")
    assert worst <= AGREE


def test_jax(problem, curve):
    jax = pytest.importorskip("jax", reason="JAX is not installed: its curve is not compared")
    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp
    from car.jax import car_loss

    @jax.jit
    def step(weights, x, e, y):
        def loss(weights):
            into, out = weights
            return car_loss(jnp.tanh(x @ into) @ out, jnp.tanh(e @ into) @ out, y, alpha=1.0)

        value, slopes = jax.value_and_grad(loss)(weights)
        return value, tuple(w - RATE * s for w, s in zip(weights, slopes))

    weights, images, erased, labels = problem
    losses = []
    for x, e, y in zip(images, erased, labels):
        value, weights = step(weights, x, e, y)
        losses.append(float(value))
    worst = np.abs(np.array(losses) - curve).max()
    print(f"JAX and NumPy: {worst:.1e}")
    assert worst <= AGREE
