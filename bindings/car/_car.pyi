# SPDX-License-Identifier: Apache-2.0
# Made by script/stubs.
"""
The compiled half of car. Import car.
"""
from __future__ import annotations
import collections.abc
import numpy.typing
import typing
__all__: list[str] = ['AdjustResult', 'EffectAccumulator', 'EffectResult', 'Estimate', 'FamilyResult', 'LossHvpResult', 'LossResult', 'NoiseFill', 'OcclusionFactors', 'PlugInAccumulator', 'Profile', 'RowStatus', 'TreatmentAccumulator', 'TreatmentResult', 'adjust', 'attention', 'attention_vjp', 'bins', 'cal', 'cf_vqa', 'config', 'confounder_dictionary', 'confounder_dictionary_vjp', 'corrected_softmax', 'corrected_softmax_vjp', 'counterfactual_entropy', 'decompose', 'deconfounded', 'deconfounded_vjp', 'dragonnet', 'effect', 'erase', 'erase_vjp', 'front_door', 'front_door_attention', 'front_door_attention_vjp', 'fusion_effect', 'get_num_threads', 'guidance', 'guidance_vjp', 'irm', 'learned_mixin', 'log_softmax', 'log_sum_exp', 'logit_adjusted', 'logit_adjustment', 'logit_pairing', 'loss', 'loss_hvp', 'loss_options', 'mean_effect', 'occlude', 'occlusion_factors_of', 'product_of_experts', 'propensity_weights', 'rubi', 'set_num_threads', 'softmax', 'stratification', 'textual_intervention', 'textual_intervention_vjp', 'top_k', 'treatment', 'v_rex', 'visual_intervention', 'visual_intervention_vjp', 'xerm']
class LossOptions(typing.TypedDict, total=False):
    """The options of `loss`, for functions that pass them on."""

    alpha: float
    strength: float
    temperature: float
    logit_scale: float
    softcap: float | None
    label_smoothing: float
    z_weight: float
    ignore_index: int
    kl_target: typing.Literal['prediction', 'label']
    flow: typing.Literal['full', 'stop_target', 'stop_counterfactual', 'stop_factual']
    reduction: typing.Literal['none', 'sum', 'mean']
    divisor: float | None
    empty: typing.Literal['zero', 'nan', 'error']
    precision: typing.Literal['fast', 'accurate', 'highest']

class RowStatus:
    """
    The first row whose values have no answer, and how many such rows there are.
    """
    def __repr__(self) -> str:
        ...
    @property
    def fault(self) -> str:
        """
        'none', 'masked_row' or 'not_finite'.
        """
    @property
    def ok(self) -> bool:
        """
        Whether there is none.
        """
    @property
    def row(self) -> int:
        """
        The first such row; -1 if there is none.
        """
    @property
    def rows(self) -> int:
        """
        How many there are.
        """
class LossResult:
    """
    The loss, every term of it, and the arrays that were asked for (else None).
    """
    def __repr__(self) -> str:
        ...
    @property
    def correct(self) -> int:
        """
        Rows predicted as their label.
        """
    @property
    def count(self) -> int:
        """
        Rows that are not ignored.
        """
    @property
    def cross_entropy(self) -> float:
        """
        Reduced as the value is.
        """
    @property
    def divergence(self) -> float:
        """
        Reduced as the value is, without alpha.
        """
    @property
    def grad_c(self) -> typing.Any:
        """
        N x C: d value / d c.
        """
    @property
    def grad_p(self) -> typing.Any:
        """
        N x C: d value / d p.
        """
    @property
    def lse_p(self) -> typing.Any:
        """
        N.
        """
    @property
    def lse_y(self) -> typing.Any:
        """
        N.
        """
    @property
    def predicted(self) -> typing.Any:
        """
        N.
        """
    @property
    def row_cross_entropy(self) -> typing.Any:
        """
        N.
        """
    @property
    def row_divergence(self) -> typing.Any:
        """
        N.
        """
    @property
    def row_loss(self) -> typing.Any:
        """
        N.
        """
    @property
    def status(self) -> RowStatus:
        """
        Which row, if any, has no answer.
        """
    @property
    def value(self) -> float:
        """
        The loss: sum or mean of the rows'; NaN with reduction='none'.
        """
    @property
    def weight(self) -> float:
        """
        Sum of the rows' weights: what the mean divides by.
        """
    @property
    def z_loss(self) -> float:
        """
        The squares of lse_p, reduced as the value is, without z_weight.
        """
class LossHvpResult:
    """
    The product of the loss's Hessian and a direction.
    """
    @property
    def grad_c(self) -> typing.Any:
        """
        N x C: how d value / d c changes along the direction.
        """
    @property
    def grad_p(self) -> typing.Any:
        """
        N x C: how d value / d p changes along the direction.
        """
    @property
    def status(self) -> RowStatus:
        """
        Which row, if any, has no answer.
        """
class EffectResult:
    """
    A mean effect. NaN where there is no answer: the mean of no sample, the error of fewer than two.
    """
    def __repr__(self) -> str:
        ...
    @property
    def class_effect(self) -> typing.Any:
        """
        N x C: the effect on every class, if it was asked for.
        """
    @property
    def count(self) -> int:
        """
        Samples that are not ignored.
        """
    @property
    def lower(self) -> float:
        """
        Where the interval begins.
        """
    @property
    def mean(self) -> float:
        """
        The mean of the effects.
        """
    @property
    def positive(self) -> float:
        """
        Share of rows with a positive effect.
        """
    @property
    def reason(self) -> str:
        """
        Why the mean, or its error and interval alone, is NaN; else 'none'.
        """
    @property
    def row_draw_error(self) -> typing.Any:
        """
        N: its standard error over the draws, if it was asked for.
        """
    @property
    def row_effect(self) -> typing.Any:
        """
        N: each sample's effect, if it was asked for.
        """
    @property
    def standard_error(self) -> float:
        """
        Of the mean; the sample is the unit.
        """
    @property
    def status(self) -> RowStatus:
        """
        Which row, if any, has no answer.
        """
    @property
    def units(self) -> int:
        """
        What was sampled independently: clusters where they are given, else rows.
        """
    @property
    def upper(self) -> float:
        """
        Where the interval ends.
        """
class EffectAccumulator:
    """
    P_effect over a stream of batches, overall and by class.
    
    Any split, order or merge of the same rows agrees within 4 units in the last place of max(|mean|, standard error). Threads may add to
    one accumulator.
    
    >>> effects = car.EffectAccumulator(2)
    >>> effects.add([[2.0, 0.0]], [[0.0, 0.0]], [0]).ok
    True
    >>> other = car.EffectAccumulator(2)
    >>> status = other.add([[1.0, 1.0]], [[0.0, 1.0]], [1])
    >>> effects.merge(other)
    >>> effects.result().count, effects.of_class(1).count
    (2, 1)
    """
    def __init__(self, classes: int, *, level: float = 0.95, interval: typing.Literal['student_t', 'normal', 'bootstrap', 'wilson'] = 'student_t', ignore_index: int = -100, scale: typing.Literal['probability', 'log_odds', 'logit', 'divergence'] = 'probability', draws: int = 1, resamples: int = 1000, seed: int = 0, first_row: int = 0) -> None:
        """
        For labels 0 to classes - 1; the options are those of `car.effect`.
        """
    def add(self, p: numpy.typing.ArrayLike, c: numpy.typing.ArrayLike, labels: numpy.typing.ArrayLike, *, weights: numpy.typing.ArrayLike | None = None, clusters: numpy.typing.ArrayLike | None = None) -> RowStatus:
        """
        Adds a batch, as `car.effect` takes it; C is the number of classes.
        """
    def macro(self) -> EffectResult:
        """
        The mean over classes.
        """
    def merge(self, other: EffectAccumulator) -> None:
        """
        Adds what another accumulator has seen.
        """
    def of_class(self, label: int) -> EffectResult:
        """
        Over the rows of one label so far.
        """
    def result(self) -> EffectResult:
        """
        Over all rows so far.
        """
    @property
    def classes(self) -> int:
        """
        The number of classes.
        """
class NoiseFill:
    """
    Normal noise in the actor's place.
    
    A pixel's value depends on the seed and its index (first_image + n, channel, y, x) alone: no split or order of batches shows.
    
    >>> car.erase([[1.0, 1.0]], [[0.0, 1.0]], car.NoiseFill(seed=3)).shape
    (1, 2)
    """
    def __init__(self, *, seed: int = 0, mean: float = 0.0, deviation: float = 1.0, first_image: int = 0) -> None:
        ...
    def __repr__(self) -> str:
        ...
    @property
    def deviation(self) -> float:
        ...
    @property
    def first_image(self) -> int:
        ...
    @property
    def mean(self) -> float:
        ...
    @property
    def seed(self) -> int:
        ...
class OcclusionFactors:
    """
    The paper's three factors; NaN where no frame has an actor, or none is occluded.
    """
    def __repr__(self) -> str:
        ...
    @property
    def area_ratio(self) -> float:
        """
        Share of the box's area in the frame that is covered.
        """
    @property
    def degree(self) -> float:
        """
        Size of what covers over the box's size.
        """
    @property
    def duration_ratio(self) -> float:
        """
        Share of the frames with an actor in which it is occluded.
        """
class AdjustResult:
    """
    The loss of adjusted predictions, and the arrays that were asked for (else None).
    """
    def __repr__(self) -> str:
        ...
    @property
    def count(self) -> int:
        """
        Rows that are not ignored.
        """
    @property
    def grad(self) -> typing.Any:
        """
        As g: d value / d g.
        """
    @property
    def probability(self) -> typing.Any:
        """
        N x C: P(y | do x).
        """
    @property
    def row_loss(self) -> typing.Any:
        """
        N.
        """
    @property
    def status(self) -> RowStatus:
        """
        Which row, if any, has no answer.
        """
    @property
    def value(self) -> float:
        """
        The loss: sum or mean of the rows'; NaN with reduction='none'.
        """
class TreatmentResult:
    """
    The effect of a treatment. NaN where there is no answer; `reason` says why.
    """
    def __repr__(self) -> str:
        ...
    @property
    def clipped(self) -> int:
        """
        Rows whose propensity was moved.
        """
    @property
    def control(self) -> int:
        """
        Rows of the control arm.
        """
    @property
    def count(self) -> int:
        """
        Rows that the effect is of.
        """
    @property
    def dropped(self) -> int:
        """
        Rows left out with them.
        """
    @property
    def empty_cells(self) -> int:
        """
        Strata without one of the arms, or combinations that were not seen.
        """
    @property
    def lower(self) -> float:
        """
        Where the interval begins.
        """
    @property
    def mean(self) -> float:
        """
        The effect.
        """
    @property
    def reason(self) -> str:
        """
        Why the effect, or its error and interval alone, is NaN; else 'none'.
        """
    @property
    def standard_error(self) -> float:
        """
        Of the effect; the row, or the cluster, is the unit.
        """
    @property
    def status(self) -> RowStatus:
        """
        Which row, if any, has no value.
        """
    @property
    def treated(self) -> int:
        """
        Rows of the treated arm.
        """
    @property
    def trimmed(self) -> int:
        """
        Rows left out for their propensity.
        """
    @property
    def units(self) -> int:
        """
        What was sampled independently: clusters where they are given, else rows.
        """
    @property
    def upper(self) -> float:
        """
        Where the interval ends.
        """
class TreatmentAccumulator:
    """
    `car.treatment` over a stream of batches.
    
    Any split, order or merge of the same rows agrees within 4 units in the last place of max(|mean|, standard error). Threads may add to
    one accumulator.
    
    >>> study = car.TreatmentAccumulator("difference_in_means")
    >>> study.add([1, 0], [3.0, 1.0]).ok
    True
    >>> other = car.TreatmentAccumulator("difference_in_means")
    >>> status = other.add([1, 0], [5.0, 2.0])
    >>> study.merge(other)
    >>> study.result() # doctest: +ELLIPSIS
    TreatmentResult(mean=2.5, standard_error=1.11803, ..., count=4)
    """
    def __init__(self, estimator: typing.Literal['difference_in_means', 'horvitz_thompson', 'hajek', 't_learner', 'aipw', 'aipw_treated'], *, weighting: typing.Literal['inverse', 'stabilised', 'treated', 'control', 'overlap'] = 'inverse', level: float = 0.95, interval: typing.Literal['student_t', 'normal', 'bootstrap', 'wilson'] = 'student_t', clip: float | None = None, trim: float | None = None, resamples: int = 1000, seed: int = 0, first_row: int = 0) -> None:
        """
        By one of the estimators of `car.treatment`, whose options it takes.
        """
    def add(self, treatment: numpy.typing.ArrayLike, outcome: numpy.typing.ArrayLike, *, propensity: numpy.typing.ArrayLike | None = None, control_mean: numpy.typing.ArrayLike | None = None, treated_mean: numpy.typing.ArrayLike | None = None, clusters: numpy.typing.ArrayLike | None = None) -> RowStatus:
        """
        Adds a batch, as `car.treatment` takes it.
        """
    def merge(self, other: TreatmentAccumulator) -> None:
        """
        Adds what another accumulator of the same estimator and options has seen.
        """
    def result(self) -> TreatmentResult:
        """
        Over all rows so far.
        """
class PlugInAccumulator:
    """
    `car.stratification` and `car.front_door` over a stream of batches: the state is a table.
    
    Any split, order or merge of the same rows agrees within 4 units in the last place of max(|mean|, standard error). Threads may add to
    one accumulator.
    
    >>> strata = car.PlugInAccumulator(2)
    >>> strata.add([1, 0], [2.0, 1.0], [0, 0])
    >>> strata.add([1, 0], [5.0, 3.0], [1, 1])
    >>> strata.back_door().mean
    1.5
    """
    def __init__(self, count: int, *, level: float = 0.95, interval: typing.Literal['student_t', 'normal', 'bootstrap', 'wilson'] = 'student_t', empty_stratum: typing.Literal['undefined', 'drop'] = 'undefined', resamples: int = 1000, seed: int = 0, first_row: int = 0) -> None:
        """
        For categories 0 to count - 1; the options are those of `car.stratification`.
        """
    def add(self, treatment: numpy.typing.ArrayLike, outcome: numpy.typing.ArrayLike, category: numpy.typing.ArrayLike, *, clusters: numpy.typing.ArrayLike | None = None) -> None:
        """
        Adds a batch; its categories are the strata of the back door, or the mediators of the front door.
        """
    def back_door(self) -> TreatmentResult:
        """
        `car.stratification` of all rows so far.
        """
    def front_door(self) -> TreatmentResult:
        """
        `car.front_door` of all rows so far.
        """
    def merge(self, other: PlugInAccumulator) -> None:
        """
        Adds what another accumulator of the same count and options has seen.
        """
class Estimate:
    """
    A mean with its interval. NaN where there is no answer; `reason` says why.
    """
    def __repr__(self) -> str:
        ...
    @property
    def count(self) -> int:
        """
        Values that the mean is of.
        """
    @property
    def lower(self) -> float:
        """
        Where the interval begins.
        """
    @property
    def mean(self) -> float:
        """
        The mean of the values.
        """
    @property
    def reason(self) -> str:
        """
        Why the mean, or its error and interval alone, is NaN; else 'none'.
        """
    @property
    def standard_error(self) -> float:
        """
        Of the mean.
        """
    @property
    def units(self) -> int:
        """
        What was sampled independently: clusters where they are given, else values.
        """
    @property
    def upper(self) -> float:
        """
        Where the interval ends.
        """
class Profile:
    """
    Means by group, each with its interval, in a stream: accuracy by class, its drop.
    
    Any split, order or merge of the same values agrees within 4 units in the last place of max(|mean|, standard error). Threads may add to
    one profile.
    
    >>> accuracy = car.Profile(2, interval="wilson")
    >>> accuracy.add([1.0, 0.0, 1.0, 1.0], [0, 0, 1, 1])
    >>> accuracy.of(0).mean, accuracy.of([0, 1]).mean, accuracy.macro().mean, accuracy.ranked()
    (0.5, 0.75, 0.75, [1, 0])
    """
    def __init__(self, groups: int, *, level: float = 0.95, interval: typing.Literal['student_t', 'normal', 'bootstrap', 'wilson'] = 'student_t', resamples: int = 1000, seed: int = 0, first_row: int = 0) -> None:
        """
        For groups 0 to groups - 1.
        """
    def __len__(self) -> int:
        ...
    def add(self, values: numpy.typing.ArrayLike, groups: numpy.typing.ArrayLike, *, clusters: numpy.typing.ArrayLike | None = None) -> None:
        """
        Adds values with their groups; one of group -1 is left out.
        """
    def add_drop(self, before: numpy.typing.ArrayLike, after: numpy.typing.ArrayLike, groups: numpy.typing.ArrayLike, *, clusters: numpy.typing.ArrayLike | None = None) -> None:
        """
        Adds before - after of each row.
        """
    def all(self) -> Estimate:
        """
        Over all groups as one.
        """
    def macro(self) -> Estimate:
        """
        The mean over groups.
        """
    def merge(self, other: Profile) -> None:
        """
        Adds what another profile has seen.
        """
    def of(self, group: int | collections.abc.Sequence[int]) -> Estimate:
        """
        Over a group, or several as one.
        """
    def ranked(self) -> list[int]:
        """
        The groups that have a mean, the largest first.
        """
class FamilyResult:
    """
    A loss of the family: its value, terms, and the arrays that were asked for.
    """
    def __getattr__(self, name: str) -> typing.Any:
        """
        A term or a gradient by its name.
        """
    def __repr__(self) -> str:
        ...
    @property
    def count(self) -> int:
        """
        Rows that are not ignored.
        """
    @property
    def gradients(self) -> dict[str, typing.Any]:
        """
        Gradients by name; None where none was asked for.
        """
    @property
    def row_loss(self) -> typing.Any:
        """
        N, or None.
        """
    @property
    def status(self) -> RowStatus:
        """
        Which row, if any, has no answer.
        """
    @property
    def terms(self) -> dict[str, float]:
        """
        Its terms by name, reduced as the value is.
        """
    @property
    def value(self) -> float:
        """
        The loss; NaN with reduction='none'.
        """
    @property
    def weight(self) -> float:
        """
        Sum of the rows' weights.
        """
def adjust(g: numpy.typing.ArrayLike, prior: numpy.typing.ArrayLike, labels: numpy.typing.ArrayLike, *, adjustment: typing.Literal['exact', 'geometric'] = 'exact', reduction: typing.Literal['none', 'sum', 'mean'] = 'mean', ignore_index: int = -100, probability: bool | typing.Any = None, grad: bool | typing.Any = None, row_loss: bool | typing.Any = None, backend: str | None = None) -> AdjustResult:
    """
    Back-door adjustment of predictions: the confounder's strata, each with its own logits g_k and the probability prior_k.
    
        exact      P = sum_k prior_k softmax(g_k)
        geometric  P = softmax(sum_k prior_k g_k), the normalised weighted geometric mean (NWGM)
    
    and the negative log-likelihood of the labels.
    
    Shapes
        g: (K N) x C logits, stratum after stratum, or K x N x C; float32, float64, bfloat16 or float16. prior: K, of the terms' type. labels:
        N integers. probability: N x C. grad: as g. row_loss: N, of the terms' type. True for a new array, or an array to write.
    Units
        nats, as 64-bit floats.
    Errors
        ValueError for a shape, a prior that does not sum to 1, a label out of range or an option's value, TypeError for a type. Values are
        no error: `status` names the first row that has no answer.
    Source
        Pearl 2009, 3.3.1; Xu et al. 2015 for the NWGM.
    
    >>> r = car.adjust([[[2.0, 0.0]], [[0.0, 2.0]]], [0.5, 0.5], [0], probability=True)
    >>> r.probability, round(r.value, 6)
    (array([[0.5, 0.5]]), 0.693147)
    """
def attention(q: numpy.typing.ArrayLike, k: numpy.typing.ArrayLike, v: numpy.typing.ArrayLike, *, batch: int = 1, scale: float | None = None, query: numpy.typing.ArrayLike | None = None, key: numpy.typing.ArrayLike | None = None, value: numpy.typing.ArrayLike | None = None, out: bool | typing.Any = None, backend: str | None = None) -> typing.Any:
    """
    Attention: what each query reads from the keys' values.
    
        y = softmax(scale (q query) (k key)^T) (v value),   scale = 1 / sqrt(E) if it is None
    
    In-sample where k has samples of its own for each of q's, cross-sample where k and v are one global dictionary.
    
    Shapes
        q: B x L x D, k: B x S x D', v: B x S x F'; or with two dimensions the samples one after the other, batch of them. query: D x E, key:
        D' x E, value: F' x F. out, the result: B x L x F, or as q. Of one type; float32, float64, bfloat16 or float16.
    Units
        those of v.
    Errors
        ValueError for a shape or an option's value, TypeError for a type.
    Source
        Causal Attention.
    
    >>> car.attention([[1.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]], [[2.0], [4.0]])
    array([[3.]])
    """
def attention_vjp(q: numpy.typing.ArrayLike, k: numpy.typing.ArrayLike, v: numpy.typing.ArrayLike, upstream: numpy.typing.ArrayLike, *, batch: int = 1, scale: float | None = None, query: numpy.typing.ArrayLike | None = None, key: numpy.typing.ArrayLike | None = None, value: numpy.typing.ArrayLike | None = None, grad_q: bool | typing.Any = None, grad_k: bool | typing.Any = None, grad_v: bool | typing.Any = None, grad_query: bool | typing.Any = None, grad_key: bool | typing.Any = None, grad_value: bool | typing.Any = None, backend: str | None = None) -> tuple[typing.Any, typing.Any, typing.Any, typing.Any, typing.Any, typing.Any]:
    """
    Vector-Jacobian product of `car.attention`: (grad_q, grad_k, grad_v, grad_query, grad_key, grad_value).
    
    Shapes
        as the op's; upstream: as its result; each gradient: as what it is of. False in place of a gradient leaves it out; it is None then, as
        is that of a projection that is not given.
    Units
        those of upstream.
    Errors
        as the op's.
    """
def bins(values: numpy.typing.ArrayLike, edges: collections.abc.Sequence[float], *, groups: bool | typing.Any = None) -> typing.Any:
    """
    The bin of each value: the number of edges that are at most the value; -1 for a NaN.
    
    Shapes
        values: N, float64. edges: any number, rising. groups, the result: N, int64.
    Units
        bins, from 0.
    Errors
        ValueError for a shape or edges that do not rise, TypeError for a type.
    
    >>> car.bins([0.0, 0.3, 0.9], [0.25, 0.5])
    array([0, 1, 2])
    """
def cal(p: numpy.typing.ArrayLike, c: numpy.typing.ArrayLike, labels: numpy.typing.ArrayLike, *, strength: float = 1.0, factual_weight: float = 1.0, corrected_weight: float = 1.0, ignore_index: int = -100, reduction: typing.Literal['none', 'sum', 'mean'] = 'mean', divisor: float | None = None, empty: typing.Literal['zero', 'nan', 'error'] = 'zero', upstream: numpy.typing.ArrayLike | None = None, sample_weight: numpy.typing.ArrayLike | None = None, weight: numpy.typing.ArrayLike | None = None, gradients: bool = False, grad_p: bool | typing.Any = None, grad_c: bool | typing.Any = None, row_loss: bool | typing.Any = None) -> FamilyResult:
    """
    Counterfactual Attention Learning: factual_weight CE(p, label) + corrected_weight CE(p - strength c, label).
    
    >>> round(car.cal([[1.0, 0.0]], [[0.5, 0.5]], [0]).value, 6)
    0.626523
    
    Shapes
        logits and their gradients: N x C, or C for one row, of one type; float32, float64, bfloat16 or float16, in any strides. labels: N
        integers of any type. Numbers of rows: N. weight: C. upstream, sample_weight: N, of the terms' type.
    Units
        nats (of the outcome, squared, for `car.dragonnet`), as 64-bit floats, summed or averaged over rows that are not ignored, by weight.
    Arrays
        gradients=True makes every gradient; each output also takes True, or an array that is written, perhaps its own input. They are
        attributes of the result, as its terms are: `result.terms` and `result.gradients` list both.
    Errors
        ValueError for a shape, a label or an option's value, TypeError for a type. NaN and infinity are never errors: `status` names the row.
    """
def cf_vqa(p: numpy.typing.ArrayLike, q: numpy.typing.ArrayLike, v: numpy.typing.ArrayLike, labels: numpy.typing.ArrayLike, *, fusion: typing.Literal['sum', 'harmonic', 'gate'] = 'sum', constant: float = 0.0, question_weight: float = 1.0, vision_weight: float = 1.0, divergence_weight: float = 1.0, formula: typing.Literal['exact', 'as_published'] = 'exact', ignore_index: int = -100, reduction: typing.Literal['none', 'sum', 'mean'] = 'mean', divisor: float | None = None, empty: typing.Literal['zero', 'nan', 'error'] = 'zero', upstream: numpy.typing.ArrayLike | None = None, sample_weight: numpy.typing.ArrayLike | None = None, weight: numpy.typing.ArrayLike | None = None, gradients: bool = False, grad_p: bool | typing.Any = None, grad_q: bool | typing.Any = None, grad_v: bool | typing.Any = None, row_loss: bool | typing.Any = None) -> FamilyResult:
    """
    Counterfactual VQA: CE(h, label) + question_weight CE(q, label) + vision_weight CE(v, label) + divergence_weight CE(softmax(h), h*).
    
        h = fusion(p, q, v),   h* = fusion(constant, q, constant); from the last term only the constant learns (`grad_constant`)
        sum: log sigmoid(p + q + v);   harmonic: log(Z / (1 + Z)), Z = sigmoid(p) sigmoid(q) sigmoid(v);   gate: p sigmoid(q)
    
    Shapes
        logits and their gradients: N x C, or C for one row, of one type; float32, float64, bfloat16 or float16, in any strides. labels: N
        integers of any type. Numbers of rows: N. weight: C. upstream, sample_weight: N, of the terms' type.
    Units
        nats (of the outcome, squared, for `car.dragonnet`), as 64-bit floats, summed or averaged over rows that are not ignored, by weight.
    Arrays
        gradients=True makes every gradient; each output also takes True, or an array that is written, perhaps its own input. They are
        attributes of the result, as its terms are: `result.terms` and `result.gradients` list both.
    Errors
        ValueError for a shape, a label or an option's value, TypeError for a type. NaN and infinity are never errors: `status` names the row.
    """
def config() -> dict[str, typing.Any]:
    """
    Version, backends, instruction set, threads and compiler of the compiled half.
    """
def confounder_dictionary(x: numpy.typing.ArrayLike, z: numpy.typing.ArrayLike, prior: numpy.typing.ArrayLike, *, normalise: typing.Literal['as_published', 'yes'] = 'yes', scale: float | None = None, query: numpy.typing.ArrayLike | None = None, key: numpy.typing.ArrayLike | None = None, out: bool | typing.Any = None, backend: str | None = None) -> typing.Any:
    """
    The expected confounder given each row: attention over a dictionary.
    
        a = softmax(scale (x query) (z key)^T),   y = sum_k w_k z_k,   scale = 1 / sqrt(E) if it is None
        w_k = prior_k a_k ('as_published', which does not sum to 1), or prior_k a_k / sum_l prior_l a_l ('yes')
    
    Shapes
        x: N x D, or B x N x D. z: K x Dz. prior: K, of the terms' type. query: D x E, key: Dz x E. out, the result: N x Dz, or B x N x Dz.
    Units
        those of z.
    Errors
        ValueError for a shape, a prior that does not sum to 1 or an option's value, TypeError for a type.
    Source
        VC R-CNN, DeVLBert, CCIM.
    
    >>> z, prior = [[1.0, 1.0], [1.0, 3.0]], [0.5, 0.5]
    >>> car.confounder_dictionary([[1.0, 0.0]], z, prior)
    array([[1., 2.]])
    >>> car.confounder_dictionary([[1.0, 0.0]], z, prior, normalise="as_published")
    array([[0.5, 1. ]])
    """
def confounder_dictionary_vjp(x: numpy.typing.ArrayLike, z: numpy.typing.ArrayLike, prior: numpy.typing.ArrayLike, upstream: numpy.typing.ArrayLike, *, normalise: typing.Literal['as_published', 'yes'] = 'yes', scale: float | None = None, query: numpy.typing.ArrayLike | None = None, key: numpy.typing.ArrayLike | None = None, grad_x: bool | typing.Any = None, grad_z: bool | typing.Any = None, grad_prior: bool | typing.Any = None, grad_query: bool | typing.Any = None, grad_key: bool | typing.Any = None, backend: str | None = None) -> tuple[typing.Any, typing.Any, typing.Any, typing.Any, typing.Any]:
    """
    Vector-Jacobian product of `car.confounder_dictionary`: (grad_x, grad_z, grad_prior, grad_query, grad_key).
    
    Shapes
        as the op's; upstream: as its result; each gradient: as what it is of. False in place of a gradient leaves it out; it is None then, as
        is that of a projection that is not given.
    Units
        those of upstream.
    Errors
        as the op's.
    """
def corrected_softmax(p: numpy.typing.ArrayLike, c: numpy.typing.ArrayLike, *, strength: float = 1.0, temperature: float = 1.0, out: bool | typing.Any = None, backend: str | None = None) -> typing.Any:
    """
    Softmax of each row of (p - strength c) / temperature, the corrected prediction.
    
    Shapes
        p, c: N x C logits, or C for one row, of one type; float32, float64, bfloat16 or float16, in any strides. out, the result: as p;
        out may be p or c.
    Units
        probabilities.
    Errors
        ValueError for a shape or an option's value, TypeError for a type.
    Source
        OccludeNet, Eq. 3.
    
    >>> car.corrected_softmax([[1.0, 1.0]], [[0.0, 0.0]])
    array([[0.5, 0.5]])
    """
def corrected_softmax_vjp(y: numpy.typing.ArrayLike, upstream: numpy.typing.ArrayLike, *, strength: float = 1.0, temperature: float = 1.0, grad_p: bool | typing.Any = None, grad_c: bool | typing.Any = None, backend: str | None = None) -> tuple[typing.Any, typing.Any]:
    """
    Vector-Jacobian product of `car.corrected_softmax`, from its output y: (grad_p, grad_c).
    
    Shapes
        y, upstream, grad_p, grad_c: N x C, or C. False in place of a gradient leaves it out; it is None then.
    Units
        those of upstream.
    Errors
        as `car.corrected_softmax`.
    Source
        OccludeNet, Eq. 3.
    
    >>> y = car.corrected_softmax([[1.0, 1.0]], [[0.0, 0.0]])
    >>> car.corrected_softmax_vjp(y, [[1.0, 0.0]], grad_c=False)
    (array([[ 0.25, -0.25]]), None)
    """
def counterfactual_entropy(p: numpy.typing.ArrayLike, labels: numpy.typing.ArrayLike, *, target: typing.Literal['not_label', 'uniform', 'uniform_others'] = 'not_label', formula: typing.Literal['exact', 'as_published'] = 'exact', ignore_index: int = -100, reduction: typing.Literal['none', 'sum', 'mean'] = 'mean', divisor: float | None = None, empty: typing.Literal['zero', 'nan', 'error'] = 'zero', upstream: numpy.typing.ArrayLike | None = None, sample_weight: numpy.typing.ArrayLike | None = None, weight: numpy.typing.ArrayLike | None = None, gradients: bool = False, grad_p: bool | typing.Any = None, row_loss: bool | typing.Any = None) -> FamilyResult:
    """
    Cross-entropy of a counterfactual sample: -log(1 - P[label]), or that against a uniform target over all or all other classes.
    
    Shapes
        logits and their gradients: N x C, or C for one row, of one type; float32, float64, bfloat16 or float16, in any strides. labels: N
        integers of any type. Numbers of rows: N. weight: C. upstream, sample_weight: N, of the terms' type.
    Units
        nats (of the outcome, squared, for `car.dragonnet`), as 64-bit floats, summed or averaged over rows that are not ignored, by weight.
    Arrays
        gradients=True makes every gradient; each output also takes True, or an array that is written, perhaps its own input. They are
        attributes of the result, as its terms are: `result.terms` and `result.gradients` list both.
    Errors
        ValueError for a shape, a label or an option's value, TypeError for a type. NaN and infinity are never errors: `status` names the row.
    """
def decompose(fact: numpy.typing.ArrayLike, partly: numpy.typing.ArrayLike, nothing: numpy.typing.ArrayLike, *, part: typing.Literal['total', 'first', 'second'] = 'first', out: bool | typing.Any = None) -> typing.Any:
    """
    Effects as differences of logits: fact - nothing ('total'), fact - partly ('first'), partly - nothing ('second').
    
    Scene graphs: TE, TDE, NIE. Counterfactual VQA: TE, TIE, NDE.
    
    Shapes
        every input, and out, the result: N x C, or C, of one type; float32, float64, bfloat16 or float16, in any strides. out may be an input.
    Units
        logits.
    Errors
        ValueError for a shape or an option's value, TypeError for a type.
    """
def deconfounded(x: numpy.typing.ArrayLike, w: numpy.typing.ArrayLike, *, direction: numpy.typing.ArrayLike | None = None, heads: int = 2, scale: float = 16.0, gamma: float = 0.03125, strength: float = 0.0, out: bool | typing.Any = None) -> typing.Any:
    """
    De-confounded classifier: multi-head normalised weights; with strength, the effect of x along `direction` taken away.
    
        y = (scale / heads) sum_h w^h . (x^h / |x^h| - strength cos(x^h, d^h) d^h / |d^h|) / (|w^h| + gamma)
    
    Shapes
        x: N x D features, w: C x D, direction: D; out, the result: N x C.
    Units
        logits.
    Errors
        ValueError for a shape or an option's value, TypeError for a type.
    """
def deconfounded_vjp(x: numpy.typing.ArrayLike, w: numpy.typing.ArrayLike, upstream: numpy.typing.ArrayLike, *, heads: int = 2, scale: float = 16.0, gamma: float = 0.03125, strength: float = 0.0, grad_x: bool | typing.Any = None, grad_w: bool | typing.Any = None) -> tuple[typing.Any, typing.Any]:
    """
    Vector-Jacobian product of `car.deconfounded` with strength 0, as it is trained: (grad_x, grad_w).
    
    Shapes
        x, grad_x: N x D; w, grad_w: C x D; upstream: N x C.
    Units
        those of upstream.
    Errors
        ValueError for a shape or an option's value, TypeError for a type.
    """
def dragonnet(y0: numpy.typing.ArrayLike, y1: numpy.typing.ArrayLike, propensity: numpy.typing.ArrayLike, outcome: numpy.typing.ArrayLike, treatment: numpy.typing.ArrayLike, *, treatment_weight: float = 1.0, targeted_weight: float = 1.0, epsilon: float = 0.0, formula: typing.Literal['exact', 'as_published'] = 'exact', reduction: typing.Literal['none', 'sum', 'mean'] = 'mean', divisor: float | None = None, empty: typing.Literal['zero', 'nan', 'error'] = 'zero', upstream: numpy.typing.ArrayLike | None = None, sample_weight: numpy.typing.ArrayLike | None = None, gradients: bool = False, grad_y0: bool | typing.Any = None, grad_y1: bool | typing.Any = None, grad_propensity: bool | typing.Any = None, row_loss: bool | typing.Any = None) -> FamilyResult:
    """
    DragonNet with targeted regularisation; propensity is a logit.
    
        (1 - t)(y - y0)^2 + t (y - y1)^2 + treatment_weight BCE(t, e) + targeted_weight (y - y_t - epsilon h)^2,   h = t/e - (1 - t)/(1 - e)
    
    Shapes
        logits and their gradients: N x C, or C for one row, of one type; float32, float64, bfloat16 or float16, in any strides. labels: N
        integers of any type. Numbers of rows: N. weight: C. upstream, sample_weight: N, of the terms' type.
    Units
        nats (of the outcome, squared, for `car.dragonnet`), as 64-bit floats, summed or averaged over rows that are not ignored, by weight.
    Arrays
        gradients=True makes every gradient; each output also takes True, or an array that is written, perhaps its own input. They are
        attributes of the result, as its terms are: `result.terms` and `result.gradients` list both.
    Errors
        ValueError for a shape, a label or an option's value, TypeError for a type. NaN and infinity are never errors: `status` names the row.
    """
def effect(p: numpy.typing.ArrayLike, c: numpy.typing.ArrayLike, labels: numpy.typing.ArrayLike, *, level: float = 0.95, interval: typing.Literal['student_t', 'normal', 'bootstrap', 'wilson'] = 'student_t', ignore_index: int = -100, scale: typing.Literal['probability', 'log_odds', 'logit', 'divergence'] = 'probability', draws: int = 1, resamples: int = 1000, seed: int = 0, first_row: int = 0, weights: numpy.typing.ArrayLike | None = None, clusters: numpy.typing.ArrayLike | None = None, row_effect: bool | typing.Any = None, row_draw_error: bool | typing.Any = None, class_effect: bool | typing.Any = None, backend: str | None = None) -> EffectResult:
    """
    P_effect: how much probability the actor gives to the label, as a paired mean over samples.
    
        e[i] = softmax(p[i])[labels[i]] - softmax(c[i])[labels[i]],   mean = sum e / n,   standard_error = sd(e) / sqrt(n)
    
    Shapes
        p: N x C logits, or C for one row. c: the same, or with draws=M the M counterfactuals of each row: (M N) x C, draw after draw. Of one
        type, any strides. labels: N integers. weights: N, of the terms' type. clusters: N integers; rows of one cluster are not independent.
        row_effect, row_draw_error: N, of the terms' type; class_effect: N x C. True for a new array, or an array to write.
    Units
        differences of probabilities, or as `scale` says: nats for log-odds, logits and divergences. The interval is Student's t, normal, or
        a seeded bootstrap.
    Errors
        ValueError for a shape, a label out of range or an option's value, TypeError for a type. Values are no error: `reason` says why a
        result is NaN.
    Source
        OccludeNet, Eq. 1.
    
    >>> e = car.effect([[2.0, 0.0], [1.0, 1.0]], [[0.0, 0.0], [0.0, 1.0]], [0, 1])
    >>> print(f"{e.mean:.4f} +- {e.standard_error:.4f}")
    0.0749 +- 0.3059
    """
def erase(images: numpy.typing.ArrayLike, masks: numpy.typing.ArrayLike, fill: float | typing.Literal['mean'] | NoiseFill | numpy.typing.ArrayLike = 0.0, *, out: bool | typing.Any = None) -> typing.Any:
    """
    The counterfactual image: the actor is erased, everything else is kept.
    
        out = (1 - mask) image + mask fill
    
    Shapes
        images, out: N x channels x height x width, channels x height x width or height x width, any strides; out may be images. masks: of
        the same axes, with one channel or as many, or without the axis of channels; 1 erases, 0 keeps. Masks of another type are
        converted.
        fill: a number; 'mean', of the image's channel; a NoiseFill; or images, one for all or one for each.
    Units
        those of the images.
    Errors
        ValueError for a shape or a fill's value, TypeError for a type.
    Source
        OccludeNet, section 4.2.
    
    >>> car.erase([[1.0, 2.0], [3.0, 4.0]], [[0, 0], [0, 1]])
    array([[1., 2.],
           [3., 0.]])
    >>> car.erase([[1.0, 2.0], [3.0, 4.0]], [[0, 0], [0, 1]], "mean")
    array([[1. , 2. ],
           [3. , 2.5]])
    """
def erase_vjp(masks: numpy.typing.ArrayLike, upstream: numpy.typing.ArrayLike, fill: float | typing.Literal['mean'] | NoiseFill | numpy.typing.ArrayLike = 0.0, *, grad_images: bool | typing.Any = None, grad_background: bool | typing.Any = None) -> tuple[typing.Any, typing.Any]:
    """
    Vector-Jacobian product of `car.erase`: (grad_images, grad_background), the second None unless the fill is images.
    
    Shapes
        upstream, grad_images: as the images; masks, fill: as in `car.erase`.
    Units
        those of upstream.
    Errors
        as `car.erase`.
    Source
        the derivative of erase.
    
    >>> car.erase_vjp([[0, 1]], [[1.0, 1.0]])[0]
    array([[1., 0.]])
    """
def front_door(treatment: numpy.typing.ArrayLike, outcome: numpy.typing.ArrayLike, mediator: numpy.typing.ArrayLike, count: int, *, clusters: numpy.typing.ArrayLike | None = None, level: float = 0.95, interval: typing.Literal['student_t', 'normal', 'bootstrap', 'wilson'] = 'student_t', empty_stratum: typing.Literal['undefined', 'drop'] = 'undefined', resamples: int = 1000, seed: int = 0, first_row: int = 0) -> TreatmentResult:
    """
    Front-door adjustment by a discrete mediator: psi(1) - psi(0), psi(x) = sum_m P(m|x) sum_x' E[y|m,x'] P(x').
    
    Shapes
        treatment: N integers, 0 or 1. outcome: N, float64. mediator: N integers, 0 to count - 1. clusters: N integers.
    Units
        those of the outcome.
    Errors
        ValueError for a shape, a treatment that is not 0 or 1, or an option's value, TypeError for a type. Values are no error: `reason` says
        why a result is NaN.
    Source
        Pearl 2009, 3.3.2.
    
    >>> r = car.front_door([1, 1, 1, 0, 0, 0], [3.0, 3.0, 1.0, 3.0, 1.0, 1.0], [1, 1, 0, 1, 0, 0], 2)
    >>> round(r.mean, 6)
    0.666667
    """
def front_door_attention(x: numpy.typing.ArrayLike, m: numpy.typing.ArrayLike, *, batch: int = 1, scale: float = 1.0, first_query: numpy.typing.ArrayLike | None = None, first_key: numpy.typing.ArrayLike | None = None, first_value: numpy.typing.ArrayLike | None = None, second_query: numpy.typing.ArrayLike | None = None, second_key: numpy.typing.ArrayLike | None = None, second_value: numpy.typing.ArrayLike | None = None, out: bool | typing.Any = None, backend: str | None = None) -> typing.Any:
    """
    Front-door adjustment as two attentions: the mediator reads the input, and the input reads what the mediator has.
    
        V = softmax(scale (m first_query) (x first_key)^T) (x first_value)
        y = x + softmax(scale (x second_query) (m second_key)^T) (V second_value)
    
    Shapes
        x: B x L x D, m: B x S x D; or with two dimensions the samples one after the other, batch of them. first_query and first_key, and
        second_query and second_key: to columns of a number; first_value: D x F, second_value: F x D. out, the result: as x.
    Units
        those of x.
    Errors
        ValueError for a shape or an option's value, TypeError for a type.
    Source
        VLCI, which has no projections.
    
    >>> car.front_door_attention([[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0]])
    array([[1.5, 0.5],
           [0.5, 1.5]])
    """
def front_door_attention_vjp(x: numpy.typing.ArrayLike, m: numpy.typing.ArrayLike, upstream: numpy.typing.ArrayLike, *, batch: int = 1, scale: float = 1.0, first_query: numpy.typing.ArrayLike | None = None, first_key: numpy.typing.ArrayLike | None = None, first_value: numpy.typing.ArrayLike | None = None, second_query: numpy.typing.ArrayLike | None = None, second_key: numpy.typing.ArrayLike | None = None, second_value: numpy.typing.ArrayLike | None = None, grad_x: bool | typing.Any = None, grad_m: bool | typing.Any = None, grad_first_query: bool | typing.Any = None, grad_first_key: bool | typing.Any = None, grad_first_value: bool | typing.Any = None, grad_second_query: bool | typing.Any = None, grad_second_key: bool | typing.Any = None, grad_second_value: bool | typing.Any = None, backend: str | None = None) -> tuple[typing.Any, typing.Any, typing.Any, typing.Any, typing.Any, typing.Any, typing.Any, typing.Any]:
    """
    Vector-Jacobian product of `car.front_door_attention`: the gradients of x, m and the six projections.
    
    Shapes
        as the op's; upstream: as its result; each gradient: as what it is of. False in place of a gradient leaves it out; it is None then, as
        is that of a projection that is not given.
    Units
        those of upstream.
    Errors
        as the op's.
    """
def fusion_effect(p: numpy.typing.ArrayLike, q: numpy.typing.ArrayLike, v: numpy.typing.ArrayLike, *, fusion: typing.Literal['sum', 'harmonic', 'gate'] = 'sum', constant: float = 0.0, part: typing.Literal['total', 'first', 'second'] = 'first', formula: typing.Literal['exact', 'as_published'] = 'exact', out: bool | typing.Any = None) -> typing.Any:
    """
    What `car.cf_vqa` predicts with at test: the total ('total'), the total indirect ('first') or the direct ('second') effect.
    
    Shapes
        every input, and out, the result: N x C, or C, of one type; float32, float64, bfloat16 or float16, in any strides. out may be an input.
    Units
        logits.
    Errors
        ValueError for a shape or an option's value, TypeError for a type.
    """
def get_num_threads() -> int:
    """
    On how many threads a call may run, as `car.set_num_threads` left it.
    
    Shapes
        one integer.
    Units
        threads.
    Errors
        none.
    
    >>> car.get_num_threads()
    1
    """
def guidance(p: numpy.typing.ArrayLike, c: numpy.typing.ArrayLike, *, d: numpy.typing.ArrayLike | None = None, strength: float = 1.0, plausibility: float | None = None, out: bool | typing.Any = None) -> typing.Any:
    """
    Contrastive guidance: p + strength (p - c), and + strength (p - d) where there is a second counterfactual d.
    
    A class with p < max p + log(plausibility) is masked.
    
    >>> car.guidance([[1.0, 0.0, -9.0]], [[0.0, 0.0, 0.0]], strength=0.5, plausibility=0.01)
    array([[ 1.5,  0. , -inf]])
    
    Shapes
        every input, and out, the result: N x C, or C, of one type; float32, float64, bfloat16 or float16, in any strides. out may be an input.
    Units
        logits.
    Errors
        ValueError for a shape or an option's value, TypeError for a type.
    """
def guidance_vjp(p: numpy.typing.ArrayLike, upstream: numpy.typing.ArrayLike, *, strength: float = 1.0, plausibility: float | None = None, grad_p: bool | typing.Any = None, grad_c: bool | typing.Any = None, grad_d: bool | typing.Any = None) -> tuple[typing.Any, typing.Any, typing.Any]:
    """
    Vector-Jacobian product of `car.guidance`: (grad_p, grad_c, grad_d); grad_d, True or an array, says that there was a d.
    
    Shapes
        every input, and out, the result: N x C, or C, of one type; float32, float64, bfloat16 or float16, in any strides. out may be an input.
    Units
        logits.
    Errors
        ValueError for a shape or an option's value, TypeError for a type.
    """
def irm(p: numpy.typing.ArrayLike, labels: numpy.typing.ArrayLike, environments: numpy.typing.ArrayLike, *, penalty_weight: float = 1.0, penalty: typing.Literal['square', 'halves'] = 'square', ignore_index: int = -100, reduction: typing.Literal['none', 'sum', 'mean'] = 'mean', upstream: numpy.typing.ArrayLike | None = None, sample_weight: numpy.typing.ArrayLike | None = None, weight: numpy.typing.ArrayLike | None = None, gradients: bool = False, grad_p: bool | typing.Any = None) -> FamilyResult:
    """
    Invariant risk minimisation (IRMv1): the mean over environments of R + penalty_weight g^2, g = d R(w p)/dw at w = 1.
    
    Shapes
        logits and their gradients: N x C, or C for one row, of one type; float32, float64, bfloat16 or float16, in any strides. labels: N
        integers of any type. Numbers of rows: N. weight: C. upstream, sample_weight: N, of the terms' type.
    Units
        nats (of the outcome, squared, for `car.dragonnet`), as 64-bit floats, summed or averaged over rows that are not ignored, by weight.
    Arrays
        gradients=True makes every gradient; each output also takes True, or an array that is written, perhaps its own input. They are
        attributes of the result, as its terms are: `result.terms` and `result.gradients` list both.
    Errors
        ValueError for a shape, a label or an option's value, TypeError for a type. NaN and infinity are never errors: `status` names the row.
    """
def learned_mixin(p: numpy.typing.ArrayLike, bias: numpy.typing.ArrayLike, gate: numpy.typing.ArrayLike, labels: numpy.typing.ArrayLike, *, entropy_weight: float = 0.0, formula: typing.Literal['exact', 'as_published'] = 'exact', smoothing: float = 0.0, ignore_index: int = -100, reduction: typing.Literal['none', 'sum', 'mean'] = 'mean', divisor: float | None = None, empty: typing.Literal['zero', 'nan', 'error'] = 'zero', upstream: numpy.typing.ArrayLike | None = None, sample_weight: numpy.typing.ArrayLike | None = None, weight: numpy.typing.ArrayLike | None = None, gradients: bool = False, grad_p: bool | typing.Any = None, grad_bias: bool | typing.Any = None, grad_gate: bool | typing.Any = None, row_loss: bool | typing.Any = None) -> FamilyResult:
    """
    Learned mixin: CE(p + g bias, label) + entropy_weight H(softmax(g bias)), g = softplus(gate), gate: N.
    
    Shapes
        logits and their gradients: N x C, or C for one row, of one type; float32, float64, bfloat16 or float16, in any strides. labels: N
        integers of any type. Numbers of rows: N. weight: C. upstream, sample_weight: N, of the terms' type.
    Units
        nats (of the outcome, squared, for `car.dragonnet`), as 64-bit floats, summed or averaged over rows that are not ignored, by weight.
    Arrays
        gradients=True makes every gradient; each output also takes True, or an array that is written, perhaps its own input. They are
        attributes of the result, as its terms are: `result.terms` and `result.gradients` list both.
    Errors
        ValueError for a shape, a label or an option's value, TypeError for a type. NaN and infinity are never errors: `status` names the row.
    """
def log_softmax(p: numpy.typing.ArrayLike, *, temperature: float = 1.0, out: bool | typing.Any = None, backend: str | None = None) -> typing.Any:
    """
    Logarithm of the softmax of each row of p / temperature.
    
    Shapes
        as `car.softmax`.
    Units
        nats.
    Errors
        as `car.softmax`.
    Source
        OccludeNet, Eq. 2.
    
    >>> car.log_softmax([[0.0, 0.0]]).round(6)
    array([[-0.693147, -0.693147]])
    """
def log_sum_exp(p: numpy.typing.ArrayLike, *, temperature: float = 1.0, out: bool | typing.Any = None, backend: str | None = None) -> typing.Any:
    """
    Logarithm of the sum of exponentials of each row of p / temperature.
    
    Shapes
        p: N x C, or C for one row. out, the result: N, float64 for float64 logits, else float32.
    Units
        nats.
    Errors
        as `car.softmax`.
    
    >>> car.log_sum_exp([[0.0, 0.0], [1.0, float("-inf")]]).round(6)
    array([0.693147, 1.      ])
    """
def logit_adjusted(p: numpy.typing.ArrayLike, log_prior: numpy.typing.ArrayLike, labels: numpy.typing.ArrayLike, *, strength: float = 1.0, formula: typing.Literal['exact', 'as_published'] = 'exact', smoothing: float = 0.0, ignore_index: int = -100, reduction: typing.Literal['none', 'sum', 'mean'] = 'mean', divisor: float | None = None, empty: typing.Literal['zero', 'nan', 'error'] = 'zero', upstream: numpy.typing.ArrayLike | None = None, sample_weight: numpy.typing.ArrayLike | None = None, weight: numpy.typing.ArrayLike | None = None, gradients: bool = False, grad_p: bool | typing.Any = None, row_loss: bool | typing.Any = None) -> FamilyResult:
    """
    Logit adjustment: CE(p + strength log_prior, label), log_prior the logarithms of the classes' shares: C.
    
    Shapes
        logits and their gradients: N x C, or C for one row, of one type; float32, float64, bfloat16 or float16, in any strides. labels: N
        integers of any type. Numbers of rows: N. weight: C. upstream, sample_weight: N, of the terms' type.
    Units
        nats (of the outcome, squared, for `car.dragonnet`), as 64-bit floats, summed or averaged over rows that are not ignored, by weight.
    Arrays
        gradients=True makes every gradient; each output also takes True, or an array that is written, perhaps its own input. They are
        attributes of the result, as its terms are: `result.terms` and `result.gradients` list both.
    Errors
        ValueError for a shape, a label or an option's value, TypeError for a type. NaN and infinity are never errors: `status` names the row.
    """
def logit_adjustment(p: numpy.typing.ArrayLike, log_prior: numpy.typing.ArrayLike, *, strength: float = 1.0, out: bool | typing.Any = None) -> typing.Any:
    """
    Post-hoc logit adjustment: p - strength log_prior, log_prior: C.
    
    Shapes
        every input, and out, the result: N x C, or C, of one type; float32, float64, bfloat16 or float16, in any strides. out may be an input.
    Units
        logits.
    Errors
        ValueError for a shape or an option's value, TypeError for a type.
    """
def logit_pairing(p: numpy.typing.ArrayLike, c: numpy.typing.ArrayLike, *, pairing: typing.Literal['squared', 'absolute', 'cosine'] = 'squared', formula: typing.Literal['exact', 'as_published'] = 'exact', reduction: typing.Literal['none', 'sum', 'mean'] = 'mean', divisor: float | None = None, empty: typing.Literal['zero', 'nan', 'error'] = 'zero', upstream: numpy.typing.ArrayLike | None = None, sample_weight: numpy.typing.ArrayLike | None = None, gradients: bool = False, grad_p: bool | typing.Any = None, grad_c: bool | typing.Any = None, row_loss: bool | typing.Any = None) -> FamilyResult:
    """
    Counterfactual logit pairing: how far the logits of a sample and of its counterfactual are apart.
    
    Shapes
        logits and their gradients: N x C, or C for one row, of one type; float32, float64, bfloat16 or float16, in any strides. labels: N
        integers of any type. Numbers of rows: N. weight: C. upstream, sample_weight: N, of the terms' type.
    Units
        nats (of the outcome, squared, for `car.dragonnet`), as 64-bit floats, summed or averaged over rows that are not ignored, by weight.
    Arrays
        gradients=True makes every gradient; each output also takes True, or an array that is written, perhaps its own input. They are
        attributes of the result, as its terms are: `result.terms` and `result.gradients` list both.
    Errors
        ValueError for a shape, a label or an option's value, TypeError for a type. NaN and infinity are never errors: `status` names the row.
    """
def loss(p: numpy.typing.ArrayLike, c: numpy.typing.ArrayLike | None, labels: numpy.typing.ArrayLike, *, alpha: float = 1.0, strength: float = 1.0, temperature: float = 1.0, logit_scale: float = 1.0, softcap: float | None = None, label_smoothing: float = 0.0, z_weight: float = 0.0, ignore_index: int = -100, kl_target: typing.Literal['prediction', 'label'] = 'prediction', flow: typing.Literal['full', 'stop_target', 'stop_counterfactual', 'stop_factual'] = 'full', reduction: typing.Literal['none', 'sum', 'mean'] = 'mean', divisor: float | None = None, empty: typing.Literal['zero', 'nan', 'error'] = 'zero', precision: typing.Literal['fast', 'accurate', 'highest'] = 'accurate', upstream: numpy.typing.ArrayLike | None = None, weight: numpy.typing.ArrayLike | None = None, sample_weight: numpy.typing.ArrayLike | None = None, row_mask: numpy.typing.ArrayLike | None = None, class_mask: numpy.typing.ArrayLike | None = None, gradients: bool | typing.Literal['overwrite', 'accumulate'] = False, terms: bool = False, grad_p: bool | typing.Any = None, grad_c: bool | typing.Any = None, row_loss: bool | typing.Any = None, row_cross_entropy: bool | typing.Any = None, row_divergence: bool | typing.Any = None, lse_p: bool | typing.Any = None, lse_y: bool | typing.Any = None, predicted: bool | typing.Any = None, backend: str | None = None) -> LossResult:
    """
    The loss of Causal Action Recognition: cross-entropy plus a divergence between the prediction and the corrected prediction.
    
        P = softmax(p),   Y = softmax(p - strength c),   row = w (CE(label, P) + alpha KL(P || Y) + z_weight lse(p)^2)
    
    where p and c are read as softcap(logit_scale x) / temperature.
    
    Shapes
        p, c: N x C logits, or C for one row; float32, float64, bfloat16 or float16, in any strides; c may be None where alpha is 0.
        labels: N integers of any type, or N x C probabilities (float64 for float64 logits, else float32).
        weight, class_mask: C. upstream, sample_weight, row_mask: N. Weights are of the terms' type, masks bool or integers; False ignores a
        row or masks a class.
    Units
        nats, as 64-bit floats, summed or averaged over rows that are not ignored, by weight. Gradients have the type of p.
    Arrays
        gradients=True makes grad_p and grad_c, terms=True every row's terms; each output also takes True, or an array that is written.
        gradients='accumulate' adds to the arrays given. New arrays come from the library that p is from.
    Errors
        ValueError for a shape, a label out of range or an option's value, TypeError for a type; both name the argument, and nothing has
        been written then. NaN or infinite logits are no error: `status` names the first such row.
    Source
        OccludeNet, Eq. 2 to 4; kl_target='label': Counterfactual Attention Learning, Eq. 5.
    
    >>> import numpy as np
    >>> p = np.array([[2.0, -1.0, 0.5], [0.25, 3.0, -2.0]])
    >>> c = np.array([[0.5, -0.25, 1.0], [1.5, -0.5, 0.0]])
    >>> r = car.loss(p, c, [0, 2], alpha=1.0, gradients=True)
    >>> print(f"{r.value:.6f} = {r.cross_entropy:.6f} + {r.divergence:.6f} over {r.count} rows")
    2.704618 = 2.654796 + 0.049822 over 2 rows
    >>> r.grad_p.shape, r.status.ok
    ((2, 3), True)
    """
def loss_hvp(p: numpy.typing.ArrayLike, c: numpy.typing.ArrayLike | None, labels: numpy.typing.ArrayLike, v_p: numpy.typing.ArrayLike | None, v_c: numpy.typing.ArrayLike | None, *, alpha: float = 1.0, strength: float = 1.0, temperature: float = 1.0, logit_scale: float = 1.0, softcap: float | None = None, label_smoothing: float = 0.0, z_weight: float = 0.0, ignore_index: int = -100, kl_target: typing.Literal['prediction', 'label'] = 'prediction', flow: typing.Literal['full', 'stop_target', 'stop_counterfactual', 'stop_factual'] = 'full', reduction: typing.Literal['none', 'sum', 'mean'] = 'mean', divisor: float | None = None, empty: typing.Literal['zero', 'nan', 'error'] = 'zero', precision: typing.Literal['fast', 'accurate', 'highest'] = 'accurate', upstream: numpy.typing.ArrayLike | None = None, weight: numpy.typing.ArrayLike | None = None, sample_weight: numpy.typing.ArrayLike | None = None, row_mask: numpy.typing.ArrayLike | None = None, class_mask: numpy.typing.ArrayLike | None = None, gradients: bool | typing.Literal['overwrite', 'accumulate'] = True, grad_p: bool | typing.Any = None, grad_c: bool | typing.Any = None, backend: str | None = None) -> LossHvpResult:
    """
    Hessian-vector product of the loss: how both its gradients change along the direction (v_p, v_c).
    
        grad_p = d/dt g_p(p + t v_p, c + t v_c),   grad_c = d/dt g_c(p + t v_p, c + t v_c)   at t = 0
    
    What the flow holds fixed is a constant here too, as where it is detached.
    
    Shapes
        v_p, v_c: as p; None is a direction of 0. Everything else as in `car.loss`.
    Units
        those of the gradients, for a direction of length 1.
    Errors
        as `car.loss`.
    Source
        derived from OccludeNet, Eq. 4.
    
    >>> import numpy as np
    >>> p = np.array([[2.0, -1.0, 0.5]])
    >>> c = np.array([[0.5, -0.25, 1.0]])
    >>> h = car.loss_hvp(p, c, [0], np.ones_like(p), None)  # a shift of all logits changes nothing
    >>> bool(abs(h.grad_p).max() < 1e-15)
    True
    """
def loss_options() -> list[tuple[str, str, typing.Any]]:
    """
    Name, type and default of every option of `car.loss`, in order.
    """
def mean_effect(effects: numpy.typing.ArrayLike, *, level: float = 0.95, interval: typing.Literal['student_t', 'normal', 'bootstrap', 'wilson'] = 'student_t', ignore_index: int = -100, scale: typing.Literal['probability', 'log_odds', 'logit', 'divergence'] = 'probability', draws: int = 1, resamples: int = 1000, seed: int = 0, first_row: int = 0, weights: numpy.typing.ArrayLike | None = None) -> EffectResult:
    """
    The mean of effects that are there already, one for each sample: differences of two treatments, for example.
    
    Shapes
        effects, weights: n, float64, any stride.
    Units
        those of the effects.
    Errors
        ValueError for a level that is not between 0 and 1, TypeError for a type.
    
    >>> car.mean_effect([1.0, 2.0, 3.0])
    EffectResult(mean=2, standard_error=0.57735, lower=-0.484138, upper=4.48414, count=3)
    """
def occlude(frames: numpy.typing.ArrayLike, boxes: numpy.typing.ArrayLike, occluder: numpy.typing.ArrayLike, opacity: numpy.typing.ArrayLike, *, scale: float = 0.5, alpha: float = 1.0, first_frame: int = 0, last_frame: int | None = None, out: bool | typing.Any = None, coverage: bool | typing.Any = None) -> tuple[typing.Any, typing.Any]:
    """
    Tracked occlusion: an occluder at the centre of the actor's box, in every frame of a clip: (out, coverage).
    
        a = alpha * opacity of the occluder, resized to `scale` times the box,   out = (1 - a) frame + a occluder
    
    Shapes
        frames, out: N x channels x height x width, or one frame without the first axes; any strides; out may be frames. boxes: N x 4, of x,
        y, width, height. occluder: channels x its own height x width; opacity: its height x width, in [0, 1]. coverage: a, as frames with
        one channel; None unless it is asked for.
    Units
        boxes in pixels, from the top left corner.
    Errors
        ValueError for a shape or an option's value, TypeError for a type.
    Source
        OccludeNet, section 3.1 and Figure 3.
    
    >>> out, coverage = car.occlude([[0.0] * 4] * 4, [[0, 0, 4, 4]], [[1.0]], [[1.0]], scale=0.5, coverage=True)
    >>> out[1]
    array([0., 1., 1., 0.])
    >>> car.occlusion_factors_of(coverage, [[0, 0, 4, 4]]).degree
    0.5
    """
def occlusion_factors_of(coverage: numpy.typing.ArrayLike, boxes: numpy.typing.ArrayLike) -> OcclusionFactors:
    """
    Occlusion degree, area ratio and duration ratio of a clip, from what covers it.
    
    Shapes
        coverage: N x 1 x height x width, N x height x width or height x width, in [0, 1]. boxes: N x 4, of x, y, width, height.
    Units
        ratios. Boxes in pixels.
    Errors
        ValueError for a shape or a box that is not finite, TypeError for a type.
    Source
        OccludeNet, section 3.3.
    """
def product_of_experts(p: numpy.typing.ArrayLike, bias: numpy.typing.ArrayLike, labels: numpy.typing.ArrayLike, *, strength: float = 1.0, formula: typing.Literal['exact', 'as_published'] = 'exact', smoothing: float = 0.0, ignore_index: int = -100, reduction: typing.Literal['none', 'sum', 'mean'] = 'mean', divisor: float | None = None, empty: typing.Literal['zero', 'nan', 'error'] = 'zero', upstream: numpy.typing.ArrayLike | None = None, sample_weight: numpy.typing.ArrayLike | None = None, weight: numpy.typing.ArrayLike | None = None, gradients: bool = False, grad_p: bool | typing.Any = None, grad_bias: bool | typing.Any = None, row_loss: bool | typing.Any = None) -> FamilyResult:
    """
    Product of experts: CE(p + strength bias, label), bias the logarithms of a biased expert's probabilities.
    
    >>> round(car.product_of_experts([[1.0, 0.0]], [[-1.0, 0.0]], [0]).value, 6)
    0.693147
    
    Shapes
        logits and their gradients: N x C, or C for one row, of one type; float32, float64, bfloat16 or float16, in any strides. labels: N
        integers of any type. Numbers of rows: N. weight: C. upstream, sample_weight: N, of the terms' type.
    Units
        nats (of the outcome, squared, for `car.dragonnet`), as 64-bit floats, summed or averaged over rows that are not ignored, by weight.
    Arrays
        gradients=True makes every gradient; each output also takes True, or an array that is written, perhaps its own input. They are
        attributes of the result, as its terms are: `result.terms` and `result.gradients` list both.
    Errors
        ValueError for a shape, a label or an option's value, TypeError for a type. NaN and infinity are never errors: `status` names the row.
    """
def propensity_weights(treatment: numpy.typing.ArrayLike, propensity: numpy.typing.ArrayLike, *, weighting: typing.Literal['inverse', 'stabilised', 'treated', 'control', 'overlap'] = 'inverse', out: bool | typing.Any = None) -> typing.Any:
    """
    The weights of rows, as the estimator 'hajek' takes them.
    
    Shapes
        treatment: N integers, 0 or 1. propensity, out, the result: N, float64.
    Units
        rows that a row counts for. A propensity that is not between 0 and 1 gives NaN.
    Errors
        ValueError for a shape, a treatment that is not 0 or 1, or an option's value, TypeError for a type. Values are no error: `reason` says
        why a result is NaN.
    
    >>> car.propensity_weights([1, 0], [0.5, 0.75])
    array([2., 4.])
    """
def rubi(p: numpy.typing.ArrayLike, q: numpy.typing.ArrayLike, q_out: numpy.typing.ArrayLike | None, labels: numpy.typing.ArrayLike, *, question_weight: float = 1.0, ignore_index: int = -100, reduction: typing.Literal['none', 'sum', 'mean'] = 'mean', divisor: float | None = None, empty: typing.Literal['zero', 'nan', 'error'] = 'zero', upstream: numpy.typing.ArrayLike | None = None, sample_weight: numpy.typing.ArrayLike | None = None, weight: numpy.typing.ArrayLike | None = None, gradients: bool = False, grad_p: bool | typing.Any = None, grad_q: bool | typing.Any = None, grad_q_out: bool | typing.Any = None, row_loss: bool | typing.Any = None) -> FamilyResult:
    """
    RUBi: CE(p sigmoid(q), label) + question_weight CE(q_out, label); q_out may be None with question_weight=0.
    
    Shapes
        logits and their gradients: N x C, or C for one row, of one type; float32, float64, bfloat16 or float16, in any strides. labels: N
        integers of any type. Numbers of rows: N. weight: C. upstream, sample_weight: N, of the terms' type.
    Units
        nats (of the outcome, squared, for `car.dragonnet`), as 64-bit floats, summed or averaged over rows that are not ignored, by weight.
    Arrays
        gradients=True makes every gradient; each output also takes True, or an array that is written, perhaps its own input. They are
        attributes of the result, as its terms are: `result.terms` and `result.gradients` list both.
    Errors
        ValueError for a shape, a label or an option's value, TypeError for a type. NaN and infinity are never errors: `status` names the row.
    """
def set_num_threads(num_threads: int) -> None:
    """
    On how many threads a call may run, the caller's among them; 1 until it is set.
    
    The threads are the process's: whoever calls while another call runs on them works alone, and a forked process makes its own. The loss,
    `car.softmax`, `car.log_softmax`, `car.log_sum_exp` and `car.corrected_softmax` run on them, and with the loss `car.torch` and `car.jax`: of
    2^16 logits or more, on the backend 'simd', which has no corrected softmax of float64. The bits are the same on any number of threads.
    
    Shapes
        num_threads: an integer.
    Units
        threads.
    Errors
        ValueError for a number that is not 1 to 1024, TypeError for what is no integer, RuntimeError where the system gives no more threads.
    
    >>> car.set_num_threads(2)
    >>> car.get_num_threads()
    2
    >>> car.set_num_threads(1)
    """
def softmax(p: numpy.typing.ArrayLike, *, temperature: float = 1.0, out: bool | typing.Any = None, backend: str | None = None) -> typing.Any:
    """
    Softmax of each row of p / temperature.
    
    Shapes
        p: N x C logits, or C for one row; float32, float64, bfloat16 or float16, in any strides. out, the result: as p; out may be p.
    Units
        probabilities.
    Errors
        ValueError for a shape or a temperature that is not positive, TypeError for a type.
    Source
        OccludeNet, Eq. 2.
    
    >>> car.softmax([[0.0, 0.0, float("-inf")]])
    array([[0.5, 0.5, 0. ]])
    """
def stratification(treatment: numpy.typing.ArrayLike, outcome: numpy.typing.ArrayLike, stratum: numpy.typing.ArrayLike, count: int, *, clusters: numpy.typing.ArrayLike | None = None, level: float = 0.95, interval: typing.Literal['student_t', 'normal', 'bootstrap', 'wilson'] = 'student_t', empty_stratum: typing.Literal['undefined', 'drop'] = 'undefined', resamples: int = 1000, seed: int = 0, first_row: int = 0) -> TreatmentResult:
    """
    Back-door adjustment by strata of a discrete confounder: sum_s n_s / n (mean of treated in s - mean of control in s).
    
    Shapes
        treatment: N integers, 0 or 1. outcome: N, float64. stratum: N integers, 0 to count - 1. clusters: N integers.
    Units
        those of the outcome.
    Errors
        ValueError for a shape, a treatment that is not 0 or 1, or an option's value, TypeError for a type. Values are no error: `reason` says
        why a result is NaN.
    Source
        Pearl 2009, 3.3.1.
    
    >>> r = car.stratification([1, 0, 1, 0], [2.0, 1.0, 5.0, 3.0], [0, 0, 1, 1], 2)
    >>> r.mean, r.reason
    (1.5, 'too_few')
    """
def textual_intervention(t: numpy.typing.ArrayLike, prompts: numpy.typing.ArrayLike, *, batch: int = 1, scale: float = 1.0, approximator: numpy.typing.ArrayLike | None = None, out: bool | typing.Any = None, backend: str | None = None) -> typing.Any:
    """
    Textual causal intervention: the texts of the labels, adjusted by the back door for what texts and videos have in common.
    
        H = softmax(scale t prompts^T) prompts,   y = [t, H] approximator, or [t, H]
    
    Shapes
        t: L x D, of every sample, or B x L x D. prompts: S x D, or B x S x D. approximator: 2 D x E, or None: E = 2 D. out, the result: L x
        E, or B x L x E.
    Units
        those of t.
    Errors
        ValueError for a shape or an option's value, TypeError for a type.
    Source
        CMDCL.
    
    >>> car.textual_intervention([[1.0, 0.0]], [[0.0, 0.0], [0.0, 2.0]])
    array([[1., 0., 0., 1.]])
    """
def textual_intervention_vjp(t: numpy.typing.ArrayLike, prompts: numpy.typing.ArrayLike, upstream: numpy.typing.ArrayLike, *, batch: int = 1, scale: float = 1.0, approximator: numpy.typing.ArrayLike | None = None, grad_t: bool | typing.Any = None, grad_prompts: bool | typing.Any = None, grad_approximator: bool | typing.Any = None, backend: str | None = None) -> tuple[typing.Any, typing.Any, typing.Any]:
    """
    Vector-Jacobian product of `car.textual_intervention`: (grad_t, grad_prompts, grad_approximator).
    
    Shapes
        as the op's; upstream: as its result; each gradient: as what it is of. False in place of a gradient leaves it out; it is None then, as
        is that of a projection that is not given.
    Units
        those of upstream.
    Errors
        as the op's.
    """
def top_k(p: numpy.typing.ArrayLike, labels: numpy.typing.ArrayLike, *, k: int = 1, ignore_index: int = -100, hits: bool | typing.Any = None) -> typing.Any:
    """
    Is the label among the k largest logits of its row? Equal ones in their order.
    
    Shapes
        p: N x C logits or probabilities, or C for one row. labels: N integers. hits, the result: N, float64.
    Units
        1 or 0; NaN where a row is ignored or has a NaN.
    Errors
        ValueError for a shape, a k that is not 1 to C or a label out of range, TypeError for a type.
    
    >>> car.top_k([[1.0, 3.0, 2.0], [2.0, 1.0, 0.0]], [2, 0])
    array([0., 1.])
    """
def treatment(estimator: typing.Literal['difference_in_means', 'horvitz_thompson', 'hajek', 't_learner', 'aipw', 'aipw_treated'], treatment: numpy.typing.ArrayLike, outcome: numpy.typing.ArrayLike, *, propensity: numpy.typing.ArrayLike | None = None, control_mean: numpy.typing.ArrayLike | None = None, treated_mean: numpy.typing.ArrayLike | None = None, clusters: numpy.typing.ArrayLike | None = None, weighting: typing.Literal['inverse', 'stabilised', 'treated', 'control', 'overlap'] = 'inverse', level: float = 0.95, interval: typing.Literal['student_t', 'normal', 'bootstrap', 'wilson'] = 'student_t', clip: float | None = None, trim: float | None = None, resamples: int = 1000, seed: int = 0, first_row: int = 0) -> TreatmentResult:
    """
    The effect of a treatment on an outcome, from given nuisances.
    
        difference_in_means, horvitz_thompson, hajek (by `weighting`), t_learner, aipw, aipw_treated
    
    Shapes
        treatment: N integers, 0 or 1. outcome, propensity P(t = 1 | x), control_mean E[y | x, 0], treated_mean E[y | x, 1]: N, float64; what
        an estimator does not read need not be given. clusters: N integers; rows of one cluster are not independent.
    Units
        those of the outcome.
    Errors
        ValueError for a shape, a treatment that is not 0 or 1, or an option's value, TypeError for a type. Values are no error: `reason` says
        why a result is NaN.
    Source
        Horvitz and Thompson 1952; Hajek 1971; Robins, Rotnitzky and Zhao 1994.
    
    >>> car.treatment("difference_in_means", [1, 1, 0, 0], [3.0, 5.0, 1.0, 2.0])
    TreatmentResult(mean=2.5, standard_error=1.11803, lower=-11.706, upper=16.706, count=4)
    """
def v_rex(p: numpy.typing.ArrayLike, labels: numpy.typing.ArrayLike, environments: numpy.typing.ArrayLike, *, penalty_weight: float = 1.0, ignore_index: int = -100, reduction: typing.Literal['none', 'sum', 'mean'] = 'mean', upstream: numpy.typing.ArrayLike | None = None, sample_weight: numpy.typing.ArrayLike | None = None, weight: numpy.typing.ArrayLike | None = None, gradients: bool = False, grad_p: bool | typing.Any = None) -> FamilyResult:
    """
    Risk extrapolation: the mean of the environments' risks and penalty_weight times their variance.
    
    Shapes
        logits and their gradients: N x C, or C for one row, of one type; float32, float64, bfloat16 or float16, in any strides. labels: N
        integers of any type. Numbers of rows: N. weight: C. upstream, sample_weight: N, of the terms' type.
    Units
        nats (of the outcome, squared, for `car.dragonnet`), as 64-bit floats, summed or averaged over rows that are not ignored, by weight.
    Arrays
        gradients=True makes every gradient; each output also takes True, or an array that is written, perhaps its own input. They are
        attributes of the result, as its terms are: `result.terms` and `result.gradients` list both.
    Errors
        ValueError for a shape, a label or an option's value, TypeError for a type. NaN and infinity are never errors: `status` names the row.
    """
def visual_intervention(t: numpy.typing.ArrayLike, v: numpy.typing.ArrayLike, *, batch: int = 1, scale: float = 1.0, approximator: numpy.typing.ArrayLike | None = None, out: bool | typing.Any = None, backend: str | None = None) -> typing.Any:
    """
    Visual causal intervention: what a video shows of each label, by the front door; the adjusted texts choose the frames.
    
        H = softmax(scale t v^T) v,   y = [t, H] approximator, or [t, H]
    
    Shapes
        t: L x D, of every video, or B x L x D. v: B x S x D, or with two dimensions the videos one after the other, batch of them.
        approximator: 2 D x E, or None: E = 2 D. out, the result: B x L x E, or (B L) x E.
    Units
        those of v.
    Errors
        ValueError for a shape or an option's value, TypeError for a type.
    Source
        CMDCL.
    
    >>> car.visual_intervention([[1.0, 0.0]], [[[0.0, 0.0], [0.0, 2.0]]])
    array([[[1., 0., 0., 1.]]])
    """
def visual_intervention_vjp(t: numpy.typing.ArrayLike, v: numpy.typing.ArrayLike, upstream: numpy.typing.ArrayLike, *, batch: int = 1, scale: float = 1.0, approximator: numpy.typing.ArrayLike | None = None, grad_t: bool | typing.Any = None, grad_v: bool | typing.Any = None, grad_approximator: bool | typing.Any = None, backend: str | None = None) -> tuple[typing.Any, typing.Any, typing.Any]:
    """
    Vector-Jacobian product of `car.visual_intervention`: (grad_t, grad_v, grad_approximator).
    
    Shapes
        as the op's; upstream: as its result; each gradient: as what it is of. False in place of a gradient leaves it out; it is None then, as
        is that of a projection that is not given.
    Units
        those of upstream.
    Errors
        as the op's.
    """
def xerm(p: numpy.typing.ArrayLike, factual: numpy.typing.ArrayLike, counterfactual: numpy.typing.ArrayLike, labels: numpy.typing.ArrayLike, *, gamma: float = 2.0, formula: typing.Literal['exact', 'as_published'] = 'exact', ignore_index: int = -100, reduction: typing.Literal['none', 'sum', 'mean'] = 'mean', divisor: float | None = None, empty: typing.Literal['zero', 'nan', 'error'] = 'zero', upstream: numpy.typing.ArrayLike | None = None, sample_weight: numpy.typing.ArrayLike | None = None, weight: numpy.typing.ArrayLike | None = None, gradients: bool = False, grad_p: bool | typing.Any = None, row_loss: bool | typing.Any = None) -> FamilyResult:
    """
    Cross-domain empirical risk minimisation: w CE(softmax(counterfactual), p) + (1 - w) CE(p, label); the teachers are constants.
    
        w = CE(counterfactual, label)^gamma / (CE(counterfactual, label)^gamma + CE(factual, label)^gamma)
    
    Shapes
        logits and their gradients: N x C, or C for one row, of one type; float32, float64, bfloat16 or float16, in any strides. labels: N
        integers of any type. Numbers of rows: N. weight: C. upstream, sample_weight: N, of the terms' type.
    Units
        nats (of the outcome, squared, for `car.dragonnet`), as 64-bit floats, summed or averaged over rows that are not ignored, by weight.
    Arrays
        gradients=True makes every gradient; each output also takes True, or an array that is written, perhaps its own input. They are
        attributes of the result, as its terms are: `result.terms` and `result.gradients` list both.
    Errors
        ValueError for a shape, a label or an option's value, TypeError for a type. NaN and infinity are never errors: `status` names the row.
    """
_process_pool: typing.Any
