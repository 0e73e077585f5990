# SPDX-License-Identifier: Apache-2.0
"""The loss in PyTorch: as it is usually written, compiled, and with its gradients by hand. Prints times in nanoseconds as JSON.

    torch_loss.py SAMPLES          one thread of the host
    torch_loss.py SAMPLES cuda     a GPU, between events, what is in its cache overwritten before each
"""
import json
import sys
import time

import torch
from torch.nn import functional


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


def on_host(samples):
    results = {}
    torch.set_num_threads(1)
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
    return results


def on_gpu(samples):
    results = {}
    flush = torch.empty(1 << 28, dtype=torch.uint8, device="cuda")
    for rows, classes in ((65536, 10), (65536, 400), (32768, 1000), (4096, 32000), (1024, 128256), (1, 1000)):
        for dtype in (torch.float32, torch.bfloat16):
            torch.manual_seed(7)
            a, b = ((3 * torch.randn(2, rows, classes, device="cuda")).to(dtype)[i].clone().requires_grad_() for i in (0, 1))
            y = torch.randint(classes, (rows,), device="cuda")

            def both(value):
                a.grad = b.grad = None
                value(a.float(), b.float(), y).backward()

            compiled = torch.compile(lambda p, c, y: eager(p.float(), c.float(), y))
            calls = {"eager.both": lambda: both(eager), "compiled.both": lambda: both(compiled)}
            wanted = []
            for call in calls.values():
                call()
                call()
                wanted.append((a.grad.float(), b.grad.float()))
            for one, other in zip(*wanted):
                assert torch.allclose(one, other, rtol=2 ** -7, atol=1e-9), "the gradients of torch.compile are not those of autograd"
            del wanted
            for _ in range(samples):
                for name, call in calls.items():
                    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
                    flush.zero_()
                    begin.record()
                    call()
                    end.record()
                    end.synchronize()
                    results.setdefault(f"{name}/{str(dtype)[6:]}/{rows}x{classes}", []).append(begin.elapsed_time(end) * 1e6)
    return results


def main():
    where = on_gpu if sys.argv[2:] == ["cuda"] else on_host
    json.dump(where(int(sys.argv[1])), sys.stdout)


main()
