#!/usr/bin/env python3
"""DARTS collapses, the monitor says so, and what helps: on few images for long, and where planted.

collapse.py OUT [NAME...]

Fashion-MNIST. `long`: cells of NAS-Bench-201 (8 channels, one a stage), 60 epochs on 4,000 images,
half of them for the architecture, whose learning rate is ten times the usual one, since it takes a
tenth of the usual number of steps. `planted`: cells of DARTS (8 channels, 3 cells) whose edges have
a skip connection and a separable convolution alone, space S2 of Zela et al., as many epochs and
images. Cells of `long` are looked up in the table of NAS-Bench-201 (CIFAR-10); the last ones of
`planted` are trained and tested, and so are cells of nothing but convolutions. Goes on after a stop.
"""

import csv
import gzip
import json
import pathlib
import subprocess
import sys

from differentiable import trained

HERE = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = HERE / "build/release/bin/espalier"
CELLS = {"type": "nasbench201", "input": [1, 28, 28], "classes": 10, "channels": 8, "cells": 1}
EDGES = [f"{cell}.edge{i}_{j}" for cell in ("normal", "reduce") for j in range(2, 6)
         for i in range(j)]
PLANTED = {"type": "darts", "input": [1, 28, 28], "classes": 10, "channels": 8, "layers": 3,
           "restrict": {edge: ["skip_connect", "sep_conv_3x3"] for edge in EDGES}}
STRATEGIES = {
    "darts": {"type": "darts"},
    "darts, early stopping": {"type": "darts", "early_stopping": True},
    "darts_minus": {"type": "darts_minus"},
    "r_darts": {"type": "r_darts"},
    "sdarts": {"type": "sdarts"},
    "dr_nas": {"type": "dr_nas"},
    "p_darts": {"type": "p_darts"},
    "darts_pt": {"type": "darts_pt"},
}
RUNS = {"long": (CELLS, {}), "planted": (PLANTED, {"none": False})}
EPOCHS, FRACTION = 60, 0.074


def config(space, strategy):
    return {
        "seed": 1, "space": space, "data": {"type": "fashion_mnist"},
        "evaluator": {"type": "one_shot", "recalibration": {"batches": 2},
                      "train": {"rule": "strategy", "epochs": EPOCHS, "batch_size": 64,
                                "learning_rate": 0.025, "nesterov": False, "weight_decay": 3e-4,
                                "gradient_clip": 5, "train_fraction": FRACTION}},
        "strategy": {"normalize_pools": False, "architecture_learning_rate": 3e-3, **strategy},
        "compute": {"workers": 1}, "objectives": [{"metric": "accuracy"}],
        "budget": {"trials": 1000},
    }


def epoch_of(trials, i):
    """The epoch of a trial; r_darts trains some again. The last trial may be of full fidelity."""
    if i > 0 and trials[i].get("fidelity", 1) == 1 and "of_epoch" in trials[i]["notes"]:
        return epoch_of(trials, i - 1) + 1
    return round(trials[i].get("fidelity", 1) * EPOCHS)


def main():
    out, wanted = pathlib.Path(sys.argv[1]), sys.argv[2:]
    out.mkdir(parents=True, exist_ok=True)
    with gzip.open(HERE / "benchmarks/tables/nasbench201.csv.gz", "rt") as file:
        table = {row["arch"]: row["c10_test"] for row in csv.DictReader(file)}
    for kind, (space, options) in RUNS.items():
        for name, strategy in STRATEGIES.items():
            if wanted and f"{kind}/{name}" not in wanted and kind not in wanted:
                continue
            run = out / f"{kind}_{name.replace(', ', '_').replace(' ', '_')}"
            written = out / f"{run.name}.json"
            written.write_text(json.dumps(config(space, {**strategy, **options})))
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
                print(f"  epoch {epoch_of(trials, i):3d}: skips {notes['skip_share']:.2f}, eigenvalue "
                      f"{notes['eigenvalue']:.2f}, entropy {notes['entropy']:.2f}, relaxed "
                      f"{notes['relaxed_accuracy']:.1f}, derived {notes['derived_accuracy']:.1f}"
                      + (f", table {table[arch]}" if arch in table else "")
                      + (f", of epoch {notes['of_epoch']:.0f}" if "of_epoch" in notes else ""))
            first = {text: next((epoch_of(trials, i) for i, t in enumerate(trials)
                                 if text in t["notes"].get("warning", "")), None)
                     for text in ("collapsed", "sharp")}
            back = [f"{notes['goes_back_to']:.0f}" for notes in (t["notes"] for t in trials)
                    if "goes_back_to" in notes]
            if back:
                print(f"  goes back to epochs {', '.join(back)}")
            print(f"  warned of sharpness from epoch {first['sharp']}, of collapse from epoch "
                  f"{first['collapsed']}", flush=True)
            if kind == "planted":
                test = trained(space, trials[-1]["arch"], out / f"{run.name}_final")["accuracy"]
                print(f"  trained, the last one: {test:.2f}", flush=True)
    if not wanted or "planted" in wanted:
        cell = 4 * [("sep_conv_3x3", 0), ("sep_conv_3x3", 1)]
        arch = (f"Genotype(normal={cell}, normal_concat=range(2, 6), reduce={cell}, "
                "reduce_concat=range(2, 6))")
        test = trained(PLANTED, arch, out / "convolutions_final")["accuracy"]
        print(f"planted, nothing but convolutions, trained: {test:.2f}")


if __name__ == "__main__":
    main()
