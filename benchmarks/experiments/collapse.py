#!/usr/bin/env python3
"""DARTS collapses, the monitor says so, and what helps: on few images for long, and where planted.

collapse.py OUT [NAME...]

Fashion-MNIST. `long`: cells of NAS-Bench-201 (8 channels, one a stage), 60 epochs on 4,000 images,
half of them for the architecture, whose learning rate is ten times the usual one, since it takes a
tenth of the usual number of steps. `planted`: eight blocks in a row that are either a skip or a
convolution through two channels: what has learned little loses next to nothing by skipping all.
Cells are looked up in the table of NAS-Bench-201 (CIFAR-10). Goes on after a stop.
"""

import csv
import gzip
import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = HERE / "build/release/bin/espalier"
CELLS = {"type": "nasbench201", "input": [1, 28, 28], "classes": 10, "channels": 8, "cells": 1}
NARROW = {"type": "sequence", "steps": [
    {"type": "conv_bn_act", "out_channels": 2, "kernel": 3},
    {"type": "conv_bn_act", "out_channels": 16, "kernel": 3}]}
PLANTED = {"type": "custom", "input": [1, 28, 28], "classes": 10, "network": [
    {"type": "conv_bn_act", "name": "stem", "out_channels": 16, "kernel": 3, "stride": 2},
    *[{"type": "optional", "name": f"block{i}", "block": NARROW} for i in range(1, 9)],
    {"type": "sequence", "name": "head", "steps": [
        "global_avg_pool", "flatten", {"type": "linear", "out_features": "classes"}]}]}
STRATEGIES = {
    "darts": {"type": "darts"},
    "darts, early stopping": {"type": "darts", "early_stopping": True},
    "darts_minus": {"type": "darts_minus"},
    "sdarts": {"type": "sdarts"},
    "dr_nas": {"type": "dr_nas"},
}
RUNS = {"long": (CELLS, 60, 0.074), "planted": (PLANTED, 50, 0.074)}


def config(space, epochs, fraction, strategy):
    return {
        "seed": 1, "space": space, "data": {"type": "fashion_mnist"},
        "evaluator": {"type": "one_shot", "recalibration": {"batches": 2},
                      "train": {"rule": "strategy", "epochs": epochs, "batch_size": 64,
                                "learning_rate": 0.025, "nesterov": False, "weight_decay": 3e-4,
                                "gradient_clip": 5, "train_fraction": fraction}},
        "strategy": {"normalize_pools": False, "architecture_learning_rate": 3e-3, **strategy},
        "compute": {"workers": 1}, "objectives": [{"metric": "accuracy"}],
        "budget": {"trials": 1000},
    }


def main():
    out, wanted = pathlib.Path(sys.argv[1]), sys.argv[2:]
    out.mkdir(parents=True, exist_ok=True)
    with gzip.open(HERE / "benchmarks/tables/nasbench201.csv.gz", "rt") as file:
        table = {row["arch"]: row["c10_test"] for row in csv.DictReader(file)}
    for kind, (space, epochs, fraction) in RUNS.items():
        for name, strategy in STRATEGIES.items():
            if wanted and f"{kind}/{name}" not in wanted and kind not in wanted:
                continue
            run = out / f"{kind}_{name.replace(', ', '_').replace(' ', '_')}"
            written = out / f"{run.name}.json"
            written.write_text(json.dumps(config(space, epochs, fraction, strategy)))
            subprocess.run([PROGRAM, "search", written, "--out", run, "--resume"], check=True,
                           stderr=subprocess.DEVNULL)
            trials = json.loads(subprocess.run([PROGRAM, "trials", run, "--json"], check=True,
                                               stdout=subprocess.PIPE, text=True).stdout)["trials"]
            print(f"{kind}, {name}:")
            shown = sorted({0, len(trials) // 4, len(trials) // 2, 3 * len(trials) // 4,
                            len(trials) - 1})
            for i in shown:
                notes = trials[i]["notes"]
                arch = trials[i]["arch"]
                print(f"  epoch {i + 1:3d}: skips {notes['skip_share']:.2f}, eigenvalue "
                      f"{notes['eigenvalue']:.2f}, entropy {notes['entropy']:.2f}, relaxed "
                      f"{notes['relaxed_accuracy']:.1f}, derived {notes['derived_accuracy']:.1f}"
                      + (f", table {table[arch]}" if arch in table else "")
                      + (f", of epoch {notes['of_epoch']:.0f}" if "of_epoch" in notes else ""))
            first = {text: next((t["id"] + 1 for t in trials
                                 if text in t["notes"].get("warning", "")), None)
                     for text in ("collapsed", "sharp")}
            print(f"  warned of sharpness from epoch {first['sharp']}, of collapse from epoch "
                  f"{first['collapsed']}", flush=True)


if __name__ == "__main__":
    main()
