#!/usr/bin/env python3
"""Cells that strategies on shared weights choose on Fashion-MNIST, by others' CIFAR-10 accuracies.

shared_weight_strategies.py OUT [SEEDS]

Each search trains one supernet of small NAS-Bench-201 networks for 24 epochs; the cell of the most
accurate trial of the last epoch is looked up in the table of NAS-Bench-201. Goes on after a stop.
"""

import csv
import gzip
import json
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = HERE / "build/release/bin/espalier"
TRAIN = {"epochs": 24, "batch_size": 128, "learning_rate": 0.05, "train_fraction": 0.25}
STRATEGIES = {
    "enas": ("strategy", {"type": "enas", "updates": 15, "candidates": 10}, 1000),
    "enas_independent": ("strategy", {"type": "enas", "policy": "independent", "updates": 15,
                                      "candidates": 10, "learning_rate": 0.05}, 1000),
    "cars": ("strategy", {"type": "cars", "population": 10, "warmup": 4, "epochs": 2}, 1000),
    "uniform, then regularized_evolution": (
        "uniform", {"type": "regularized_evolution", "population": 20, "sample": 5}, 200),
    "attentive, then regularized_evolution": (
        "attentive", {"type": "regularized_evolution", "population": 20, "sample": 5}, 200),
}


def config(rule, strategy, trials, seed):
    return {
        "seed": seed,
        "space": {"type": "nasbench201", "input": [1, 28, 28], "classes": 10, "channels": 8,
                  "cells": 1},
        "data": {"type": "fashion_mnist"},
        "evaluator": {"type": "one_shot", "train": {"rule": rule, **TRAIN},
                      "recalibration": {"batches": 5}},
        "strategy": strategy,
        "compute": {"workers": 2, "batch": 4},
        "objectives": [{"metric": "accuracy"}],
        "budget": {"trials": trials},
    }


def main():
    out = pathlib.Path(sys.argv[1])
    seeds = range(1, int(sys.argv[2]) + 1 if len(sys.argv) > 2 else 4)
    out.mkdir(parents=True, exist_ok=True)
    with gzip.open(HERE / "benchmarks/tables/nasbench201.csv.gz", "rt") as file:
        table = {row["arch"]: float(row["c10_test"]) for row in csv.DictReader(file)}
    values = sorted(table.values())
    print(f"all cells: median {statistics.median(values):.2f}, best {values[-1]:.2f}")
    for name, (rule, strategy, trials) in STRATEGIES.items():
        found = []
        for seed in seeds:
            run = out / f"{name.replace(' ', '_').replace(',', '')}-{seed}"
            written = out / f"{run.name}.json"
            written.write_text(json.dumps(config(rule, strategy, trials, seed)))
            subprocess.run([PROGRAM, "search", written, "--out", run, "--resume"], check=True,
                           stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            listed = json.loads(subprocess.run([PROGRAM, "trials", run, "--json"], check=True,
                                               stdout=subprocess.PIPE, text=True).stdout)["trials"]
            last = listed[-10:] if rule == "strategy" else listed
            best = max(last, key=lambda trial: trial["metrics"].get("accuracy", 0))
            found.append((table[best["arch"]], best["metrics"]["accuracy"]))
        tabulated = [value for value, _ in found]
        print(f"{name}: {statistics.mean(tabulated):.2f} "
              f"({', '.join(f'{a:.2f}' for a in tabulated)}), by shared weights "
              f"{', '.join(f'{b:.1f}' for _, b in found)}", flush=True)


if __name__ == "__main__":
    main()
