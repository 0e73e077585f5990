# SPDX-License-Identifier: Apache-2.0
"""Draws what the experiment has written: `figure.py FOLDER` reads results.json and pictures.png, writes occlusion.png."""
import json
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

T95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}  # Student's t, 95 %, by degrees of freedom

folder = pathlib.Path(sys.argv[1])
results = json.loads((folder / "results.json").read_text())
pictures = plt.imread(folder / "pictures.png")

accuracy = {}  # (flow, fill, alpha) -> seeds x conditions
for setting in results["runs"]:
    key = setting[0]["flow"], setting[0]["fill"], setting[0]["alpha"]
    accuracy[key] = np.array([run["accuracy"] for run in setting])
baseline = accuracy["", "", 0.0]
seeds = len(baseline)
t = T95.get(seeds - 1, 1.96)

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
for row, flow in enumerate(["full", "stop_target"]):
    for column, fill in enumerate(["black", "mean"]):
        axis = panels[row, column]
        lines = [(0.0, baseline)] + [(key[2], value) for key, value in accuracy.items() if key[:2] == (flow, fill)]
        for k, (alpha, values) in enumerate(lines):
            shuffled = values[:, 1:]
            axis.errorbar(
                np.arange(4) + 0.06 * (k - (len(lines) - 1) / 2),
                shuffled.mean(0),
                t * shuffled.std(0, ddof=1) / np.sqrt(seeds),
                color=colours[alpha], marker=markers[alpha], ms=5, lw=1.4, capsize=2,
                label="cross-entropy only" if alpha == 0 else f"alpha {alpha:g}",
            )
        axis.set_title(f"flow {flow}, {fill} fill", fontsize=11)
        axis.set_xticks(range(4))
        axis.set_xticklabels(["none", "0.25", "0.50", "0.75"])
        axis.grid(alpha=0.3)
        if row == 1:
            axis.set_xlabel("occlusion degree")
        if column == 0:
            axis.set_ylabel("accuracy, scenes shuffled (%)")
panels[0, 0].legend(fontsize=8, loc="lower left")
right.suptitle(f"Mean of {seeds} seeds, 95 % intervals", fontsize=11)
figure.savefig(folder / "occlusion.png", dpi=110)
print(f"figure: {folder / 'occlusion.png'}   figures: {folder / 'results.json'}")
