# SPDX-License-Identifier: Apache-2.0
"""Draws what the experiment has written: `figure.py FOLDER` reads results.json there and writes bias.png."""
import json
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

folder = pathlib.Path(sys.argv[1])
results = json.loads((folder / "results.json").read_text())
rows, measures = results["summary"], results["measures"]

figure, panels = plt.subplots(1, len(measures), figsize=(14, 3.8), sharey=True, constrained_layout=True)
height = np.arange(len(rows) - 1)[::-1]
for k, (axis, measure) in enumerate(zip(panels, measures)):
    differences = [row["difference"][k] for row in rows[1:]]
    mean = np.array([d["mean"] for d in differences])
    errors = [mean - [d["lower"] for d in differences], [d["upper"] for d in differences] - mean]
    axis.errorbar(mean, height, xerr=errors, fmt="o", ms=5, capsize=3, color="#0072B2")
    axis.axvline(0, color="black", lw=0.8)
    axis.grid(alpha=0.3, axis="x")
    axis.set_title(f"{measure}\n{rows[0]['name']}: {rows[0]['accuracy'][k]['mean']:.1f} %", fontsize=10)
    axis.set_xlabel(f"points beside {rows[0]['name']}")
panels[0].set_yticks(height)
panels[0].set_yticklabels([row["name"] for row in rows[1:]])
figure.suptitle(f"Paired differences of the accuracy over {results['seeds']} seeds, 95 % intervals", fontsize=11)
figure.savefig(folder / "bias.png", dpi=110)
print(f"figure: {folder / 'bias.png'}")
