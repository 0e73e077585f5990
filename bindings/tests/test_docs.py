# SPDX-License-Identifier: Apache-2.0
"""The examples of docstrings run, and the stubs are those of the module."""
import doctest
import importlib
import inspect
import pathlib
import subprocess
import sys

import car
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def documented():
    """Functions and classes of the compiled half, which doctest's own finder does not look into, and the modules."""
    for name in car.__all__:
        yield f"car.{name}", getattr(car, name)
    yield "car", car


@pytest.mark.parametrize("name", [name for name, _ in documented()])
def test_examples_run(name):
    thing = dict(documented())[name]
    examples = doctest.DocTestParser().get_doctest(inspect.getdoc(thing), {"car": car, **vars(car)}, name, None, None)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    runner.run(examples)
    assert runner.failures == 0


@pytest.mark.parametrize("library", ["torch", "jax"])
def test_examples_of_a_library_run(library):
    pytest.importorskip(library, reason=f"{library} is not installed: its examples are not run")
    assert doctest.testmod(importlib.import_module(f"car.{library}")).failed == 0


OPS = [op for name, op in documented() if inspect.isroutine(op) and name != "car.config"]


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.__name__)
def test_docstrings_have_shapes_units_errors(op):
    lines = inspect.getdoc(op).splitlines()
    assert lines[0].startswith(op.__name__ + "(")
    for word in ("Shapes", "Units", "Errors"):
        assert word in lines, f"{op.__name__} says nothing of {word}"


def test_readme_example():
    text = (ROOT / "README.md").read_text()
    code = text.split("```python\n", 1)[1].split("```", 1)[0]
    names = {}
    exec(code, names)
    assert names["grad_p"].shape == (2, 3) and abs(names["loss"].value - 2.7046179838301328) < 1e-6


def test_stubs_are_the_modules():
    pytest.importorskip("pybind11_stubgen")
    check = subprocess.run([sys.executable, ROOT / "script/stubs", "--check"], capture_output=True, text=True)
    assert check.returncode == 0, check.stdout + check.stderr


def test_types():
    pytest.importorskip("mypy")
    check = subprocess.run([sys.executable, "-m", "mypy", "bindings/car"], cwd=ROOT, capture_output=True, text=True)
    assert check.returncode == 0, check.stdout


@pytest.mark.parametrize(
    "line, ok", [('car.loss(p, p, [0], flow="stop_target").value + 1', True), ('car.loss(p, p, [0], flow="none")', False)]
)
def test_a_users_types(tmp_path, line, ok):
    pytest.importorskip("mypy")
    program = tmp_path / "program.py"
    program.write_text(f"import car\nimport numpy as np\np = np.zeros((1, 2))\n{line}\n")
    check = subprocess.run([sys.executable, "-m", "mypy", "--strict", program], cwd=tmp_path, capture_output=True, text=True)
    assert (check.returncode == 0) == ok, check.stdout


def test_config():
    config = car.config()
    assert config["version"] == car.__version__ and "numpy" in config["libraries"]


def test_contract():
    program = ROOT.parent / "shared/contract/python_contract.py"
    if not program.exists():
        pytest.skip("the program that fixes the calls is not beside this checkout")
    run = subprocess.run([sys.executable, program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_selftest():
    run = subprocess.run([sys.executable, "-m", "car.selftest"], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_demo(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: the demo draws nothing")
    if not pathlib.Path("/usr/share/datasets/fashion-mnist").exists():
        pytest.skip("Fashion-MNIST is not installed")
    few = ["--quick", "--seeds", "2", "--epochs", "1", "--train", "128", "--test", "64", "--output", tmp_path]
    run = subprocess.run([sys.executable, "-m", "car.demo", *few], capture_output=True, text=True)
    assert run.returncode == 0 and (tmp_path / "occlusion.png").exists(), run.stderr
