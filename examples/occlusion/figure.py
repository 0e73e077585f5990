# SPDX-License-Identifier: Apache-2.0
"""Draws what the experiment has written: `figure.py FOLDER` reads results.json and pictures.png, writes occlusion.png."""
import json
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

folder = pathlib.Path(sys.argv[1])
results = json.loads((folder / "results.json").read_text())
pictures = plt.imread(folder / "pictures.png")

rows = results["summary"]
seeds = results["configuration"]["seeds"]


def shuffled(row, part):
    return np.array([condition[part] for condition in row["accuracy"][1:]])


figure = plt.figure(figsize=(14, 6.6), constrained_layout=True)
left, right = figure.subfigures(1, 2, width_ratios=[1, 1.55])

axis = left.subplots()
axis.imshow(pictures, cmap="gray", vmin=0, vmax=1)
side = pictures.shape[1] / 6
for k in range(1, 6):
    axis.axvline(k * side - 0.5, color="white", lw=3 if k == 4 else 1)
    axis.axhline(k * side - 0.5, color="white", lw=1)
axis.set_xticks([side * (k + 0.5) for k in range(6)])
axis.set_xticklabels(["none", "0.25", "0.50", "0.75", "black", "mean"])
axis.set_yticks([])
axis.set_xlabel("factual, by occlusion degree        |   counterfactual, by fill ")
axis.set_title("The actor, occluded; and erased", fontsize=11)

colours = {0.0: "#000000", 0.5: "#56B4E9", 1.0: "#E69F00", 2.0: "#009E73"}  # told apart by colour-blind readers too
markers = {0.0: "o", 0.5: "s", 1.0: "^", 2.0: "D"}
panels = right.subplots(2, 2, sharex=True, sharey=True)
for down, flow in enumerate(["full", "stop_target"]):
    for across, fill in enumerate(["black", "mean"]):
        axis = panels[down, across]
        lines = [row for row in rows if row["alpha"] == 0 or (row["flow"], row["fill"]) == (flow, fill)]
        for k, line in enumerate(lines):
            mean = shuffled(line, "mean")
            axis.errorbar(
                np.arange(4) + 0.06 * (k - (len(lines) - 1) / 2),
                mean,
                [mean - shuffled(line, "lower"), shuffled(line, "upper") - mean],
                color=colours[line["alpha"]], marker=markers[line["alpha"]], ms=5, lw=1.4, capsize=2,
                label="cross-entropy only" if line["alpha"] == 0 else f"alpha {line['alpha']:g}",
            )
        axis.set_title(f"flow {flow}, {fill} fill", fontsize=11)
        axis.set_xticks(range(4))
        axis.set_xticklabels(["none", "0.25", "0.50", "0.75"])
        axis.grid(alpha=0.3)
        if down == 1:
            axis.set_xlabel("occlusion degree")
        if across == 0:
            axis.set_ylabel("accuracy, scenes shuffled (%)")
panels[0, 0].legend(fontsize=8, loc="lower left")
right.suptitle(f"Mean of {seeds} seeds, 95 % intervals", fontsize=11)
figure.savefig(folder / "occlusion.png", dpi=110)
print(f"figure: {folder / 'occlusion.png'}   figures: {folder / 'results.json'}")

# What the model owes to the actor, and what heavy occlusion takes from it, by class: the paper's Figure 5 in small.
names, shown = results["classes"], results["shown"]
figure, (upper, lower) = plt.subplots(2, 1, figsize=(9, 6), sharex=True, constrained_layout=True)
for k, setting in enumerate(dict.fromkeys([0, shown])):
    test = results["runs"][setting][0]["test"]
    for axis, part in ((upper, "effect_by_class"), (lower, "drop_by_class")):
        mean = np.array([row["mean"] for row in test[part]])
        errors = [mean - [row["lower"] for row in test[part]], [row["upper"] for row in test[part]] - mean]
        axis.errorbar(np.arange(len(names)) + 0.16 * (k - 0.5), mean, errors, fmt="os"[k], ms=5, capsize=3,
                      color=["#000000", "#009E73"][k], label=rows[setting]["name"])
for axis, label in ((upper, "P_effect, actor erased"), (lower, "accuracy drop, none to 0.75")):
    axis.axhline(0, color="grey", lw=0.8)
    axis.grid(alpha=0.3)
    axis.set_ylabel(label)
upper.legend(fontsize=9)
upper.set_title("By class, test images with shuffled scenes, first seed, 95 % intervals", fontsize=11)
lower.set_xticks(range(len(names)))
lower.set_xticklabels(names, rotation=20)
figure.savefig(folder / "effects.png", dpi=110)
print(f"figure: {folder / 'effects.png'}")
