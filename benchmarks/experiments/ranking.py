#!/usr/bin/env python3
"""Do shared weights find good networks? On Fashion-MNIST, in a cell space and a MobileNet-style one.

For each space: 30 random architectures are trained stand-alone; three supernets (seeds 1 to 3) are
trained, each is searched by evolution under a bound on MACs, and `espalier rank-check` says how well
its scores rank the 30; the best network of each search is trained stand-alone beside two random ones
of equal cost (MACs within 5%). On the cell space, supernets of the other training rules, that run as
many architectures in all, and hypernetworks are checked against the same 30; hypernetworks on the
MobileNet-style space, too.

    benchmarks/experiments/ranking.py DIRECTORY [PROGRAM]

Two programs of one thread each run at a time. Everything is kept in DIRECTORY: stopped and called
again, it goes on. What each network is worth, and what each evaluator says of it, is written to
benchmarks/experiments/ranking_SPACE.csv; where that file is there, the networks are not trained again.
Results are printed.
"""

import concurrent.futures
import csv
import json
import pathlib
import random
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
WORK = pathlib.Path(sys.argv[1])
PROGRAM = sys.argv[2] if len(sys.argv) > 2 else "build/release/bin/espalier"
SEEDS = [1, 2, 3]
RANDOM_OF_EQUAL_COST = 2  # for each found network
SAMPLE = 30

SPACES = {
    "cell": {
        "space": {"type": "nasbench201", "input": [1, 28, 28], "classes": 10, "channels": 8,
                  "cells": 1},
        "epochs": 6, "macs": 5_000_000,
    },
    "mobile": {
        "space": {"type": "mobilenet_v3", "input": [1, 28, 28], "classes": 10,
                  "resolutions": [16, 20, 24, 28], "kernels": [3, 5], "expansions": [3, 4, 6],
                  "stem_channels": 8, "stem_stride": 1,
                  "stages": [
                      {"channels": 16, "stride": 2, "depths": [1, 2]},
                      {"channels": 24, "stride": 2, "depths": [1, 2, 3],
                       "activation": "hard_swish", "se": "yes"},
                      {"channels": 40, "stride": 1, "depths": [1, 2, 3],
                       "activation": "hard_swish", "se": "yes"}],
                  "head_expansion": 4, "last_channels": 128},
        "epochs": 5, "macs": 2_000_000,
    },
}
FLIP = {"horizontal_flip": True}


def train(epochs, **others):
    return {"epochs": epochs, "batch_size": 128, "augmentation": FLIP, **others}


def supernet(rule, epochs, **others):
    return {"type": "one_shot", "train": {"rule": rule, **train(epochs)}, **others}


def hypernetwork(kind, epochs):
    return {"type": "hypernetwork", "hypernetwork": {"kind": kind},
            "train": train(epochs, optimizer="adamw", learning_rate=0.001)}


# Evaluators and their seeds; the first one of a space is searched. Equally many architectures run in
# all: strict fairness runs 5 in a step, the sandwich 4.
EVALUATORS = {
    "cell": {"uniform": (supernet("uniform", 36), [1, 2, 3]),
             "ghn": (hypernetwork("ghn", 10), [1, 2, 3]),
             "smash": (hypernetwork("smash", 10), [1, 2]),
             "fair": (supernet("fair", 7), [1, 2]),
             "sandwich": (supernet("sandwich", 9), [1, 2])},
    "mobile": {"sandwich": (supernet("sandwich", 6), [1, 2, 3]),
               "ghn": (hypernetwork("ghn", 8), [1, 2, 3])},
}


def truth_of(name):
    return {"type": "train", "train": train(SPACES[name]["epochs"])}


def espalier(*arguments):
    """Runs the program and returns the JSON that it prints."""
    print("espalier", *arguments, file=sys.stderr, flush=True)
    done = subprocess.run([PROGRAM, *map(str, arguments)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"espalier ended with {done.returncode}: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


def search(run, config):
    """A run in WORK/`run`, from its config or from where it was stopped."""
    path = WORK / f"{run}.json"
    path.write_text(json.dumps(config))
    espalier("-q", "search", path, "--out", WORK / run, "--resume", "--json")
    return espalier("trials", WORK / run, "--json")["trials"]


def config_of(name, seed, evaluator, strategy, trials, workers=1):
    return {"seed": seed, "space": SPACES[name]["space"], "data": {"type": "fashion_mnist"},
            "evaluator": evaluator, "strategy": strategy,
            "compute": {"workers": workers, "batch": workers},
            "objectives": [{"metric": "accuracy", "goal": "maximize"}],
            "budget": {"trials": trials}}


def table_of(name):
    return HERE / f"ranking_{name}.csv"


def train_sample(name):
    """Trains the networks that `rank-check` will draw, those of seed 1."""
    if table_of(name).exists():
        return
    trials = search(f"{name}-truth",
                    config_of(name, 1, truth_of(name), {"type": "random"}, SAMPLE, 2))
    write_csv(name, [{"arch": t["arch"], "accuracy": f"{t['metrics']['accuracy']:.2f}",
                      "params": int(t["metrics"]["params"]), "macs": int(t["metrics"]["macs"])}
                     for t in trials])


def prepare(name, kind, seed):
    """Trains an evaluator and searches it; the first of a space with evolution."""
    searched = kind == next(iter(EVALUATORS[name]))
    strategy = {"type": "regularized_evolution", "population": 40, "sample": 10}
    config = config_of(name, seed, EVALUATORS[name][kind][0],
                       strategy if searched else {"type": "random"}, 200 if searched else 1)
    if searched:
        config["constraints"] = [{"metric": "macs", "max": SPACES[name]["macs"]}]
    search(f"{name}-{kind}-{seed}", config)
    return rank_check(name, kind, seed)


def rank_check(name, kind, seed):
    result = WORK / f"{name}-{kind}-{seed}.check.json"
    if not result.exists():
        truth = WORK / f"{name}-truth-evaluator.json"
        truth.write_text(json.dumps({"type": "table", "file": str(table_of(name).resolve()),
                                     "key": "arch", "metrics": {"accuracy": "accuracy"}}))
        check = espalier("-q", "rank-check", WORK / f"{name}-{kind}-{seed}", "--truth", truth,
                         "--sample", SAMPLE, "--out", WORK / f"{name}-sample", "--json")
        result.write_text(json.dumps(check))
    return json.loads(result.read_text())


def equal_cost(name, found, seed):
    """Random architectures with as many MACs as a found one."""
    space = json.dumps(SPACES[name]["space"])
    decisions = espalier("-q", "describe", "--space", space, "--json")["decisions"]
    result, draw = [], 0
    while len(result) < RANDOM_OF_EQUAL_COST:
        draw += 1
        labels = random.Random(f"{seed} {draw}")
        arch = {d["name"]: labels.choice(d["options"]) for d in decisions}
        described = espalier("-q", "describe", "--space", space, "--arch", json.dumps(arch), "--json")
        if abs(described["macs"] / found["metrics"]["macs"] - 1) <= 0.05:
            result.append(arch)
    return result


def beside_random(name, seed):
    """Stand-alone accuracies of the network found, and of random ones of equal cost."""
    kind = next(iter(EVALUATORS[name]))
    front = espalier("pareto", WORK / f"{name}-{kind}-{seed}", "--json")["trials"]
    found = front[0]
    kept = WORK / f"{name}-trained-{seed}.json"
    if kept.exists():
        config = json.loads(kept.read_text())
    else:
        initial = [found["architecture"], *equal_cost(name, found, seed)]
        config = config_of(name, seed, truth_of(name), {"type": "random", "initial": initial},
                           len(initial))
    trials = search(f"{name}-trained-{seed}", config)
    return found, [t["metrics"]["accuracy"] for t in trials]


def show(check, title):
    for score in check["scores"]:
        line = [f"{title:20} {score['score']:9}"]
        for key, label in (("kendall_tau", "tau"), ("spearman", "rho"),
                           ("kendall_tau_above_params", "tau - params'")):
            e = score[key]
            line.append(f"{label} {e['value']:6.3f} [{e['low']:6.3f}, {e['high']:6.3f}]")
        print("  ".join(line), flush=True)


def add_scores(name, kind, seed, check):
    """A column of the table."""
    with open(table_of(name), newline="") as file:
        rows = list(csv.DictReader(file))
    scores = {n["arch"]: n["evaluator"] for n in check["networks"]}
    for row in rows:
        row[f"{kind}_{seed}"] = f"{scores[row['arch']]:.2f}"
    write_csv(name, rows)


def write_csv(name, rows):
    """One row per network: what it is worth, its cost, and what each evaluator said."""
    with open(table_of(name), "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


# Student's t, 97.5%, of two degrees of freedom: three pairs.
T = 4.303


def check_all(pool, name, kinds):
    """Prepares evaluators, two at a time, and says how they rank."""
    jobs = [(kind, seed) for kind in kinds for seed in EVALUATORS[name][kind][1]]
    for (kind, seed), check in zip(jobs, pool.map(lambda job: prepare(name, *job), jobs)):
        show(check, f"{name} {kind} {seed}")
        add_scores(name, kind, seed, check)


def compare_found(pool, name):
    """The networks that were found, beside random ones of equal cost."""
    differences = []
    for seed, (found, (best, *others)) in zip(
            SEEDS, pool.map(lambda s: beside_random(name, s), SEEDS)):
        differences.append(best - statistics.mean(others))
        print(f"{name}: seed {seed}, {found['arch']}, {found['metrics']['macs'] / 1e6:.2f} M MACs: "
              f"{best:.2f}%, random of equal cost " + ", ".join(f"{a:.2f}%" for a in others),
              flush=True)
    middle = statistics.mean(differences)
    half = T * statistics.stdev(differences) / len(differences) ** 0.5
    print(f"{name}: found minus random {middle:+.2f} points, 95% interval "
          f"[{middle - half:+.2f}, {middle + half:+.2f}] of {len(differences)} pairs", flush=True)


def main():
    WORK.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        train_sample("mobile")
        check_all(pool, "mobile", ["ghn", "sandwich"])
        train_sample("cell")
        check_all(pool, "cell", ["uniform", "ghn"])
        compare_found(pool, "cell")
        compare_found(pool, "mobile")
        check_all(pool, "cell", ["fair", "sandwich", "smash"])


main()
