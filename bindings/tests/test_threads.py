# SPDX-License-Identifier: Apache-2.0
"""The process's threads: which calls run on them, that no bit depends on their number, and that a fork has its own."""
import os
import pathlib
import subprocess
import sys
import threading
import time

import car
import numpy as np
import pytest

TASKS = pathlib.Path("/proc/self/task")
ROWS, CLASSES = 300, 400  # more than 2^16 numbers, in an uneven number of rows
P, C = (3 * np.random.default_rng(0).normal(size=(2, ROWS, CLASSES))).astype(np.float32)
LABELS = np.arange(ROWS) % CLASSES

SHARED = {
    "loss": lambda **on: car.loss(P, C, LABELS, gradients=True, terms=True, **on),
    "softmax": lambda **on: car.softmax(P, **on),
    "log_softmax": lambda **on: car.log_softmax(P, **on),
    "log_sum_exp": lambda **on: car.log_sum_exp(P, **on),
    "corrected_softmax": lambda **on: car.corrected_softmax(P, C, **on),
    "float16": lambda **on: car.softmax(P.astype(np.float16), **on),
    "float64": lambda **on: car.loss(P.astype(float), C.astype(float), LABELS, gradients=True, terms=True, **on),
}


@pytest.fixture(autouse=True)
def one_thread_afterwards():
    yield
    car.set_num_threads(1)


def bits(result):
    if isinstance(result, np.ndarray):
        return result.tobytes()
    arrays = result.grad_p, result.grad_c, result.row_loss, result.row_divergence, result.lse_p, result.predicted
    return result.value, result.cross_entropy, result.divergence, result.correct, *(a.tobytes() for a in arrays)


def wakes_threads(call):
    """Whether a call wakes the pool's two other threads, by how often the system has switched to them."""
    before = set(os.listdir(TASKS))
    car.set_num_threads(3)
    mine = set(os.listdir(TASKS)) - before
    assert len(mine) == 2

    def status():
        lines = [line for task in sorted(mine) for line in (TASKS / task / "status").read_text().splitlines()]
        return [line for line in lines if "ctxt_switches" in line], all("sleeping" in line for line in lines if line.startswith("State"))

    def at_rest():
        last = None
        while not (last is not None and last == status() and last[1]):
            last = status()
            time.sleep(0.02)
        return last[0]

    switches = at_rest()
    call()
    woken = at_rest() != switches
    car.set_num_threads(1)
    for _ in range(500):  # the system may list a thread a moment longer than it is waited for
        if not mine & set(os.listdir(TASKS)):
            return woken
        time.sleep(0.01)
    raise AssertionError("threads of a pool that is no longer set")


linux = pytest.mark.skipif(not TASKS.exists(), reason="the system does not show a process's threads in /proc")


@pytest.mark.parametrize("op", SHARED)
def test_the_bits_are_the_same_on_any_number_of_threads(op):
    alone = bits(SHARED[op]())
    for threads in (2, 3, 8):
        car.set_num_threads(threads)
        assert bits(SHARED[op]()) == alone == bits(SHARED[op](backend="simd"))


@linux
@pytest.mark.parametrize("op", SHARED)
def test_which_calls_run_on_them(op):
    assert wakes_threads(SHARED[op]) and not wakes_threads(lambda: SHARED[op](backend="scalar"))


@linux
def test_a_small_call_wakes_nobody():
    assert not wakes_threads(lambda: car.loss(P[:100], C[:100], LABELS[:100], gradients=True))


@linux
def test_torch_runs_on_them():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: car.torch is not tested")
    from car.torch import car_loss

    p, c, labels = torch.tensor(P, requires_grad=True), torch.tensor(C), torch.tensor(LABELS)
    assert wakes_threads(lambda: car_loss(p, c, labels))


@linux
def test_jax_runs_on_them():
    jax = pytest.importorskip("jax", reason="JAX is not installed: car.jax is not tested")
    from car.jax import car_loss

    p, c, labels = (jax.numpy.asarray(x) for x in (P, C, LABELS))
    step = jax.jit(jax.value_and_grad(car_loss))
    alone = step(p, c, labels)
    jax.block_until_ready(alone)
    together = []
    assert wakes_threads(lambda: together.append(jax.block_until_ready(step(p, c, labels))))
    assert together[0][0] == alone[0] and (together[0][1] == alone[1]).all()


def test_the_number_is_the_process_s():
    assert car.get_num_threads() == 1
    car.set_num_threads(np.int64(2))
    seen = []
    other = threading.Thread(target=lambda: seen.append(car.get_num_threads()))
    other.start()
    other.join()
    assert seen == [2] and car.get_num_threads() == car.config()["num_threads"] == 2


@pytest.mark.parametrize(
    "number, error, message",
    [
        (0, ValueError, "car::set_num_threads: num_threads is 0, expected 1 to 1024"),
        (-3, ValueError, "num_threads is -3"),
        (1025, ValueError, "num_threads is 1025"),
        (2**70, TypeError, "num_threads is 1180591620717411303424, expected an integer"),
        (1.5, TypeError, "num_threads is 1.5, expected an integer"),
        (None, TypeError, "num_threads is None"),
    ],
)
def test_errors(number, error, message):
    car.set_num_threads(2)
    with pytest.raises(error, match=message):
        car.set_num_threads(number)
    assert car.get_num_threads() == 2


def test_calls_go_on_while_the_number_changes():
    alone, got, stop = bits(SHARED["loss"]()), [], threading.Event()

    def call():
        while not stop.is_set():
            got.append(bits(SHARED["loss"]()))

    callers = [threading.Thread(target=call) for _ in range(3)]
    for caller in callers:
        caller.start()
    for threads in (2, 1, 3, 2, 4, 1) * 5:
        car.set_num_threads(threads)
    while len(got) < 10:
        time.sleep(0.001)
    stop.set()
    for caller in callers:
        caller.join()
    assert all(one == alone for one in got)


FORK = """
import os, car, numpy as np
p, c = np.random.default_rng(0).normal(size=(2, 300, 400)).astype(np.float32)
alone = car.softmax(p).tobytes()
car.set_num_threads(2)
assert car.softmax(p).tobytes() == alone
child = os.fork()
if child == 0:
    tasks = len(os.listdir("/proc/self/task"))
    good = tasks == 1 and all(car.softmax(p).tobytes() == alone for _ in range(10))
    good = good and len(os.listdir("/proc/self/task")) == 2 and car.get_num_threads() == 2
    car.set_num_threads(3)
    os._exit(not (good and car.softmax(p).tobytes() == alone))
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert car.softmax(p).tobytes() == alone
"""


@linux
def test_a_forked_process_has_threads_of_its_own():
    run = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
