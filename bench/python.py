#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the Python module costs: a call against C++ and PyTorch, threads, and training with car.torch.CARLoss against the formula by hand.

Run it with a Python that has car; PyTorch is compared where it is installed. Every figure is the least of 21 samples, taken in turn with
those that it is compared with. Nothing here is a test.
"""
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import car
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]


def least(calls, count):
    """Nanoseconds of each call."""
    best = [float("inf")] * len(calls)
    for _ in range(21):
        for k, call in enumerate(calls):
            start = time.perf_counter_ns()
            for _ in range(count):
                call()
            best[k] = min(best[k], (time.perf_counter_ns() - start) / count)
    return best


def in_cpp():
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder, "call")
        subprocess.run(["g++", "-std=c++20", "-O3", "-I", ROOT / "include", ROOT / "bench/call.cpp", "-o", program], check=True)
        return [float(line) for line in subprocess.run([program], check=True, capture_output=True, text=True).stdout.split()]


def by_hand(p, c, labels):
    """As it is usually written."""
    from torch.nn import functional

    divergence = functional.kl_div((p - c).log_softmax(1), p.log_softmax(1), reduction="batchmean", log_target=True)
    return functional.cross_entropy(p, labels) + divergence


def overhead():
    random = np.random.default_rng(0)
    p, c = random.normal(size=(2, 1, 10)).astype(np.float32)
    labels, grad_p, grad_c = np.array([3]), np.empty_like(p), np.empty_like(c)
    calls = [
        lambda: car.loss(p, c, labels),
        lambda: car.loss(p, c, labels, grad_p=grad_p, grad_c=grad_c),
        lambda: car.loss(p, c, labels, gradients=True),
    ]
    value, outputs, made = least(calls, 2000)
    cpp = in_cpp()
    print("one row of ten classes, float32, ns a call")
    print(f"  value alone                C++ {cpp[0]:6.0f}   car.loss {value:6.0f}")
    print(f"  gradients, outputs given   C++ {cpp[1]:6.0f}   car.loss {outputs:6.0f}")
    print(f"  gradients, outputs made                 car.loss {made:6.0f}")
    try:
        import torch
    except ImportError:
        return print("PyTorch is not installed: not compared")
    from car.torch import car_loss

    torch.set_num_threads(1)
    p, c, labels = torch.tensor(p, requires_grad=True), torch.tensor(c, requires_grad=True), torch.tensor(labels)
    grad = lambda loss: lambda: torch.autograd.grad(loss(p, c, labels), (p, c))
    mine, theirs, mine_back, theirs_back = least(
        [lambda: car_loss(p, c, labels), lambda: by_hand(p, c, labels), grad(car_loss), grad(by_hand)], 100
    )
    print(f"  forward                    car_loss {mine:6.0f}   PyTorch {torch.__version__} eager {theirs:6.0f}")
    print(f"  forward and backward       car_loss {mine_back:6.0f}   eager {theirs_back:6.0f}")


def threads():
    print("loss with gradients, outputs given, float32, ms a call")
    for rows, classes in ((256, 400), (1024, 1000)):
        random = np.random.default_rng(0)
        p, c = (3 * random.normal(size=(2, rows, classes))).astype(np.float32)
        labels, grad_p, grad_c = random.integers(0, classes, rows), np.empty_like(p), np.empty_like(c)
        best = {1: float("inf"), 2: float("inf")}
        for _ in range(21):
            for number in best:
                car.set_num_threads(number)
                for _ in range(3):  # the first wakes the threads
                    start = time.perf_counter_ns()
                    car.loss(p, c, labels, grad_p=grad_p, grad_c=grad_c)
                    best[number] = min(best[number], (time.perf_counter_ns() - start) / 1e6)
        car.set_num_threads(1)
        print(f"  {rows:5} x {classes:<6} one thread {best[1]:7.3f}   two {best[2]:7.3f}")


def train(kind, rows, classes):
    """Milliseconds a step of a linear model, and the process's largest memory. In a process of its own, for the memory."""
    import torch

    from car.torch import CARLoss

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = torch.nn.Linear(64, classes)
    descent = torch.optim.SGD(model.parameters(), lr=0.1)
    x, erased, labels = torch.randn(rows, 64), torch.randn(rows, 64), torch.randint(0, classes, (rows,))
    loss_of = CARLoss() if kind == "car" else by_hand

    def step():
        loss = loss_of(model(x), model(erased), labels)
        descent.zero_grad()
        loss.backward()
        descent.step()
        return loss

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times = []
    for _ in range(15):
        start = time.perf_counter()
        loss = step()
        times.append(time.perf_counter() - start)
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{1000 * min(times):.3f} {memory:.0f} {loss.item():.6f}")


def training():
    print("training a linear model, ms a step; MiB more than before the first step; loss after 15 steps")
    for rows, classes in ((64, 10), (256, 400), (1024, 1000), (256, 32000)):
        line = f"  {rows:5} x {classes:<6}"
        for kind in ("car", "hand"):
            command = [sys.executable, __file__, kind, str(rows), str(classes)]
            milliseconds, memory, loss = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            line += f"   {'CARLoss' if kind == 'car' else 'by hand'} {milliseconds:>9} ms {memory:>5} MiB  {loss}"
        print(line)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        train(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    else:
        print(f"{car.config()['instruction_set']}, {car.config()['compiler']}")
        overhead()
        threads()
        if "torch" in car.config()["libraries"]:
            training()
