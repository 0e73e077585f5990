# SPDX-License-Identifier: Apache-2.0
"""Causal-learning losses and ops.

    >>> import numpy as np
    >>> p, c = np.array([[2.0, -1.0, 0.5]]), np.array([[0.5, -0.25, 1.0]])
    >>> round(car.loss(p, c, [0], alpha=1.0).value, 6)
    0.274014

`car.torch` and `car.jax` are the same loss with its derivatives for PyTorch and JAX; they are imported by name.
"""
from typing import Any

from . import _car
from ._car import (
    AdjustResult,
    EffectAccumulator,
    EffectResult,
    Estimate,
    FamilyResult,
    LossHvpResult,
    LossResult,
    NoiseFill,
    OcclusionFactors,
    PlugInAccumulator,
    Profile,
    RowStatus,
    TreatmentAccumulator,
    TreatmentResult,
    adjust,
    attention,
    attention_vjp,
    bins,
    cal,
    cf_vqa,
    confounder_dictionary,
    confounder_dictionary_vjp,
    corrected_softmax,
    corrected_softmax_vjp,
    counterfactual_entropy,
    decompose,
    deconfounded,
    deconfounded_vjp,
    dragonnet,
    effect,
    erase,
    erase_vjp,
    front_door,
    front_door_attention,
    front_door_attention_vjp,
    fusion_effect,
    get_num_threads,
    guidance,
    guidance_vjp,
    irm,
    learned_mixin,
    log_softmax,
    log_sum_exp,
    logit_adjusted,
    logit_adjustment,
    logit_pairing,
    loss,
    loss_hvp,
    mean_effect,
    occlude,
    occlusion_factors_of,
    product_of_experts,
    propensity_weights,
    rubi,
    set_num_threads,
    softmax,
    stratification,
    textual_intervention,
    textual_intervention_vjp,
    top_k,
    treatment,
    v_rex,
    visual_intervention,
    visual_intervention_vjp,
    xerm,
)

__version__: str = _car.config()["version"]


def config() -> "dict[str, Any]":
    """Version, backends, instruction set and threads of this build, and the array libraries that are there.

    >>> "scalar" in config()["backends"]
    True
    """
    from importlib.util import find_spec

    libraries = ("numpy", "ml_dtypes", "torch", "jax")
    return {**_car.config(), "libraries": tuple(name for name in libraries if find_spec(name) is not None)}


__all__ = [
    "AdjustResult",
    "EffectAccumulator",
    "EffectResult",
    "Estimate",
    "FamilyResult",
    "LossHvpResult",
    "LossResult",
    "NoiseFill",
    "OcclusionFactors",
    "PlugInAccumulator",
    "Profile",
    "RowStatus",
    "TreatmentAccumulator",
    "TreatmentResult",
    "adjust",
    "attention",
    "attention_vjp",
    "bins",
    "cal",
    "cf_vqa",
    "config",
    "confounder_dictionary",
    "confounder_dictionary_vjp",
    "corrected_softmax",
    "corrected_softmax_vjp",
    "counterfactual_entropy",
    "decompose",
    "deconfounded",
    "deconfounded_vjp",
    "dragonnet",
    "effect",
    "erase",
    "erase_vjp",
    "front_door",
    "front_door_attention",
    "front_door_attention_vjp",
    "fusion_effect",
    "get_num_threads",
    "guidance",
    "guidance_vjp",
    "irm",
    "learned_mixin",
    "log_softmax",
    "log_sum_exp",
    "logit_adjusted",
    "logit_adjustment",
    "logit_pairing",
    "loss",
    "loss_hvp",
    "mean_effect",
    "occlude",
    "occlusion_factors_of",
    "product_of_experts",
    "propensity_weights",
    "rubi",
    "set_num_threads",
    "softmax",
    "stratification",
    "textual_intervention",
    "textual_intervention_vjp",
    "top_k",
    "treatment",
    "v_rex",
    "visual_intervention",
    "visual_intervention_vjp",
    "xerm",
]
