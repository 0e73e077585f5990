# SPDX-License-Identifier: Apache-2.0
"""Treatment effects, back door and front door, and accuracy by group, against the printed formulas in NumPy."""
import math
import threading

import car
import numpy as np
import pytest
from scipy import stats


@pytest.fixture
def study():
    random = np.random.default_rng(1)
    n = 400
    x = random.normal(size=n)
    e = 1 / (1 + np.exp(-0.5 * x))
    t = (random.random(n) < e).astype(int)
    y = x + 0.5 * t + random.normal(size=n)
    return t, y, dict(propensity=e, control_mean=0.9 * x, treated_mean=0.9 * x + 0.4)


def near(a, b):
    return math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-14)


def test_difference_in_means(study):
    t, y, _ = study
    r = car.treatment("difference_in_means", t, y)
    a, b = y[t == 1], y[t == 0]
    assert near(r.mean, a.mean() - b.mean())
    assert near(r.standard_error, math.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b)))
    assert (r.treated, r.control, r.count, r.reason) == (len(a), len(b), len(y), "none")


@pytest.mark.parametrize("estimator", ["horvitz_thompson", "aipw"])
def test_means_of_influences(study, estimator):
    t, y, given = study
    e = given["propensity"]
    m0, m1 = (given["control_mean"], given["treated_mean"]) if estimator == "aipw" else (np.zeros_like(y), np.zeros_like(y))
    psi = m1 - m0 + t * (y - m1) / e - (1 - t) * (y - m0) / (1 - e)
    r = car.treatment(estimator, t, y, **given)
    half = stats.t.ppf(0.975, len(y) - 1) * psi.std(ddof=1) / math.sqrt(len(y))
    assert near(r.mean, psi.mean()) and near(r.standard_error, psi.std(ddof=1) / math.sqrt(len(y)))
    assert math.isclose(r.upper - r.mean, half, rel_tol=1e-9)


@pytest.mark.parametrize("weighting", ["inverse", "stabilised", "treated", "control", "overlap"])
def test_hajek_and_its_weights(study, weighting):
    t, y, given = study
    e = given["propensity"]
    pi = t.mean()
    of = {
        "inverse": (1 / e, 1 / (1 - e)),
        "stabilised": (pi / e, (1 - pi) / (1 - e)),
        "treated": (np.ones_like(e), e / (1 - e)),
        "control": ((1 - e) / e, np.ones_like(e)),
        "overlap": (1 - e, e),
    }[weighting]
    w = np.where(t == 1, *of)
    np.testing.assert_allclose(car.propensity_weights(t, e, weighting=weighting), w, rtol=1e-15 * 4)
    r = car.treatment("hajek", t, y, propensity=e, weighting=weighting)
    assert near(r.mean, np.average(y[t == 1], weights=w[t == 1]) - np.average(y[t == 0], weights=w[t == 0]))


def test_clipping_clusters_and_reasons(study):
    t, y, given = study
    r = car.treatment("horvitz_thompson", t, y, propensity=given["propensity"], clip=0.4)
    assert r.clipped == (np.clip(given["propensity"], 0.4, 0.6) != given["propensity"]).sum()
    psi = t * y / given["propensity"] - (1 - t) * y / (1 - given["propensity"])
    sums = np.array([(psi[k::80] - psi.mean()).sum() for k in range(80)])
    r = car.treatment("horvitz_thompson", t, y, propensity=given["propensity"], clusters=np.arange(400) % 80)
    assert r.units == 80 and near(r.standard_error, math.sqrt(80 / 79 * (sums**2).sum()) / 400)
    assert car.treatment("aipw", np.ones(3, int), np.ones(3), propensity=[0.5] * 3, control_mean=[0.0] * 3, treated_mean=[0.0] * 3).reason == "no_control"
    with pytest.raises(ValueError, match="car::treatment: estimator is 'ols', expected one of 'difference_in_means'"):
        car.treatment("ols", t, y)
    with pytest.raises(ValueError, match="propensity has shape"):
        car.treatment("aipw", t, y)
    with pytest.raises(TypeError, match="outcome has elements of float32, expected float64"):
        car.treatment("aipw", t, y.astype(np.float32))


def test_back_door_and_front_door():
    random = np.random.default_rng(2)
    n = 500
    s, t = random.integers(0, 3, n), random.integers(0, 2, n)
    m = (random.random(n) < 0.3 + 0.4 * t).astype(int)
    y = s + 2.0 * m + random.normal(size=n)
    r = car.stratification(t, y, s, 3)
    wanted = sum((s == k).mean() * (y[(s == k) & (t == 1)].mean() - y[(s == k) & (t == 0)].mean()) for k in range(3))
    assert near(r.mean, wanted) and r.lower < wanted < r.upper

    def psi(x):
        return sum(
            (m[t == x] == k).mean() * sum((t == a).mean() * y[(m == k) & (t == a)].mean() for a in (0, 1)) for k in (0, 1)
        )

    assert near(car.front_door(t, y, m, 2).mean, psi(1) - psi(0))
    empty = car.stratification([1, 0, 1], [1.0, 2.0, 3.0], [0, 0, 1], 2)
    assert math.isnan(empty.mean) and empty.reason == "empty_cell"
    assert car.stratification([1, 0, 1], [1.0, 2.0, 3.0], [0, 0, 1], 2, empty_stratum="drop").dropped == 1


def same_estimate(a, b):
    """Any split, order or merge agrees within 4 units in the last place of max(|mean|, standard error)."""
    bound = 4 * 2.0**-52 * max(abs(a.mean), a.standard_error)
    counts = [(r.count, r.units, r.treated, r.control, r.clipped, r.trimmed, r.empty_cells, r.dropped, r.reason) for r in (a, b)]
    near = lambda x, y, bound: abs(x - y) <= bound or (math.isnan(x) and math.isnan(y))
    # An interval's half is its quantile, here below 3, times the standard error, with a rounding of each product and sum.
    return (
        counts[0] == counts[1]
        and near(a.mean, b.mean, bound)
        and near(a.standard_error, b.standard_error, bound)
        and near(a.lower, b.lower, 8 * bound)
        and near(a.upper, b.upper, 8 * bound)
    )


def in_parts(study, accumulator, rows=(slice(0, 1), slice(1, 150), slice(150, 400))):
    t, y, given = study
    parts = []
    for part in rows:
        parts.append(accumulator(part.start))
        assert parts[-1].add(t[part], y[part], **{name: values[part] for name, values in given.items()}).ok
    for other in parts[1:]:
        parts[0].merge(other)
    return parts[0]


@pytest.mark.parametrize("estimator", ["difference_in_means", "horvitz_thompson", "hajek", "t_learner", "aipw", "aipw_treated"])
def test_a_study_in_a_stream(study, estimator):
    t, y, given = study
    options = {} if estimator == "t_learner" else {"clip": 0.3, "trim": 0.25}
    whole = car.treatment(estimator, t, y, **given, **options)
    assert same_estimate(whole, in_parts(study, lambda first: car.TreatmentAccumulator(estimator, **options)).result())
    if estimator != "t_learner":
        grouped = t, y, {**given, "clusters": np.arange(400) // 7}
        whole = car.treatment(estimator, t, y, **grouped[2], **options)
        assert same_estimate(whole, in_parts(grouped, lambda first: car.TreatmentAccumulator(estimator, **options)).result())
        drawn = {"interval": "bootstrap", "resamples": 50, "seed": 3}
        whole = car.treatment(estimator, t, y, **given, **drawn)
        assert same_estimate(whole, in_parts(study, lambda first: car.TreatmentAccumulator(estimator, first_row=first, **drawn)).result())


def test_a_stream_of_a_study_from_threads(study):
    t, y, given = study
    all_rows = car.TreatmentAccumulator("hajek", weighting="overlap")
    threads = [
        threading.Thread(target=all_rows.add, args=(t[k::4], y[k::4]), kwargs={"propensity": given["propensity"][k::4]})
        for k in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert same_estimate(car.treatment("hajek", t, y, propensity=given["propensity"], weighting="overlap"), all_rows.result())
    all_rows.merge(all_rows)
    assert all_rows.result().count == 800


def test_errors_of_a_stream(study):
    t, y, given = study
    one = car.TreatmentAccumulator("hajek")
    with pytest.raises(ValueError, match="other has another estimator"):
        one.merge(car.TreatmentAccumulator("aipw"))
    with pytest.raises(ValueError, match="other has an estimator with other options"):
        one.merge(car.TreatmentAccumulator("hajek", weighting="overlap"))
    with pytest.raises(ValueError, match="other has another level, interval, clip"):
        one.merge(car.TreatmentAccumulator("hajek", clip=0.1))
    with pytest.raises(ValueError, match="estimator is 'ols', expected one of 'difference_in_means'"):
        car.TreatmentAccumulator("ols")
    with pytest.raises(ValueError, match="level is 2"):
        car.TreatmentAccumulator("hajek", level=2.0)
    with pytest.raises(TypeError, match="there is no argument 'weight'"):
        car.TreatmentAccumulator("hajek", weight="overlap")
    with pytest.raises(ValueError, match="propensity has shape"):
        one.add(t, y)
    assert one.result().reason == "no_rows"
    assert one.add([1, 0], [math.nan, 0.0], propensity=[0.5, 0.5]).row == 0
    table = car.PlugInAccumulator(3)
    with pytest.raises(ValueError, match="categories is less than 1"):
        car.PlugInAccumulator(0)
    with pytest.raises(ValueError, match="category in row 1 is 3, expected 0 to 2"):
        table.add([1, 0], [1.0, 2.0], [0, 3])
    with pytest.raises(ValueError, match="other has another number of categories"):
        table.merge(car.PlugInAccumulator(2))
    assert table.back_door().count == 0


@pytest.mark.parametrize("options", [{}, {"interval": "bootstrap", "resamples": 50}, {"empty_stratum": "drop"}])
def test_a_table_in_a_stream(options):
    random = np.random.default_rng(5)
    t, s = random.integers(0, 2, 400), random.integers(0, 3, 400)
    y, clusters = s + t + random.normal(size=400), np.arange(400) // 7
    for given in ({}, {"clusters": clusters}):
        parts = []
        for part in (slice(0, 1), slice(1, 150), slice(150, 400)):
            parts.append(car.PlugInAccumulator(3, first_row=part.start, **options))
            parts[-1].add(t[part], y[part], s[part], **{name: values[part] for name, values in given.items()})
        for other in parts[1:]:
            parts[0].merge(other)
        assert same_estimate(car.stratification(t, y, s, 3, **given, **options), parts[0].back_door())
        if "empty_stratum" not in options:
            assert same_estimate(car.front_door(t, y, s, 3, **given, **options), parts[0].front_door())
    parts[0].merge(parts[0])
    assert parts[0].back_door().count == 800


def test_top_k_and_bins():
    random = np.random.default_rng(3)
    p, labels = random.normal(size=(50, 7)).astype(np.float32), random.integers(0, 7, 50)
    for k in (1, 3, 7):
        ranks = (p > p[np.arange(50), labels][:, None]).sum(1)
        assert (car.top_k(p, labels, k=k) == (ranks < k)).all()
    assert math.isnan(car.top_k(p[:1], [-100])[0])
    values = random.random(20)
    assert (car.bins(values, [0.2, 0.7]) == np.digitize(values, [0.2, 0.7])).all()
    with pytest.raises(ValueError, match="car::bins: edge 1 is not above the one before it"):
        car.bins(values, [0.5, 0.5])


def test_profile():
    random = np.random.default_rng(4)
    values, groups = random.random(60), random.integers(0, 4, 60)
    one, other = car.Profile(4), car.Profile(4)
    one.add(values[:20], groups[:20])
    other.add(values[20:], groups[20:])
    one.merge(other)
    for k in range(4):
        part, r = values[groups == k], one.of(k)
        assert near(r.mean, part.mean()) and near(r.standard_error, part.std(ddof=1) / math.sqrt(len(part))) and r.count == len(part)
    assert near(one.all().mean, values.mean()) and near(one.of([0, 1, 2, 3]).mean, values.mean()) and len(one) == 4
    assert near(one.macro().mean, np.mean([values[groups == k].mean() for k in range(4)]))
    assert one.ranked() == sorted(range(4), key=lambda k: -values[groups == k].mean())
    drop = car.Profile(1)
    drop.add_drop([1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0, 0, -1])
    assert drop.all().mean == 0.5 and drop.all().count == 2
    with pytest.raises(ValueError, match="group in row 0 is 4, expected -1 to 3"):
        one.add([1.0], [4])


def test_what_is_no_array_and_no_group():
    with pytest.raises(TypeError, match="propensity"):
        car.propensity_weights([1, 0], None)
    profile = car.Profile(3)
    profile.add([1.0, 0.0, 1.0], [0, 1, 1])
    assert profile.of(np.array([0, 1])).count == 3
    for group in (None, 1.5, [0.5], "ab"):
        with pytest.raises(TypeError, match="group"):
            profile.of(group)
