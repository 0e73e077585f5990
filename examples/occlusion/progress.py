# SPDX-License-Identifier: Apache-2.0
"""Passes lines through and draws a progress bar below them, for a terminal."""
import re
import sys

from tqdm import tqdm

bar = None
for line in sys.stdin:
    tqdm.write(line.rstrip("\n"))
    run = re.match(r"run (\d+) of (\d+):", line)
    if run:
        bar = bar or tqdm(total=int(run[2]), unit="run", leave=False)
        bar.update(int(run[1]) - bar.n)
    elif bar and line.startswith("Accuracy"):
        bar.close()
