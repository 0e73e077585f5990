# SPDX-License-Identifier: Apache-2.0
"""Draws what the experiment has written: `figure.py FILE... PICTURE`, each file a number of epochs, named <epochs>.csv."""
import csv
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

*files, picture = map(pathlib.Path, sys.argv[1:])
truth = {"accuracy, as observed": 0.9125, "accuracy, do(scene)": 0.9125, "effect of the action": 0.9, "effect of the scene": 0.0}
tables = {file.stem: list(csv.DictReader(file.open())) for file in files}
settings = list(dict.fromkeys(row["setting"] for row in next(iter(tables.values()))))
colours = dict(zip(settings, ["#000000", "#56B4E9", "#E69F00", "#009E73"]))  # told apart by colour-blind readers too
markers = dict(zip(settings, "os^D"))

figure, panels = plt.subplots(1, len(truth), figsize=(13, 3.6), constrained_layout=True)
for axis, (measure, right) in zip(panels, truth.items()):
    axis.axhline(right, color="grey", lw=1, ls="--")
    for k, setting in enumerate(settings):
        rows = [row for table in tables.values() for row in table if row["setting"] == setting and row["measure"] == measure]
        mean, lower, upper = ([float(row[part]) for row in rows] for part in ("mean", "lower", "upper"))
        errors = [[m - l for m, l in zip(mean, lower)], [u - m for m, u in zip(mean, upper)]]
        places = [at + 0.1 * (k - 1.5) for at in range(len(tables))]
        axis.errorbar(places, mean, errors, fmt=markers[setting], color=colours[setting], ms=5, capsize=3, label=setting)
    axis.set_title(measure, fontsize=11)
    axis.set_xticks(range(len(tables)))
    axis.set_xticklabels([f"{name} epochs" for name in tables])
    axis.set_xlim(-0.5, len(tables) - 0.5)
    axis.grid(alpha=0.3)
panels[0].legend(fontsize=8, loc="lower right")
figure.suptitle("Mean over seeds, 95 % intervals; dashed: the causal effect, or the best accuracy there is", fontsize=11)
figure.savefig(picture, dpi=100)
print(f"figure: {picture}")
