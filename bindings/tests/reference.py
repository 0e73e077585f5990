# SPDX-License-Identifier: Apache-2.0
"""The printed formulas in float64, from SciPy's log_softmax, and how exact the results of the library have to be."""
import numpy as np
from scipy.special import log_softmax

U = {np.dtype(np.float32): 2.0**-24, np.dtype(np.float64): 2.0**-53}


class Loss:
    """Rows of CE + alpha KL(P || Y) for integer labels; their gradients, and the magnitudes that their error bounds are scaled with."""

    def __init__(self, p, c, labels, alpha=1.0, strength=1.0, temperature=1.0):
        p, c = np.asarray(p, np.float64) / temperature, strength * np.asarray(c, np.float64) / temperature
        log_p, log_y = log_softmax(p, axis=1), log_softmax(p - c, axis=1)
        big_p, big_y = np.exp(log_p), np.exp(log_y)
        label = np.eye(p.shape[1])[labels]
        w = log_p - log_y
        self.cross_entropy = -log_p[np.arange(len(p)), labels]
        self.divergence = (big_p * w).sum(1)
        self.rows = self.cross_entropy + alpha * self.divergence
        force = big_p * (w - self.divergence[:, None]) + big_y - big_p  # Y moves with p too
        self.grad_p = (big_p - label + alpha * force) / temperature
        self.grad_c = alpha * strength * (big_p - big_y) / temperature
        # What the library's contract scales its bounds with; and what this file itself loses, in units of 2^-53: a logarithm of a
        # probability is off by some roundings of the logits it comes from, and a sum over classes adds theirs.
        x = c - (big_p * c).sum(1, keepdims=True)
        kl = np.abs(self.divergence)[:, None]
        phi = np.abs(np.expm1(-w) + w)
        self.scale_p = np.abs(big_p - label) + abs(alpha) * big_p * ((1 + np.abs(w)) * phi + kl)
        spread = np.abs(x) + (big_p * np.abs(x)).sum(1, keepdims=True) + kl
        self.scale_c = abs(alpha * strength) * (np.abs(big_p - big_y) + big_y * spread)
        self.own = 2.0**-53 * (8 + p.shape[1]) * (2 + np.abs(p).max(initial=0) + np.abs(c).max(initial=0)) * (1 + abs(alpha))

    def bound_rows(self, u, alpha=1.0):
        return 5 * u * self.cross_entropy + 17 * u * abs(alpha) * np.abs(self.divergence) + self.own
