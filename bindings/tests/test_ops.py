# SPDX-License-Identifier: Apache-2.0
"""Every op against float64 references, on shapes and strides that hypothesis makes up."""
import math
import threading

import car
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import log_softmax, logsumexp, softmax

from reference import U, Loss

settings.register_profile("car", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("car")

TYPES = [np.float32, np.float64]


@st.composite
def batches(draw, least_rows=1):
    rows, classes = draw(st.integers(least_rows, 9)), draw(st.integers(1, 40))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(TYPES))
    size = draw(st.sampled_from([0.01, 1.0, 10.0]))
    p, c = (size * random.normal(size=(2, rows, classes))).astype(kind)
    return p, c, random.integers(0, classes, rows)


@st.composite
def laid_out(draw, matrix):
    """The same matrix with other strides."""
    rows, cols = matrix.shape
    how = draw(st.sampled_from(["fortran", "stepped", "reversed", "block"]))
    if how == "fortran":
        return np.asfortranarray(matrix)
    if how == "stepped":
        wide = np.zeros((2 * rows, 3 * cols), matrix.dtype)
        wide[::2, ::3] = matrix
        return wide[::2, ::3]
    if how == "reversed":
        return np.ascontiguousarray(matrix[::-1, ::-1])[::-1, ::-1]
    wide = np.zeros((rows, cols + 5), matrix.dtype)
    wide[:, 2 : 2 + cols] = matrix
    return wide[:, 2 : 2 + cols]


@given(batches(), st.sampled_from([0.0, 0.5, 1.0, -1.0]), st.sampled_from([0.5, 1.0]), st.sampled_from([1.0, 2.0]))
def test_loss_and_gradients(batch, alpha, strength, temperature):
    p, c, labels = batch
    u = U[p.dtype]
    r = car.loss(p, c, labels, alpha=alpha, strength=strength, temperature=temperature, reduction="sum", gradients=True, terms=True)
    wanted = Loss(p, c, labels, alpha, strength, temperature)
    assert (np.abs(r.row_cross_entropy - wanted.cross_entropy) <= 5 * u * wanted.cross_entropy + wanted.own).all()
    assert (np.abs(r.row_loss - wanted.rows) <= wanted.bound_rows(u, alpha)).all()
    assert abs(r.value - wanted.rows.sum()) <= wanted.bound_rows(u, alpha).sum()
    # One rounding to the type of p on top of the contract's bound, and one for each factor of the chain rule.
    assert (np.abs(r.grad_p - wanted.grad_p) <= 19 * u * wanted.scale_p + wanted.own).all()
    assert (np.abs(r.grad_c - wanted.grad_c) <= 11 * u * wanted.scale_c + wanted.own).all()
    assert r.count == len(p) and r.status.ok and (r.predicted == p.argmax(1)).all()
    assert r.correct == (p.argmax(1) == labels).sum()


@given(st.data())
def test_any_strides_give_the_same_bits(data):
    p, c, labels = data.draw(batches())
    base = car.loss(p, c, labels, gradients=True)
    grad_p, grad_c = data.draw(laid_out(np.zeros_like(p))), data.draw(laid_out(np.zeros_like(c)))
    other = np.zeros(2 * len(labels), np.int16)[::2]
    other[:] = labels
    r = car.loss(data.draw(laid_out(p)), data.draw(laid_out(c)), other, grad_p=grad_p, grad_c=grad_c)
    assert r.value == base.value and r.grad_p is grad_p and r.grad_c is grad_c
    assert (grad_p == base.grad_p).all() and (grad_c == base.grad_c).all()
    assert (car.softmax(data.draw(laid_out(p))) == car.softmax(p)).all()


@given(batches(least_rows=0), st.sampled_from([0.5, 1.0, 2.0]))
def test_softmaxes(batch, temperature):
    p, c, _ = batch
    u = U[p.dtype]
    wide_p, wide_c = p.astype(np.float64) / temperature, c.astype(np.float64) / temperature  # exact: a power of 2
    own = 2.0**-53 * (8 + p.shape[1]) * (2 + np.abs(wide_p).max(initial=0) + np.abs(wide_c).max(initial=0))
    wanted = softmax(wide_p, axis=1)
    assert (np.abs(car.softmax(p, temperature=temperature) - wanted) <= 4 * u * wanted + own).all()
    wanted = softmax(wide_p - wide_c, axis=1)
    assert (np.abs(car.corrected_softmax(p, c, temperature=temperature) - wanted) <= 4 * u * wanted + own).all()
    wanted = log_softmax(wide_p, axis=1)
    assert (np.abs(car.log_softmax(p, temperature=temperature) - wanted) <= 4 * u * np.abs(wanted) + own).all()
    wanted = logsumexp(wide_p, axis=1)
    assert (np.abs(car.log_sum_exp(p, temperature=temperature) - wanted) <= 4 * u * (np.abs(wide_p).max(1) + np.abs(wanted)) + own).all()


@given(batches(), st.sampled_from([1.0, 0.5]))
def test_corrected_softmax_vjp(batch, strength):
    p, c, _ = batch
    y = car.corrected_softmax(p, c, strength=strength)
    g = np.cos(np.arange(p.size)).reshape(p.shape).astype(p.dtype)
    grad_p, grad_c = car.corrected_softmax_vjp(y, g, strength=strength)
    wide, slope = y.astype(np.float64), g.astype(np.float64)
    wanted = wide * (slope - (wide * slope).sum(1, keepdims=True))
    scale = wide * (np.abs(slope) + (wide * np.abs(slope)).sum(1, keepdims=True))
    bound = (5 * U[p.dtype] + 2.0**-53 * (8 + p.shape[1])) * scale
    assert (np.abs(grad_p - wanted) <= bound).all() and (np.abs(grad_c + strength * wanted) <= bound).all()


@given(batches(least_rows=2))
def test_hvp_is_the_slope_of_the_gradient(batch):
    p, c, labels = (np.float64(batch[0]) / 10, np.float64(batch[1]) / 10, batch[2])
    random = np.random.default_rng(1)
    v_p, v_c = random.normal(size=(2, *p.shape))
    step = 2.0**-17  # of a central difference: step^2 of truncation, u / step of rounding, both below 2^-33
    ahead, behind = (car.loss(p + h * v_p, c + h * v_c, labels, gradients=True) for h in (step, -step))
    h = car.loss_hvp(p, c, labels, v_p, v_c)
    size = (1 + np.abs(v_p).max() + np.abs(v_c).max()) ** 3
    for got, a, b in ((h.grad_p, ahead.grad_p, behind.grad_p), (h.grad_c, ahead.grad_c, behind.grad_c)):
        assert (np.abs(got - (a - b) / (2 * step)) <= 2.0**-30 * size).all()


@given(batches(least_rows=2), st.sampled_from([0.8, 0.95]))
def test_effect(batch, level):
    p, c, labels = batch
    rows = np.arange(len(p))
    effects = softmax(np.float64(p), axis=1)[rows, labels] - softmax(np.float64(c), axis=1)[rows, labels]
    e = car.effect(p, c, labels, level=level, row_effect=True)
    error = effects.std(ddof=1) / math.sqrt(len(p))
    own = 2.0**-53 * (8 + p.shape[1]) * 64 * (1 + np.abs(p).max() + np.abs(c).max())
    assert abs(e.mean - effects.mean()) <= own and abs(e.standard_error - error) <= own
    half = stats.t.ppf((1 + level) / 2, len(p) - 1) * error
    assert abs(e.upper - e.mean - half) <= 2.0**-30 * half + 20 * own  # SciPy's quantile before 1.11 is good to 2^-35
    assert (np.abs(e.row_effect - effects) <= U[p.dtype] + own).all()


def test_effects_of_draws_weights_and_clusters():
    random = np.random.default_rng(4)
    p, c, labels = random.normal(size=(6, 3)), random.normal(size=(2, 6, 3)), random.integers(0, 3, 6)
    rows, weights = np.arange(6), np.array([1.0, 2.0, 1.0, 1.0, 0.5, 1.0])
    e = car.effect(p, c.reshape(12, 3), labels, draws=2, weights=weights, row_draw_error=True, class_effect=True)
    each = softmax(p, axis=1)[rows, labels] - softmax(c, axis=2)[:, rows, labels].mean(0)
    assert abs(e.mean - (weights * each).sum() / weights.sum()) <= 64 * 2.0**-53 and e.reason == "none"
    assert e.row_draw_error.shape == (6,) and (np.abs(e.class_effect.sum(1)) <= 8 * 2.0**-53).all()
    assert car.effect(p, c[0], labels, clusters=[0, 0, 1, 1, 2, 2]).units == 3
    odds = car.effect(p, c[0], labels, scale="log_odds", interval="bootstrap", seed=7)
    assert odds.lower < odds.mean < odds.upper
    assert car.effect(p[:1], c[0, :1], labels[:1]).reason == "too_few"
    stream = car.EffectAccumulator(3)
    stream.add(p, c[0], labels, weights=weights)
    assert abs(stream.result().mean - car.effect(p, c[0], labels, weights=weights).mean) <= 8 * 2.0**-53
    assert stream.macro().count == 6


def test_effects_in_a_stream_from_threads():
    random = np.random.default_rng(2)
    p, c, labels = random.normal(size=(64, 5)), random.normal(size=(64, 5)), random.integers(0, 5, 64)
    whole, parts = car.effect(p, c, labels), car.EffectAccumulator(5)
    threads = [threading.Thread(target=parts.add, args=(p[k::4], c[k::4], labels[k::4])) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bound = 4 * 2.0**-52 * max(abs(whole.mean), whole.standard_error)  # the accumulator's promise: 4 units in the last place
    assert abs(parts.result().mean - whole.mean) <= bound and abs(parts.result().standard_error - whole.standard_error) <= bound
    assert sum(parts.of_class(k).count for k in range(5)) == 64
    parts.merge(parts)
    assert parts.result().count == 128


def test_soft_labels_weights_and_masks():
    random = np.random.default_rng(3)
    p, c = random.normal(size=(2, 4, 3))
    soft = random.dirichlet(np.ones(3), size=4)
    r = car.loss(p, c, soft, alpha=0.0, reduction="none")
    wanted = -(soft * log_softmax(p, axis=1)).sum(1)
    assert (np.abs(r.row_loss - wanted) <= 32 * 2.0**-53 * (1 + np.abs(wanted))).all()
    assert math.isnan(r.value)
    weight, each = np.array([1.0, 2.0, 3.0]), np.array([1.0, 0.5, 2.0, 1.0])
    r = car.loss(p, c, [0, 1, 2, 0], weight=weight, sample_weight=each, row_mask=[True, True, False, True], reduction="sum")
    rows = Loss(p, c, [0, 1, 2, 0]).rows * weight[[0, 1, 2, 0]] * each
    assert abs(r.value - rows[[0, 1, 3]].sum()) <= 64 * 2.0**-53 * rows.sum() and r.count == 3
    assert r.weight == 3.0
    masked = car.loss(p, c, [0, 1, 0, 0], class_mask=np.array([True, True, False]))
    assert abs(masked.value - Loss(p[:, :2], c[:, :2], [0, 1, 0, 0]).rows.mean()) <= 64 * 2.0**-53 * masked.value


def test_accumulated_gradients():
    p, c, labels = np.zeros((2, 3)), np.ones((2, 3)), np.array([0, 1])
    once = car.loss(p, c, labels, gradients=True).grad_p
    held = once.copy()
    car.loss(p, c, labels, gradients="accumulate", grad_p=held)
    assert (held == 2 * once).all()
    # In place: the gradient takes the logits' memory.
    own = p.copy()
    car.loss(own, c, labels, grad_p=own)
    assert (own == once).all()


def test_alpha_zero_needs_no_counterfactual():
    p = np.array([[1.0, 0.0]])
    r = car.loss(p, None, [0], alpha=0.0, gradients=True)
    assert abs(r.value - math.log1p(math.exp(-1))) <= 4 * 2.0**-53 and r.grad_c is None and r.divergence == 0


def test_values_are_reported_not_raised():
    p = np.array([[0.0, 1.0], [np.nan, 0.0], [-np.inf, -np.inf]])
    r = car.loss(p, np.zeros_like(p), [0, 0, 0], reduction="none")
    assert np.isfinite(r.row_loss[0]) and np.isnan(r.row_loss[1:]).all()
    assert not r.status.ok and (r.status.fault, r.status.row, r.status.rows) == ("not_finite", 1, 2)


def test_one_row():
    p, c = np.array([2.0, -1.0, 0.5]), np.array([0.5, -0.25, 1.0])
    r = car.loss(p, c, [0], gradients=True)
    assert r.grad_p.shape == (3,) and r.value == car.loss(p[None], c[None], [0]).value
    assert car.softmax(p).shape == (3,) and car.log_sum_exp(p).shape == ()


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 6), st.integers(1, 6), st.sampled_from(TYPES))
def test_erase(count, channels, height, width, kind):
    random = np.random.default_rng(count + 7 * channels)
    images = random.normal(size=(count, channels, height, width)).astype(kind)
    masks = (random.random((count, height, width)) < 0.5).astype(kind)
    keep = 1 - masks[:, None]
    u = U[images.dtype]
    mean = images.astype(np.float64).mean((2, 3), keepdims=True)
    ground = random.normal(size=(1, channels, height, width)).astype(kind)
    for fill, what in ((0.5, 0.5), ("mean", mean), (ground, ground)):
        wanted = keep * images + masks[:, None] * what
        size = np.abs(images).mean((2, 3), keepdims=True) + np.abs(wanted) + 1
        assert (np.abs(car.erase(images, masks, fill) - wanted) <= 7 * u * size).all()
    upstream = random.normal(size=images.shape).astype(kind)
    got, to_ground = car.erase_vjp(masks, upstream, ground)
    assert (got == keep * upstream).all()
    assert (np.abs(to_ground - (masks[:, None] * upstream).sum(0, keepdims=True)) <= 6 * u * count * np.abs(upstream).max()).all()
    noise = car.NoiseFill(seed=3, deviation=2.0)
    whole = car.erase(images, masks.astype(bool), noise)
    again = car.erase(images[-1:], masks[-1:], car.NoiseFill(seed=3, deviation=2.0, first_image=count - 1))
    assert (whole[-1:] == again).all() and (whole[masks[:, None].repeat(channels, 1) == 0] == images[keep.repeat(channels, 1) == 1]).all()


def test_erase_without_images_and_with_numbers_of_numpy():
    none = np.zeros((0, 1, 4, 4), np.float32)
    assert car.erase(none, none).shape == none.shape
    images, masks = np.ones((2, 1, 4, 4), np.float32), np.ones((2, 1, 4, 4), np.float32)
    for fill in (0.5, np.float32(0.5), np.array(0.5)):
        assert (car.erase(images, masks, fill=fill) == 0.5).all()
    assert (car.erase(images, masks, fill=np.int64(2)) == 2).all()


def test_occlude_and_factors():
    frames = np.zeros((2, 1, 8, 8), np.float32)
    boxes, occluder = [[0, 0, 8, 8], [0, 0, 0, 0]], np.ones((2, 2), np.float32)
    out, coverage = car.occlude(frames, boxes, occluder, occluder, scale=0.5, coverage=True)
    assert out.sum() == 16 and (out[0, 0, 2:6, 2:6] == 1).all() and coverage.shape == (2, 1, 8, 8)
    factors = car.occlusion_factors_of(coverage, boxes)
    assert (factors.degree, factors.area_ratio, factors.duration_ratio) == (0.5, 0.25, 1.0)


def test_the_lock_of_the_interpreter_is_released():
    """A long call in one thread, while another one counts; with the lock held it would come to count when the call is over."""
    p = np.zeros((4000, 1000), np.float32)
    counted, running = 0, threading.Event()

    def call():
        running.set()
        car.softmax(p)
        running.clear()

    thread = threading.Thread(target=call)
    thread.start()
    running.wait()
    while running.is_set():
        counted += 1
    thread.join()
    assert counted > 1000


def test_backends():
    names = car.config()["backends"]
    assert "scalar" in names
    for name in names:
        assert car.softmax([[0.0, 0.0]], backend=name).tolist() == [[0.5, 0.5]]
    with pytest.raises(ValueError, match="backend is 'none'"):
        car.softmax([[0.0]], backend="none")
