# SPDX-License-Identifier: Apache-2.0
"""The family's losses and ops against their printed formulas in float64; gradients by complex step."""
import math

import car
import numpy as np
import pytest

ROWS, CLASSES = 6, 5
STEP = 1e-30  # of the complex step: its square is nothing beside 1


def log_softmax(z):
    top = z.real.max(-1, keepdims=True)
    return z - top - np.log(np.exp(z - top).sum(-1, keepdims=True))


def entropy(z, labels):
    return -np.take_along_axis(log_softmax(z), labels[:, None], 1)[:, 0]


def distilled(z, teacher):
    return -(np.exp(log_softmax(teacher)) * log_softmax(z)).sum(1)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def fused(p, q, v):
    return np.log(sigmoid(p + q + v))


def cf_vqa(p, q, v, y):
    apart = distilled(fused(0.25, q.real, 0.25) + 0 * p, fused(p, q, v).real)
    return entropy(fused(p, q, v), y) + 0.5 * entropy(q, y) + 0.75 * entropy(v, y) + apart.real


def learned_mixin(p, bias, gate, y):
    scaled = np.log1p(np.exp(gate))[:, None] * bias
    return entropy(p + scaled, y) + 0.5 * distilled(scaled, scaled)


def xerm(p, f, cf, y):
    w = (entropy(cf, y) ** 2 / (entropy(cf, y) ** 2 + entropy(f, y) ** 2)).real
    return w * distilled(p, cf.real) + (1 - w) * entropy(p, y)


def dragonnet(y0, y1, a, y, t):
    e = sigmoid(a)
    off = y - (t * y1 + (1 - t) * y0) - 0.25 * (t / e - (1 - t) / (1 - e))
    return (1 - t) * (y - y0) ** 2 + t * (y - y1) ** 2 - t * np.log(e) - (1 - t) * np.log(1 - e) + off**2


# name, inputs (m: a matrix, v: a vector), names of those that have a gradient, options, the rows' losses
MEMBERS = [
    ("cal", "mm", "p c", {"strength": 0.5}, lambda p, c, y: entropy(p, y) + entropy(p - 0.5 * c, y)),
    ("product_of_experts", "mm", "p bias", {}, lambda p, b, y: entropy(p + b, y)),
    ("rubi", "mmm", "p q q_out", {}, lambda p, q, o, y: entropy(p * sigmoid(q), y) + entropy(o, y)),
    ("learned_mixin", "mmv", "p bias gate", {"entropy_weight": 0.5}, learned_mixin),
    ("counterfactual_entropy", "m", "p", {}, lambda p, y: -np.log(1 - np.exp(-entropy(p, y)))),
    ("counterfactual_entropy", "m", "p", {"target": "uniform"}, lambda p, y: -log_softmax(p).mean(1)),
    ("cf_vqa", "mmm", "p q v", {"constant": 0.25, "question_weight": 0.5, "vision_weight": 0.75}, cf_vqa),
    ("xerm", "mmm", "p", {}, xerm),
    ("logit_pairing", "mm", "p c", {}, lambda p, c: ((p - c) ** 2).mean(1)),
    ("dragonnet", "vvvvv", "y0 y1 propensity", {"epsilon": 0.25}, dragonnet),
]


def inputs(kinds, kind, seed=1):
    random = np.random.default_rng(seed)
    return [random.normal(size=(ROWS, CLASSES) if k == "m" else ROWS).astype(kind) for k in kinds]


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("name, kinds, learning, options, formula", MEMBERS)
def test_members(name, kinds, learning, options, formula, kind):
    given = inputs(kinds, kind)
    labels = [] if name in ("logit_pairing", "dragonnet") else [np.arange(ROWS) % CLASSES]
    random = np.random.default_rng(2)
    upstream, weight = random.normal(size=ROWS).astype(kind), random.uniform(0.5, 2, size=ROWS).astype(kind)
    r = getattr(car, name)(*given, *labels, upstream=upstream, sample_weight=weight, gradients=True, row_loss=True, **options)
    wide = [x.astype(complex) for x in given]
    rows = formula(*wide, *labels).real
    error = 1e-12 if kind == np.float64 else 1e-6
    assert r.status.ok and r.count == ROWS and r.row_loss.dtype == kind
    np.testing.assert_allclose(r.row_loss, weight * rows, rtol=error, atol=error)
    assert abs(r.value - (np.float64(weight) * rows).sum() / np.float64(weight).sum()) <= 1e-12 * (1 + abs(r.value))
    by = getattr(car, name)(*given, *labels, sample_weight=weight, divisor=3.0, **options)  # accumulated over batches
    assert abs(by.value - (np.float64(weight) * rows).sum() / 3) <= 1e-12 * (1 + abs(by.value))
    no_row = getattr(car, name)(*given, *labels, sample_weight=0 * weight, empty="nan", **options)
    assert math.isnan(no_row.value) and no_row.count == 0
    factor = np.float64(weight) * upstream / np.float64(weight).sum()
    for k, which in enumerate(learning.split()):
        got = r.gradients[f"grad_{which}"]
        assert got is getattr(r, f"grad_{which}") and got.shape == given[k].shape
        for column in range(CLASSES if kinds[k] == "m" else 1):
            moved = [x.copy() for x in wide]
            at = (slice(None), column) if kinds[k] == "m" else slice(None)
            moved[k][at] += 1j * STEP
            wanted = factor * formula(*moved, *labels).imag / STEP
            np.testing.assert_allclose(got[at], wanted, rtol=error, atol=error)


def test_terms_ignored_rows_and_faults():
    p, c = inputs("mm", np.float64)
    labels = np.arange(ROWS) % CLASSES
    r = car.cal(p, c, labels, corrected_weight=0.5)
    assert set(r.terms) == {"cross_entropy", "corrected"} and r.grad_p is None and r.row_loss is None
    assert abs(r.value - (r.cross_entropy + 0.5 * r.corrected)) <= 4 * 2.0**-53 * r.value
    with pytest.raises(AttributeError, match="has no 'divergence'"):
        r.divergence
    labels[2], p[2, 0], p[4, 1] = -100, np.nan, np.nan
    r = car.cal(p, c, labels, gradients=True, reduction="none")
    assert r.count == ROWS - 1 and r.status.row == 4 and math.isnan(r.value)
    assert (r.grad_p[2] == 0).all() and np.isnan(r.grad_p[4]).all() and np.isfinite(r.grad_p[[0, 1, 3, 5]]).all()
    assert r.row_loss[2] == 0 and np.isnan(r.row_loss[4])
    with pytest.raises(ValueError, match="car::cal: label in row 0 is 9"):
        car.cal(p, c, np.full(ROWS, 9))
    with pytest.raises(TypeError, match="car::cal: there is no argument 'alpha'"):
        car.cal(p, c, labels, alpha=1)
    with pytest.raises(ValueError, match="fusion is 'mean', expected 'sum', 'harmonic' or 'gate'"):
        car.cf_vqa(p, p, p, labels, fusion="mean")


def test_into_arrays_and_one_row():
    p, c = inputs("mm", np.float32)
    out = np.empty_like(p)
    r = car.logit_pairing(p, c, grad_p=out, reduction="sum")
    assert r.grad_p is out and r.grad_c is None
    np.testing.assert_allclose(out, 2 * (p - c) / CLASSES, rtol=1e-6)
    one = car.rubi(p[0], p[0], None, [1], question_weight=0, gradients=True)
    assert one.grad_p.shape == (CLASSES,) and one.grad_q_out is None


def test_environments():
    (p,) = inputs("m", np.float64)
    labels, groups = np.arange(ROWS) % CLASSES, np.array([0, 1, 1, 0, 0, 1])

    def value(w, z=p, beta=0.0):
        return np.array([entropy(w * z, labels)[groups == e].mean() for e in (0, 1)])

    slope = np.array([x.imag / STEP for x in value(1 + 1j * STEP)])
    r = car.irm(p, labels, groups, penalty_weight=0.75, gradients=True)
    assert abs(r.risk - value(1).mean()) <= 1e-14 and abs(r.penalty - (slope**2).mean()) <= 1e-13
    assert abs(r.value - (r.risk + 0.75 * r.penalty)) <= 1e-14
    v = car.v_rex(p, labels, groups, penalty_weight=0.75, gradients=True)
    assert abs(v.value - (value(1).mean() + 0.75 * value(1).var())) <= 1e-14
    moved = p.astype(complex)
    moved[2, 3] += 1j * STEP
    risks = value(1, moved)
    wanted = (risks.mean() + 0.75 * ((risks - risks.mean()) ** 2).mean()).imag / STEP
    assert abs(v.grad_p[2, 3] - wanted) <= 1e-14


def test_logit_ops():
    p, q, v = inputs("mmm", np.float64)
    np.testing.assert_allclose(car.guidance(p, q, strength=1.5), 2.5 * p - 1.5 * q, rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(car.guidance(p, q, d=v, strength=1.5), 4 * p - 1.5 * q - 1.5 * v, rtol=1e-14, atol=1e-14)
    masked = car.guidance(p, q, plausibility=0.5)
    assert ((masked == -np.inf) == (p < p.max(1, keepdims=True) + math.log(0.5))).all()
    assert (car.decompose(p, q, v, part="second") == q - v).all()
    np.testing.assert_allclose(car.fusion_effect(p, q, v, constant=0.25), fused(p, q, v) - fused(0.25, q, 0.25), rtol=1e-13, atol=1e-13)
    prior = np.log(np.arange(1.0, CLASSES + 1) / 15)
    np.testing.assert_allclose(car.logit_adjustment(p, prior), p - prior, rtol=1e-15)
    labels = np.arange(ROWS) % CLASSES
    assert car.logit_adjusted(p, prior, labels).value == car.product_of_experts(p, np.tile(prior, (ROWS, 1)), labels).value
    x, w, d = np.random.default_rng(5).normal(size=(3, 4, 6))
    y = car.deconfounded(x, w, direction=d[0], strength=3.0, heads=3)
    wanted = 0
    for h in range(3):
        part = slice(2 * h, 2 * h + 2)
        unit = x[:, part] / np.linalg.norm(x[:, part], axis=1, keepdims=True)
        along = d[0, part] / np.linalg.norm(d[0, part])
        kept = unit - 3 * (unit @ along)[:, None] * along
        wanted = wanted + 16 / 3 * kept @ (w[:, part] / (np.linalg.norm(w[:, part], axis=1, keepdims=True) + 1 / 32)).T
    np.testing.assert_allclose(y, wanted, rtol=1e-12, atol=1e-12)


def test_vjps():
    p, g = inputs("mm", np.float64)
    grad_p, grad_c, grad_d = car.guidance_vjp(p, g, strength=1.5)
    assert (grad_p == 2.5 * g).all() and (grad_c == -1.5 * g).all() and grad_d is None
    assert (car.guidance_vjp(p, g, strength=1.5, grad_d=True)[0] == 4 * g).all()
    x, w = np.random.default_rng(6).normal(size=(2, 4, 6))
    g = np.random.default_rng(7).normal(size=(4, 4))
    grads = car.deconfounded_vjp(x, w, g)
    step = 2.0**-17  # of a central difference
    for k, grad in enumerate(grads):
        moved = [[a.copy() for a in (x, w)] for _ in range(2)]
        moved[0][k][1, 2] += step
        moved[1][k][1, 2] -= step
        ahead, behind = ((g * car.deconfounded(*a)).sum() for a in moved)
        assert abs(grad[1, 2] - (ahead - behind) / (2 * step)) <= 1e-8


def test_gradients_are_asked_for_or_not():
    p, c = np.zeros((2, 3)), np.ones((2, 3))
    for asked in ("accumulate", "overwrite", 1):
        with pytest.raises(ValueError, match="car::cal: gradients is .*, expected True or False"):
            car.cal(p, c, [0, 1], gradients=asked)
