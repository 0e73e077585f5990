# SPDX-License-Identifier: Apache-2.0
"""Adjusted predictions, attention and what is made of it, against the printed formulas in float64; gradients by complex step."""
import car
import numpy as np
import pytest

U = {np.dtype(np.float32): 2.0**-24, np.dtype(np.float64): 2.0**-53}
BACKENDS = car.config()["backends"]
TYPES = [np.float32, np.float64]


def softmax(s):
    e = np.exp(s - s.real.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def turned(x):
    return np.swapaxes(x, -1, -2)


def by(x, w):
    return x if w is None else x @ w


def attention(q, k, v, query=None, key=None, value=None, *, scale):
    return softmax(scale * by(q, query) @ turned(by(k, key))) @ by(v, value)


def dictionary(x, z, prior, query=None, key=None, *, scale, normalise):
    w = softmax(scale * by(x, query) @ turned(by(z, key))) * prior
    return (w / w.sum(-1, keepdims=True) if normalise == "yes" else w) @ z


def front_door(x, m, q1=None, k1=None, v1=None, q2=None, k2=None, v2=None, *, scale):
    v = attention(m, x, x, q1, k1, v1, scale=scale)
    return x + attention(x, m, v, q2, k2, v2, scale=scale)


def intervention(t, v, approximator=None, *, scale):
    h = softmax(scale * t @ turned(v)) @ v
    both = np.concatenate([np.broadcast_to(t, h.shape[:-1] + t.shape[-1:]), h], -1)
    return both if approximator is None else both @ approximator


def slopes(f, inputs, upstream):
    """d sum upstream f(*inputs), input for input and element for element, by complex step."""
    all_slopes = []
    for n, x in enumerate(inputs):
        if x is None:
            all_slopes.append(None)
            continue
        slope = np.zeros(x.shape)
        for at in np.ndindex(x.shape):
            moved = [None if y is None else y.astype(complex) for y in inputs]
            moved[n][at] += 1e-30j
            slope[at] = (upstream * f(*moved).imag).sum() / 1e-30
        all_slopes.append(slope)
    return all_slopes


def close(got, wanted):
    assert (got is None) == (wanted is None)
    if got is None:
        return
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).max() <= 1e-12 * np.abs(wanted).max() + 2 * U[got.dtype] * np.abs(wanted).max()


def draw(random, kind, *shape):
    return random.normal(size=shape).astype(kind)


def exactly(*arrays):
    return [None if a is None else a.astype(np.float64) for a in arrays]


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("given", range(8))
def test_attention(kind, backend, given):
    random = np.random.default_rng(given)
    b, queries, keys, width, inner, out = 2, 3, 5, 4, 3, 2
    w = [draw(random, kind, width, n) if given & bit else None for n, bit in ((inner, 1), (inner, 2), (out, 4))]
    if (given & 3) in (1, 2):  # one of query and key alone keeps the width
        w = [None if x is None else draw(random, kind, width, width) for x in w[:2]] + w[2:]
    q, k, v = draw(random, kind, b, queries, width), draw(random, kind, b, keys, width), draw(random, kind, b, keys, width)
    upstream = draw(random, kind, b, queries, out if given & 4 else width)
    names = dict(zip(("query", "key", "value"), w))
    f = lambda *x: attention(*x, scale=0.75)
    close(car.attention(q, k, v, scale=0.75, backend=backend, **names), f(*exactly(q, k, v, *w)))
    got = car.attention_vjp(q, k, v, upstream, scale=0.75, backend=backend, **names)
    for one, right in zip(got, slopes(f, exactly(q, k, v, *w), upstream.astype(float))):
        close(one, right)


def test_attention_cross_sample_and_two_dimensions():
    random = np.random.default_rng(1)
    q, z = draw(random, np.float64, 3, 2, 4), draw(random, np.float64, 6, 4)
    cross = car.attention(q, z, z)
    close(cross, attention(q, z, z, scale=0.5))
    close(car.attention(q.reshape(6, 4), z, z), cross.reshape(6, 4))
    k = draw(random, np.float64, 3, 5, 4)
    close(car.attention(q.reshape(6, 4), k.reshape(15, 4), k.reshape(15, 4), batch=3), car.attention(q, k, k).reshape(6, 4))
    out = np.zeros((3, 2, 4))
    assert car.attention(q, k, k, out=out) is out
    close(out, attention(q, k, k, scale=0.5))


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("normalise", ["as_published", "yes"])
def test_confounder_dictionary(kind, normalise):
    random = np.random.default_rng(2)
    x, z, upstream = draw(random, kind, 3, 4), draw(random, kind, 6, 5), draw(random, kind, 3, 5)
    query, key = draw(random, kind, 4, 2), draw(random, kind, 5, 2)
    prior = np.array([1, 2, 3, 4, 5, 1], kind) / kind(16)
    f = lambda *a: dictionary(*a, scale=2**-0.5, normalise=normalise)
    inputs = x, z, prior, query, key
    close(car.confounder_dictionary(x, z, prior, query=query, key=key, normalise=normalise), f(*exactly(*inputs)))
    got = car.confounder_dictionary_vjp(x, z, prior, upstream, query=query, key=key, normalise=normalise)
    for one, right in zip(got, slopes(f, exactly(*inputs), upstream.astype(float))):
        close(one, right)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("projected", [False, True])
def test_front_door_attention(kind, projected):
    random = np.random.default_rng(3)
    x, m = draw(random, kind, 2, 4, 3), draw(random, kind, 2, 5, 3)
    upstream = draw(random, kind, 2, 4, 3)
    w = [draw(random, kind, *shape) for shape in ((3, 2), (3, 2), (3, 6), (3, 4), (3, 4), (6, 3))] if projected else [None] * 6
    names = dict(zip(("first_query", "first_key", "first_value", "second_query", "second_key", "second_value"), w))
    f = lambda *a: front_door(*a, scale=1)
    close(car.front_door_attention(x, m, **names), f(*exactly(x, m, *w)))
    got = car.front_door_attention_vjp(x, m, upstream, **names)
    assert len(got) == 8
    for one, right in zip(got, slopes(f, exactly(x, m, *w), upstream.astype(float))):
        close(one, right)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("approximated", [False, True])
@pytest.mark.parametrize("op", ["textual", "visual"])
@pytest.mark.parametrize("shared", [False, True])
def test_interventions(kind, approximated, op, shared):
    random = np.random.default_rng(4)
    t, v = draw(random, kind, *(() if shared else (2,)), 3, 4), draw(random, kind, 2, 5, 4)
    w = draw(random, kind, 8, 6) if approximated else None
    upstream = draw(random, kind, 2, 3, 6 if approximated else 8)
    f = lambda *a: intervention(*a, scale=0.5)
    call, vjp = getattr(car, f"{op}_intervention"), getattr(car, f"{op}_intervention_vjp")
    close(call(t, v, scale=0.5, approximator=w), f(*exactly(t, v, w)))
    got = vjp(t, v, upstream, scale=0.5, approximator=w)
    for one, right in zip(got, slopes(f, exactly(t, v, w), upstream.astype(float))):
        close(one, right)


@pytest.mark.parametrize("adjustment", ["exact", "geometric"])
@pytest.mark.parametrize("kind", TYPES)
def test_adjust(adjustment, kind):
    random = np.random.default_rng(5)
    g, prior, labels = draw(random, kind, 3, 4, 5), np.array([0.25, 0.125, 0.625], kind), np.array([0, 3, 4, 2])

    def probability(g):
        if adjustment == "exact":
            return np.einsum("k,knc->nc", prior, softmax(g))
        return softmax(np.einsum("k,knc->nc", prior, g))

    def loss(g):
        return -np.log(probability(g)[np.arange(4), labels])

    r = car.adjust(g, prior, labels, adjustment=adjustment, probability=True, grad=True, row_loss=True)
    close(r.probability, probability(g.astype(float)))
    close(r.row_loss, loss(g.astype(float)))
    close(r.grad, slopes(loss, exactly(g), np.full(4, 0.25))[0])
    assert abs(r.value - loss(g.astype(float)).mean()) <= 1e-14 and r.count == 4 and r.status.ok
    flat = car.adjust(g.reshape(12, 5), prior, labels, adjustment=adjustment, grad=True)
    assert flat.value == r.value and (flat.grad.reshape(g.shape) == r.grad).all()


def test_strides_and_what_is_left_out():
    random = np.random.default_rng(6)
    q, k, g = draw(random, np.float32, 2, 3, 4), draw(random, np.float32, 2, 5, 4), draw(random, np.float32, 2, 3, 4)
    right = car.attention_vjp(q, k, k, g)
    wide = np.zeros((2, 6, 8), np.float32)
    wide[:, ::2, ::2] = q  # samples one after the other still, with gaps between their rows
    got = car.attention_vjp(wide[:, ::2, ::2], k, k, g, grad_k=False)
    assert got[1] is None and got[3:] == (None, None, None)
    assert (got[0] == right[0]).all() and (got[2] == right[2]).all()
    with pytest.raises(ValueError, match="car::attention: q has samples that do not lie one after the other"):
        car.attention(np.zeros((2, 5, 4), np.float32)[:, :3], k, k)


def test_errors():
    x, z = np.zeros((2, 3)), np.zeros((4, 3))
    with pytest.raises(ValueError, match="car::attention: k has 2 columns, expected 3, as q has"):
        car.attention(x, np.zeros((4, 2)), z)
    with pytest.raises(TypeError, match="car::attention: k has elements of float32, expected float64, as q"):
        car.attention(x, z.astype(np.float32), z)
    with pytest.raises(ValueError, match="car::attention: batch is 2, expected 3, the samples of k"):
        car.attention(np.zeros((3, 1, 3)), np.zeros((3, 4, 3)), np.zeros((3, 4, 3)), batch=2)
    with pytest.raises(ValueError, match="car::attention: q has 4 samples, expected 2"):
        car.attention(np.zeros((4, 3, 3)), np.zeros((2, 5, 3)), np.zeros((2, 5, 3)))
    with pytest.raises(ValueError, match="car::confounder_dictionary: prior has sum 0.750000, expected 1"):
        car.confounder_dictionary(x, z, [0.25, 0.25, 0.25, 0])
    with pytest.raises(ValueError, match="normalise is 'no', expected 'as_published' or 'yes'"):
        car.confounder_dictionary(x, z, [0.25] * 4, normalise="no")
    with pytest.raises(ValueError, match="car::front_door_attention: x has 3 columns, expected 2, as m has"):
        car.front_door_attention(x, np.zeros((4, 2)))
    with pytest.raises(ValueError, match="car::visual_intervention: approximator has shape 3 x 3, expected 6 x 3"):
        car.visual_intervention(x, z, approximator=np.zeros((3, 3)))
    with pytest.raises(ValueError, match="car::adjust: g has shape 4 x 3, expected 2 x 3"):
        car.adjust(z, [1.0], [0, 1])
    with pytest.raises(TypeError, match="car::textual_intervention: there is no argument 'temperature'"):
        car.textual_intervention(x, z, temperature=2)


def test_samples_of_one_row():
    random = np.random.default_rng(8)
    q, k = draw(random, np.float32, 2, 4), draw(random, np.float32, 2, 5, 4)
    want = car.attention(np.stack([q[:1], q[1:]]), k, k)
    wide = np.zeros((2, 3, 4), np.float32)
    wide[:, 1] = q
    for one in (q[:, None, :], np.ascontiguousarray(q[:, None, :]), wide[:, 1:2, :]):
        assert (car.attention(one, k, k) == want).all()
    g = draw(random, np.float64, 3, 5)
    labels, prior = np.array([2]), np.array([0.5, 0.25, 0.25])
    assert car.adjust(g[:, None, :], prior, labels).value == car.adjust(g, prior, labels).value


def test_samples_in_another_order_are_refused():
    random = np.random.default_rng(9)
    g, prior, labels = draw(random, np.float64, 2, 3, 5), np.array([0.5, 0.25, 0.25]), np.array([0, 1])
    with pytest.raises(ValueError, match="car::adjust: g has shape 2 x 3 x 5, expected 3 x 2 x 5"):
        car.adjust(g, prior, labels)
    q, k = draw(random, np.float32, 2, 3, 4), draw(random, np.float32, 2, 5, 4)
    out = np.full((3, 2, 4), 7, np.float32)
    with pytest.raises(ValueError, match="car::attention: out has shape 3 x 2 x 4, expected 2 x 3 x 4"):
        car.attention(q, k, k, out=out)
    assert (out == 7).all()
    with pytest.raises(ValueError, match="car::attention_vjp: upstream has shape 3 x 2 x 4, expected 2 x 3 x 4"):
        car.attention_vjp(q, k, k, out)
    with pytest.raises(ValueError, match="car::attention_vjp: grad_q has shape 3 x 2 x 4, expected 2 x 3 x 4"):
        car.attention_vjp(q, k, k, q, grad_q=out)
    with pytest.raises(ValueError, match="car::front_door_attention: m has 3 samples, expected 1"):
        car.front_door_attention(q[:1], draw(random, np.float32, 3, 5, 4))


def test_prompts_of_every_sample():
    random = np.random.default_rng(10)
    t, prompts = draw(random, np.float32, 2, 3, 4), draw(random, np.float32, 5, 4)
    got = car.textual_intervention(t, prompts)
    assert got.shape == (2, 3, 8)
    assert (got == car.textual_intervention(t, prompts, out=np.zeros((2, 3, 8), np.float32))).all()
