# SPDX-License-Identifier: Apache-2.0
"""The experiment of script/demo in Python: `python -m car.demo [--quick] [--framework torch] [--output FOLDER]`.

Nine garment classes of Fashion-MNIST stand before scenes that go with the class in 90 % of the training images; handbags are tracked in
front of them. Which loss finds the garment when the scenes are shuffled?
"""
from __future__ import annotations

import argparse
import gzip
import json
import pathlib
import runpy
import sys
import time
from typing import Any, Callable, Optional

import numpy as np

import car

SIDE, BAG, CLASSES, SCENES = 28, 8, 9, 10  # Fashion-MNIST's label 8 is the handbag; the other nine are actors
NAMES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "ankle boot")
DEGREES = (0.0, 0.25, 0.50, 0.75)
CONDITIONS = ("in distrib.", "none", "0.25", "0.50", "0.75")
Array = Any


class Garments:
    """Real pictures of one split, 0 to 1: actors with their class, and the handbags that will stand before them."""

    def __init__(self, folder: pathlib.Path, split: str) -> None:
        def read(name: str, header: int) -> Array:
            with gzip.open(folder / f"{split}-{name}.gz") as file:
                return np.frombuffer(file.read(), np.uint8, offset=header)

        labels = read("labels-idx1-ubyte", 8)
        self.pictures = read("images-idx3-ubyte", 16).reshape(-1, SIDE, SIDE).astype(np.float32) / 255
        self.labels = labels.astype(np.int64) - (labels > BAG)
        self.actors, self.bags = np.flatnonzero(labels != BAG), np.flatnonzero(labels == BAG)


class Scenery:
    """Ten textures, sums of plane waves: gratings, blobs, noise. Every picture takes its own shift, contrast and grain."""

    def __init__(self, random: np.random.Generator) -> None:
        self.waves = []
        for scene in range(SCENES):
            kind = 0 if scene < 4 else 1 if scene < 7 else 2
            count, jitter = (1, 4, 12)[kind], 0.0 if kind == 0 else 0.4
            length = (5 + 3 * random.random(), 8 + 3 * (scene - 4), 4 + 1.5 * (scene - 7))[kind]
            turns = np.array([(scene + 0.5 * random.random()) / 8]) if kind == 0 else random.random(count)
            rate = 2 * np.pi / (length * (1 - jitter / 2 + jitter * random.random(count)))
            waves = (rate * np.cos(2 * np.pi * turns), rate * np.sin(2 * np.pi * turns), 2 * np.pi * random.random(count))
            self.waves.append(np.stack(waves))

    def paint(self, scene: int, random: np.random.Generator) -> Array:
        x, y, phase = self.waves[scene][:, :, None, None]
        left, up, contrast = 3 * random.random(), 3 * random.random(), 0.15 + 0.15 * random.random()
        down, across = np.mgrid[:SIDE, :SIDE]
        waves = np.cos(x * (across + left) + y * (down + up) + phase)
        painted = 0.45 + contrast * waves.sum(0) * np.sqrt(2 / len(waves)) + 0.05 * random.normal(size=(SIDE, SIDE))
        return painted.clip(0, 1).astype(np.float32)


def box_of(mask: Array) -> "tuple[int, int, int, int]":
    """x, y, width, height around what a mask covers."""
    down, across = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return across[0], down[0], across[-1] + 1 - across[0], down[-1] + 1 - down[0]


def compose(
    source: Garments, chosen: Array, scenery: Scenery, bound: float, degree: Optional[float], seed: int
) -> "dict[str, Array]":
    """Actors before scenes, handbags of the degree (each picture draws one if it is None) before them; and the actors erased."""
    random = np.random.default_rng(seed)
    labels, garments = source.labels[chosen], source.pictures[chosen]
    masks = (garments > 0.1).astype(np.float32)[:, None]
    factual = np.empty((len(chosen), 1, SIDE, SIDE), np.float32)
    for i, label in enumerate(labels):
        scene = int(label) if random.random() < bound else int(random.integers(SCENES))
        factual[i, 0] = np.where(masks[i, 0] > 0, garments[i], scenery.paint(scene, random))
    data = {"factual": factual, "black": car.erase(factual, masks), "mean": car.erase(factual, masks, "mean"), "labels": labels}
    bags = source.pictures[random.choice(source.bags, len(chosen))]
    drawn = random.choice(DEGREES, len(chosen))
    for i, bag in enumerate(bags):
        scale = drawn[i] if degree is None else degree
        if scale == 0:
            continue
        x, y, width, height = box_of(bag > 0.1)
        bag = bag[y : y + height, x : x + width]
        for kind in ("factual", "black", "mean"):
            frame = data[kind][i : i + 1]
            car.occlude(frame, [box_of(masks[i, 0])], bag, (bag > 0.1).astype(np.float32), scale=scale, out=frame)
    for kind in ("factual", "black", "mean"):
        data[kind] = data[kind].reshape(len(chosen), SIDE * SIDE)
    return data


class NumpyNetwork:
    """One hidden layer of rectified units for both branches; gradient descent with momentum."""

    def __init__(self, hidden: int, random: np.random.Generator) -> None:
        sizes = ((SIDE * SIDE, hidden), (hidden, CLASSES))
        self.weights = [(random.normal(size=s) * np.sqrt(g / s[0])).astype(np.float32) for s, g in zip(sizes, (2, 1))]
        self.weights += [np.zeros(size[1], np.float32) for size in sizes]
        self.velocity = [np.zeros_like(w) for w in self.weights]

    def forward(self, images: Array) -> Any:
        hidden = np.maximum(images @ self.weights[0] + self.weights[2], 0)
        return hidden, hidden @ self.weights[1] + self.weights[3]

    def logits(self, images: Array) -> Array:
        return self.forward(images)[1]

    def train(self, images: Array, erased: Array, labels: Array, options: Any, rate: float) -> Any:
        (hidden_p, p), (hidden_c, c) = self.forward(images), self.forward(erased)
        loss = car.loss(p, c, labels, gradients=True, **options)
        steps = [np.zeros_like(w) for w in self.weights]
        for x, hidden, slope in ((images, hidden_p, loss.grad_p), (erased, hidden_c, loss.grad_c)):
            back = (slope @ self.weights[1].T) * (hidden > 0)
            for step, more in zip(steps, (x.T @ back, hidden.T @ slope, back.sum(0), slope.sum(0))):
                step += more
        for weight, velocity, step in zip(self.weights, self.velocity, steps):
            velocity *= 0.9
            velocity -= rate * step
            weight += velocity
        return loss, p, c


def torch_network(hidden: int, random: np.random.Generator) -> Any:
    """The same network, where autograd and car.torch do the work."""
    import torch

    import car.torch

    start = NumpyNetwork(hidden, random).weights
    layers = torch.nn.Sequential(torch.nn.Linear(SIDE * SIDE, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, CLASSES))
    with torch.no_grad():
        for layer, weight in zip((layers[0], layers[2]), start):
            layer.weight.copy_(torch.from_numpy(weight.T))
            layer.bias.zero_()
    descent = torch.optim.SGD(layers.parameters(), lr=1.0, momentum=0.9)

    class Network:
        def logits(self, images: Array) -> Array:
            with torch.no_grad():
                return layers(torch.from_numpy(images)).numpy()

        def train(self, images: Array, erased: Array, labels: Array, options: Any, rate: float) -> Any:
            p, c = layers(torch.from_numpy(images)), layers(torch.from_numpy(erased))
            descent.param_groups[0]["lr"] = rate
            descent.zero_grad()
            car.torch.car_loss(p, c, torch.from_numpy(labels), **options).backward()
            descent.step()
            p, c = p.detach().numpy(), c.detach().numpy()
            return car.loss(p, c, labels, **options), p, c

    return Network()


def run(training: Any, tests: Any, alpha: float, fill: str, flow: Any, seed: int, arguments: Any, network: Callable[..., Any]) -> Any:
    random = np.random.default_rng(seed)
    net = network(256, random)
    labels, epochs = training["labels"], []
    for epoch in range(arguments.epochs):
        start, rate = time.perf_counter(), 0.015 * (1 + np.cos(np.pi * epoch / arguments.epochs))
        effects, loss_sum, right = car.EffectAccumulator(CLASSES), 0.0, 0
        for rows in np.array_split(random.permutation(len(labels)), max(1, len(labels) // 64)):
            batch = training["factual"][rows], training[fill][rows], labels[rows]
            loss, p, c = net.train(*batch, {"alpha": alpha, "flow": flow}, rate)
            effects.add(p, c, labels[rows])
            loss_sum += loss.value * len(rows)
            right += loss.correct
        effect, count = effects.result(), len(labels)
        epochs.append({"loss": loss_sum / count, "accuracy": 100 * right / count, "effect": effect.mean})
        print(
            f"  epoch {epoch + 1:2}  loss {loss_sum / count:.4f}  P_effect {effect.mean:+.4f} +- {effect.standard_error:.4f}  "
            f"accuracy {100 * right / count:5.2f} %  {count / (time.perf_counter() - start):6.0f} samples/s"
        )
    right_in = [net.logits(t["factual"]).argmax(1) == t["labels"] for t in tests]
    accuracy = [100 * float(right_in_one.mean()) for right_in_one in right_in]
    # With the scenes shuffled: what the actor is worth at degree 0.50, and what degree 0.75 costs beside no occlusion, by class.
    half, drop = tests[3], right_in[1].astype(float) - right_in[4]
    effects = car.EffectAccumulator(CLASSES)
    effects.add(net.logits(half["factual"]), net.logits(half["mean"]), half["labels"])
    by_class = {
        "effect_by_class": [interval(effects.of_class(k)) for k in range(CLASSES)],
        "drop_by_class": [interval(car.mean_effect(drop[tests[1]["labels"] == k])) for k in range(CLASSES)],
    }
    return {"seed": seed, "alpha": alpha, "fill": fill, "flow": flow, "epochs": epochs, "accuracy": accuracy, "test": by_class}


def interval(e: car.EffectResult) -> "dict[str, float]":
    return {"mean": e.mean, "lower": e.lower, "upper": e.upper}


def summarise(settings: Any, runs: Any) -> Any:
    """Mean and interval over seeds of each accuracy, and of its paired difference to cross-entropy alone."""

    accuracy = np.array([[one["accuracy"] for one in of_setting] for of_setting in runs])
    rows = []
    for (alpha, fill, flow), mine in zip(settings, accuracy):
        name = "cross-entropy only" if alpha == 0 else f"{flow}, {fill} fill, alpha {alpha:g}"
        gain = mine - accuracy[0]
        columns = range(len(CONDITIONS))
        row = {"name": name, "alpha": alpha, "fill": "" if alpha == 0 else fill, "flow": "" if alpha == 0 else flow}
        row["accuracy"] = [interval(car.mean_effect(mine[:, k])) for k in columns]
        row["difference"] = [interval(car.mean_effect(gain[:, k])) for k in columns]
        row["difference_when_shuffled"] = interval(car.mean_effect(gain[:, 1:].mean(1)))
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m car.demo", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer seeds, settings and images")
    parser.add_argument("--framework", choices=("numpy", "torch"), default="numpy")
    parser.add_argument("--seeds", type=int, help="at least 2")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--train", type=int, help="training images")
    parser.add_argument("--test", type=int, help="test images")
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("car-demo"))
    arguments = parser.parse_args()
    quick = arguments.quick
    seeds = max(2, arguments.seeds or (2 if quick else 8))
    train, test = arguments.train or (2000 if quick else 4000), arguments.test or (1000 if quick else 3000)
    if not (arguments.data / "train-images-idx3-ubyte.gz").exists():
        sys.exit(f"car.demo: there is no Fashion-MNIST in {arguments.data}; --data names its folder (Debian: dataset-fashion-mnist)")
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    network = NumpyNetwork if arguments.framework == "numpy" else torch_network
    alphas = (1.0,) if quick else (0.5, 1.0, 2.0)
    settings = [(0.0, "mean", "full")]
    settings += [(alpha, fill, flow) for flow in ("full", "stop_target") for fill in ("black", "mean") for alpha in alphas]
    garments = {split: Garments(arguments.data, split) for split in ("train", "t10k")}
    runs: "list[list[Any]]" = [[] for _ in settings]
    for seed in range(1, seeds + 1):
        random = np.random.default_rng(seed)
        scenery = Scenery(random)
        chosen = [random.permutation(garments[split].actors)[:count] for split, count in (("train", train), ("t10k", test))]
        training = compose(garments["train"], chosen[0], scenery, 0.9, None, seed)
        tests = [compose(garments["t10k"], chosen[1], scenery, 0.9, None, seed + 1000)]
        tests += [compose(garments["t10k"], chosen[1], scenery, 0.0, degree, seed + 1000) for degree in DEGREES]
        for k, (alpha, fill, flow) in enumerate(settings):
            print(f"run {k + 1 + (seed - 1) * len(settings)} of {seeds * len(settings)}: seed {seed}, alpha {alpha:g}, {flow}, {fill} fill")
            runs[k].append(run(training, tests, alpha, fill, flow, seed, arguments, network))

    summary = summarise(settings, runs)
    print(f"\nAccuracy in % (mean of {seeds} seeds); all but the first column with scenes shuffled, by occlusion degree")
    print(f"{'':34}" + "".join(f"{name:>12}" for name in CONDITIONS) + "   difference when shuffled")
    for row in summary:
        gain = row["difference_when_shuffled"]
        means = "".join(f"{one['mean']:12.2f}" for one in row["accuracy"])
        print(f"{row['name']:34}{means}   {gain['mean']:+.2f} ({gain['lower']:+.2f} to {gain['upper']:+.2f})")

    arguments.output.mkdir(parents=True, exist_ok=True)
    first = garments["t10k"].actors[:6]
    shown = [compose(garments["t10k"], first, Scenery(np.random.default_rng(1)), 0.9, degree, 1) for degree in DEGREES]
    columns = [*(one["factual"] for one in shown), shown[2]["black"], shown[2]["mean"]]
    sheet = np.stack(columns, 1).reshape(6, 6, SIDE, SIDE).transpose(0, 2, 1, 3).reshape(6 * SIDE, 6 * SIDE)
    plt.imsave(arguments.output / "pictures.png", sheet, cmap="gray", vmin=0, vmax=1)
    best = max(range(len(summary)), key=lambda k: float(summary[k]["difference_when_shuffled"]["mean"]))
    results = {"configuration": {"seeds": seeds}, "conditions": CONDITIONS, "classes": NAMES, "shown": best}
    results.update({"summary": summary, "runs": runs})
    (arguments.output / "results.json").write_text(json.dumps(results, indent=1))
    sys.argv = ["figure", str(arguments.output)]
    runpy.run_path(str(pathlib.Path(__file__).with_name("_figure.py")))


if __name__ == "__main__":
    main()
