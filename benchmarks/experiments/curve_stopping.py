#!/usr/bin/env python3
"""What stopping by learning curves saves, and what it costs, on curves of real trainings.

curve_stopping.py OUT [SEEDS]

First the curves: 120 random cells of NAS-Bench-201 (8 channels, one a stage), each trained for 10
epochs on 6,000 images of Fashion-MNIST, its validation accuracy taken after every one. Then searches
of these curves, in an order of each seed, by `curve_stopping` with its defaults, until all cells were
begun. Random search would train all of them to the end. Goes on after a stop.
"""

import csv
import json
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = HERE / "build/release/bin/espalier"
CELLS, PARTS = 120, 10


def search(config, out):
    file = out.with_suffix(".json")
    file.write_text(json.dumps(config))
    subprocess.run([PROGRAM, "search", file, "--out", out, "--resume"], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    listed = subprocess.run([PROGRAM, "trials", out, "--json"], check=True, text=True,
                            stdout=subprocess.PIPE).stdout
    return json.loads(listed)["trials"]


def curves(trials):
    """Of each architecture, in the order in which they were begun: accuracies after each part."""
    found = {}
    for trial in trials:
        curve = found.setdefault(trial["arch"], {})
        curve[round(trial.get("fidelity", 1) * PARTS)] = trial["metrics"]["accuracy"]
    return found


def trained(out):
    """Of percent as shares of 1 nothing is forecast, so that nothing is stopped."""
    return curves(search({
        "seed": 1,
        "space": {"type": "nasbench201", "channels": 8, "cells": 1, "input": [1, 28, 28],
                  "classes": 10},
        "data": {"type": "fashion_mnist"},
        "evaluator": {"type": "train", "lower_fidelity": "first_epochs",
                      "train": {"epochs": PARTS, "batch_size": 64, "learning_rate": 0.05,
                                "train_fraction": 6000 / 54000}},
        "strategy": {"type": "curve_stopping", "scale": 1},
        "compute": {"workers": 1},
        "objectives": [{"metric": "accuracy"}],
        "budget": {"trials": CELLS * PARTS},
    }, out / "curves"))


def main():
    out = pathlib.Path(sys.argv[1])
    seeds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    out.mkdir(parents=True, exist_ok=True)
    known = list(trained(out).values())
    table = out / "curves.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["cell", *(f"after_{k}" for k in range(1, PARTS + 1))])
        for cell, curve in enumerate(known, 1):
            writer.writerow([cell, *(curve[k] for k in range(1, PARTS + 1))])
    best = max(curve[PARTS] for curve in known)
    print(f"{len(known)} cells, the best {best:.2f}, the median "
          f"{statistics.median(curve[PARTS] for curve in known):.2f}")
    for seed in range(1, seeds + 1):
        # Each cell is an option of one decision: nothing is learned from one for another.
        seen = curves(search({
            "seed": seed,
            "space": {"type": "custom", "input": [1, 1, 1], "classes": 2, "network": [
                {"type": "conv2d", "out_channels":
                 {"choose": list(range(1, len(known) + 1)), "name": "cell"}},
                "global_avg_pool", "flatten", {"type": "linear", "out_features": "classes"}]},
            "evaluator": {"type": "table", "file": str(table.resolve()),
                          "metrics": {"accuracy": "after_10"},
                          "fidelities": [{"fidelity": k / PARTS,
                                          "metrics": {"accuracy": f"after_{k}"}}
                                         for k in range(1, PARTS)]},
            "strategy": {"type": "curve_stopping"},
            "compute": {"workers": 1},
            "objectives": [{"metric": "accuracy"}],
            "budget": {"trials": CELLS * PARTS},
        }, out / f"seed_{seed}")).values()
        ends = [curve[PARTS] for curve in seen if PARTS in curve]
        epochs = sum(len(curve) for curve in seen)
        print(f"seed {seed}: {len(seen)} begun, {len(ends)} trained to the end, {epochs} epochs "
              f"of {len(seen) * PARTS}; the best of these {max(ends):.2f}", flush=True)


if __name__ == "__main__":
    main()
