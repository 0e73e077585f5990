# SPDX-License-Identifier: Apache-2.0
"""The loss in PyTorch on one thread: as it is usually written, and with its gradients by hand. Prints times in nanoseconds as JSON."""
import json
import sys
import time

import torch
from torch.nn import functional

torch.set_num_threads(1)


def eager(p, c, y):
    log_p, log_y = p.log_softmax(1), (p - c).log_softmax(1)
    return functional.nll_loss(log_p, y) + functional.kl_div(log_y, log_p, reduction="batchmean", log_target=True)


def eager_both(p, c, y):
    p.grad = c.grad = None
    eager(p, c, y).backward()


@torch.no_grad()
def hand_both(p, c, y):
    log_p, log_y = p.log_softmax(1), (p - c).log_softmax(1)
    P, Y = log_p.exp(), log_y.exp()
    w = log_p - log_y
    divergence = (P * w).sum(1, keepdim=True)
    value = (functional.nll_loss(log_p, y) + divergence.mean()).item()
    slope_c = (P - Y).div_(len(y))
    w.sub_(divergence).mul_(P).add_(Y).div_(len(y))
    w[torch.arange(len(y)), y] -= 1 / len(y)
    return value, w, slope_c


def main():
    samples, results = int(sys.argv[1]), {}
    for rows, classes in ((256, 10), (256, 400), (1024, 1000), (256, 32000)):
        torch.manual_seed(7)
        p, c = (3 * torch.randn(2, rows, classes)).unbind()
        y = torch.randint(classes, (rows,))
        a, b = p.clone().requires_grad_(), c.clone().requires_grad_()
        eager_both(a, b, y)
        _, by_hand, _ = hand_both(p, c, y)
        assert torch.allclose(a.grad, by_hand, atol=1e-6), "the gradients by hand are not those of autograd"
        calls = {"eager.forward": torch.no_grad()(lambda: eager(p, c, y)), "eager.both": lambda: eager_both(a, b, y),
                 "hand.both": lambda: hand_both(p, c, y)}
        count = max(1, 300000 // (rows * classes))
        for _ in range(samples):
            for name, call in calls.items():
                start = time.perf_counter_ns()
                for _ in range(count):
                    call()
                results.setdefault(f"{name}/{rows}x{classes}", []).append((time.perf_counter_ns() - start) / count)
    json.dump(results, sys.stdout)


main()
