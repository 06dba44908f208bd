#!/usr/bin/env python3
"""Do shared weights find good networks? On Fashion-MNIST, in a cell space and a MobileNet-style one.

For each space: 30 random architectures are trained stand-alone; three supernets (seeds 1 to 3) are
trained, each is searched by evolution under a bound on MACs, and `espalier rank-check` says how well
its scores rank the 30; the best network of each search is trained stand-alone beside random ones of
equal cost (MACs within 5%). On the cell space, supernets of the other training rules, that run as
many architectures in all, are checked against the same 30.

    benchmarks/experiments/ranking.py DIRECTORY [PROGRAM]

Everything is kept in DIRECTORY: stopped and called again, it goes on.
"""

import json
import pathlib
import random
import statistics
import subprocess
import sys

WORK = pathlib.Path(sys.argv[1])
PROGRAM = sys.argv[2] if len(sys.argv) > 2 else "build/release/bin/espalier"
SEEDS = [1, 2, 3]
RANDOM_OF_EQUAL_COST = 2  # for each found network

SPACES = {
    "cell": {
        "space": {"type": "nasbench201", "input": [1, 28, 28], "classes": 10, "channels": 16,
                  "cells": 1},
        "rule": "uniform", "epochs": 30, "macs": 15_000_000,
        # As many architectures run in all: strict fairness runs 5 in a step, the sandwich 4.
        "other_rules": {"fair": 6, "sandwich": 8},
    },
    "mobile": {
        "space": {"type": "mobilenet_v3", "input": [1, 28, 28], "classes": 10,
                  "kernels": [3, 5], "expansions": [3, 4, 6],
                  "stem_channels": 16, "stem_stride": 1,
                  "stages": [
                      {"channels": 24, "stride": 2, "depths": [1, 2]},
                      {"channels": 40, "stride": 2, "depths": [1, 2, 3],
                       "activation": "hard_swish", "se": "yes"},
                      {"channels": 80, "stride": 1, "depths": [1, 2, 3],
                       "activation": "hard_swish", "se": "yes"}],
                  "head_expansion": 4, "last_channels": 256},
        "rule": "sandwich", "epochs": 8, "macs": 10_000_000,
        "other_rules": {},
    },
}
FLIP = {"horizontal_flip": True}
TRUTH = {"type": "train", "train": {"epochs": 6, "batch_size": 128, "augmentation": FLIP}}


def espalier(*arguments):
    """Runs the program and returns the JSON that it prints."""
    print("espalier", *arguments, file=sys.stderr, flush=True)
    done = subprocess.run([PROGRAM, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"espalier ended with {done.returncode}")
    return json.loads(done.stdout)


def search(name, config):
    """A run in WORK/name, from its config or from where it was stopped."""
    path = WORK / f"{name}.json"
    path.write_text(json.dumps(config))
    return espalier("search", path, "--out", WORK / name, "--resume", "--json")


def config_of(space, seed, evaluator, strategy, compute, trials):
    return {"seed": seed, "space": space["space"], "data": {"type": "fashion_mnist"},
            "evaluator": evaluator, "strategy": strategy, "compute": compute,
            "objectives": [{"metric": "accuracy", "goal": "maximize"}], "budget": {"trials": trials}}


def supernet(name, space, rule, epochs, seed):
    """Trains a supernet and searches it; the networks found are the first entry of its front."""
    evaluator = {"type": "one_shot",
                 "supernet": {"train": {"epochs": epochs, "batch_size": 128,
                                        "augmentation": FLIP},
                              "rule": rule}}
    config = config_of(space, seed, evaluator,
                       {"type": "regularized_evolution", "population": 40, "sample": 10},
                       {"workers": 1, "threads_per_trial": 2}, 200)
    config["constraints"] = [{"metric": "macs", "max": space["macs"]}]
    return search(f"{name}-{rule}-{seed}", config)["trials"][0]


def equal_cost(space, found, seed):
    """Random architectures with as many MACs as a found one."""
    target = found["metrics"]["macs"]
    result, draw = [], 0
    while len(result) < RANDOM_OF_EQUAL_COST:
        draw += 1
        labels = random.Random(f"{seed} {draw}")
        arch = {d["name"]: labels.choice(d["options"]) for d in space["decisions"]}
        described = espalier("-q", "describe", "--space", json.dumps(space["space"]), "--arch",
                             json.dumps(arch), "--json")
        if abs(described["macs"] / target - 1) <= 0.05:
            result.append(arch)
    return result


def beside_random(name, space, found):
    """Stand-alone accuracies: of each found network, and the mean of those of equal cost."""
    space["decisions"] = espalier("-q", "describe", "--space", json.dumps(space["space"]),
                                  "--json")["decisions"]
    pairs = []
    for seed, trial in zip(SEEDS, found):
        initial = [trial["architecture"], *equal_cost(space, trial, seed)]
        config = config_of(space, seed, TRUTH, {"type": "random", "initial": initial},
                           {"workers": 2, "batch": 2}, len(initial))
        search(f"{name}-trained-{seed}", config)
        trials = espalier("trials", WORK / f"{name}-trained-{seed}", "--json")["trials"]
        accuracies = [t["metrics"]["accuracy"] for t in trials]
        pairs.append((trial["arch"], trial["metrics"]["macs"], accuracies))
    return pairs


def rank_check(name, rule, seed):
    truth = WORK / "truth.json"
    truth.write_text(json.dumps(TRUTH))
    return espalier("rank-check", WORK / f"{name}-{rule}-{seed}", "--truth", truth,
                    "--sample", 30, "--out", WORK / f"{name}-truth", "--json")


def show(check, title):
    for score in check["scores"]:
        tau, rho = score["kendall_tau"], score["spearman"]
        print(f"{title:18} {score['score']:9} tau {tau['value']:6.3f} [{tau['low']:6.3f}, "
              f"{tau['high']:6.3f}]  spearman {rho['value']:6.3f} [{rho['low']:6.3f}, "
              f"{rho['high']:6.3f}]", flush=True)


# Student's t, 97.5%, of two degrees of freedom: three pairs.
T = 4.303


def main():
    for name, space in SPACES.items():
        truth = config_of(space, 1, TRUTH, {"type": "random"}, {"workers": 2, "batch": 2}, 30)
        search(f"{name}-truth", truth)
        found = [supernet(name, space, space["rule"], space["epochs"], seed) for seed in SEEDS]
        for seed in SEEDS:
            show(rank_check(name, space["rule"], seed), f"{name} {space['rule']} {seed}")
        pairs = beside_random(name, space, found)
        differences = []
        for arch, macs, (best, *others) in pairs:
            differences.append(best - statistics.mean(others))
            print(f"{name}: {arch} {macs / 1e6:.2f} M MACs {best:.2f}%, random of equal cost "
                  + ", ".join(f"{a:.2f}%" for a in others), flush=True)
        middle = statistics.mean(differences)
        half = T * statistics.stdev(differences) / len(differences) ** 0.5
        print(f"{name}: found minus random {middle:+.2f} points, 95% interval "
              f"[{middle - half:+.2f}, {middle + half:+.2f}] of {len(differences)} pairs", flush=True)
    for name, space in SPACES.items():
        for rule, epochs in space["other_rules"].items():
            for seed in SEEDS:
                supernet(name, space, rule, epochs, seed)
                show(rank_check(name, rule, seed), f"{name} {rule} {seed}")


main()
