#!/usr/bin/env python3
"""Differentiable strategies on Fashion-MNIST: what they find, trained, beside random networks.

differentiable.py OUT SPACE [STRATEGY...]

SPACE: nasbench201 (8 channels, one cell a stage) or darts (8 channels, 3 cells). Strategies of the
comparison run with three seeds, the others with one, on nasbench201 only (where p_darts, with one
cell a stage, has nothing less deep to begin with). Each search learns on 12,500 images; the
architecture does so at ten times the default rate (fbnet's is as high by default), since it takes a
tenth of the published number of steps. What is found is trained on all 60,000 and tested, and so is
a random network of about as many params. Cells of NAS-Bench-201 are looked up in its table. Goes on
after a stop.
"""

import csv
import gzip
import json
import pathlib
import random
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = HERE / "build/release/bin/espalier"
# With epochs of the search and of the final training, and whether pools are normalized.
SPACES = {
    "nasbench201": ({"type": "nasbench201", "channels": 8, "cells": 1}, 20, 6, False),
    "darts": ({"type": "darts", "channels": 8, "layers": 3}, 4, 3, True),
}
COMPARED = {
    "darts": {"type": "darts"},
    "gdas": {"type": "gdas"},
    "pc_darts": {"type": "pc_darts"},
    "dr_nas": {"type": "dr_nas"},
}
# With four epochs the eigenvalue cannot be seen to grow, and is measured at the end alone.
STEADIED = {
    "nasbench201": {"darts, early stopping": {"type": "darts", "early_stopping": True}},
    "darts": {"darts_minus": {"type": "darts_minus"}},
}
OTHERS = {
    "darts_minus": {"type": "darts_minus"},
    "fair_darts": {"type": "fair_darts"},
    "sdarts": {"type": "sdarts"},
    "r_darts": {"type": "r_darts"},
    "p_darts": {"type": "p_darts"},
    "sgas": {"type": "sgas"},
    "darts_pt": {"type": "darts_pt"},
    "snas": {"type": "snas"},
    "fbnet": {"type": "fbnet"},
    "dsnas": {"type": "dsnas"},
    "proxyless": {"type": "proxyless"},
    "darts, second order": {"type": "darts", "order": "second"},
}
# Of the architecture; 3e-3 for all others.
RATES = {"pc_darts": 6e-3, "fair_darts": 3e-2, "p_darts": 6e-3, "fbnet": 1e-2, "dsnas": 1e-2,
         "proxyless": 1e-2}


def run(*arguments):
    return subprocess.run([PROGRAM, *arguments], check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True).stdout


def space_of(space):
    return {**SPACES[space][0], "input": [1, 28, 28], "classes": 10}


def config(space, strategy, seed):
    _, epochs, _, pools = SPACES[space]
    rare = {"eigenvalue_every": epochs} if space == "darts" else {}
    return {
        "seed": seed,
        "space": space_of(space),
        "data": {"type": "fashion_mnist"},
        "evaluator": {"type": "one_shot", "recalibration": {"batches": 5},
                      "train": {"rule": "strategy", "epochs": epochs, "batch_size": 64,
                                "learning_rate": 0.025, "nesterov": False, "weight_decay": 3e-4,
                                "gradient_clip": 5, "train_fraction": 0.2315}},
        "strategy": {"normalize_pools": pools, **rare,
                     "architecture_learning_rate": RATES.get(strategy["type"], 3e-3), **strategy},
        "compute": {"workers": 1},
        "objectives": [{"metric": "accuracy"}],
        "budget": {"trials": 1000},
    }


def trained(space, arch, out, epochs=6):
    """Test accuracy of an architecture of a space after a training of its own."""
    written = out / "test.json"
    if not written.exists():
        out.mkdir(parents=True, exist_ok=True)
        (out / "run.json").write_text(json.dumps({
            "seed": 1, "space": space, "data": {"type": "fashion_mnist"},
            "evaluator": {"type": "train", "train": {"epochs": 1, "train_fraction": 0.001}},
            "strategy": {"type": "random", "initial": [arch]},
            "compute": {"workers": 1}, "objectives": [{"metric": "accuracy"}],
            "budget": {"trials": 1},
            "final": {"train": {"epochs": epochs, "batch_size": 128, "learning_rate": 0.05}},
        }))
        begin = time.time()
        run("search", out / "run.json", "--out", out / "run", "--resume")
        found = json.loads((out / "run/best/final.json").read_text())
        written.write_text(json.dumps({"accuracy": found["test_accuracy"],
                                       "seconds": time.time() - begin}))
    return json.loads(written.read_text())


def params(space, arch):
    return json.loads(run("describe", "--space", json.dumps(space_of(space)), "--arch", arch,
                          "--json"))["params"]


def random_like(space, arch, seed, out):
    """A random architecture whose params are within a tenth."""
    written = out / "random.json"
    if written.exists():
        return json.loads(written.read_text())
    wanted = params(space, arch)
    drawn = out / "draws"
    search = {"seed": seed, "space": space_of(space),
              "evaluator": {"type": "zero_cost", "proxies": ["params"]},
              "strategy": {"type": "random"}, "objectives": [{"metric": "params"}],
              "budget": {"trials": 400}}
    (out / "draws.json").write_text(json.dumps(search))
    run("search", out / "draws.json", "--out", drawn, "--resume")
    trials = json.loads(run("trials", drawn, "--json"))["trials"]
    near = [t["arch"] for t in trials if abs(t["metrics"]["params"] - wanted) <= 0.1 * wanted]
    nearest = min(trials, key=lambda t: abs(t["metrics"]["params"] - wanted))["arch"]
    chosen = random.Random(seed).choice(near) if near else nearest
    written.write_text(json.dumps(chosen))
    return chosen


def main():
    out, space = pathlib.Path(sys.argv[1]), sys.argv[2]
    wanted = sys.argv[3:]
    table = {}
    if space == "nasbench201":
        with gzip.open(HERE / "benchmarks/tables/nasbench201.csv.gz", "rt") as file:
            table = {row["arch"]: float(row["c10_test"]) for row in csv.DictReader(file)}
    groups = [({**COMPARED, **STEADIED[space]}, (1, 2, 3))]
    if space == "nasbench201":
        groups.append((OTHERS, (1,)))
    for group, seeds in groups:
        for name, strategy in group.items():
            if wanted and name not in wanted:
                continue
            rows = []
            for seed in seeds:
                own = out / space / f"{name.replace(', ', '_').replace(' ', '_')}-{seed}"
                own.mkdir(parents=True, exist_ok=True)
                (own / "config.json").write_text(json.dumps(config(space, strategy, seed)))
                begin = time.time()
                run("search", own / "config.json", "--out", own / "run", "--resume")
                seconds = own / "seconds.json"
                if not seconds.exists():
                    seconds.write_text(json.dumps(time.time() - begin))
                listed = json.loads(run("trials", own / "run", "--json"))
                last = listed["trials"][-1]
                row = {"arch": last["arch"], "notes": last["notes"],
                       "seconds": json.loads(seconds.read_text()),
                       "warned": any("warning" in t["notes"] for t in listed["trials"]),
                       "params": params(space, last["arch"])}
                epochs = SPACES[space][2]
                row["test"] = trained(space_of(space), last["arch"], own / "final", epochs)
                other = random_like(space, last["arch"], seed, own)
                row["random"] = trained(space_of(space), other, own / "random", epochs)
                row["random_params"] = params(space, other)
                if table:
                    row["table"] = table[last["arch"]]
                    row["random_table"] = table[other]
                (own / "row.json").write_text(json.dumps(row, indent=1))
                rows.append(row)
            def joined(form, key):
                return ", ".join(form.format(key(row)) for row in rows)

            text = f"{name:24s}"
            for key in ("test", "random"):
                mean = statistics.mean(row[key]["accuracy"] for row in rows)
                text += f" {key} {mean:.2f} ({joined('{:.2f}', lambda r: r[key]['accuracy'])})"
            if table:
                text += f" table {joined('{:.2f}', lambda r: r['table'])}"
                text += f" random {joined('{:.2f}', lambda r: r['random_table'])}"
            text += f" params {joined('{}', lambda r: r['params'])}"
            text += f" skips {joined('{:.2f}', lambda r: r['notes']['skip_share'])}"
            text += f" warned {joined('{}', lambda r: 'yes' if r['warned'] else 'no')}"
            text += f" seconds {joined('{:.0f}', lambda r: r['seconds'])}"
            print(text, flush=True)


if __name__ == "__main__":
    main()
