#!/usr/bin/python3
"""Trials a second of the search loop alone, on the NAS-Bench-201 table in memory: Optuna's samplers
and this program's strategies in turn, so that both see the same machine. Needs Debian's
python3-optuna and a build of the program.

    benchmarks/experiments/loop_speed.py build/release/bin/espalier [--trials 500] [--rounds 5]
"""
import argparse
import csv
import gzip
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

import optuna

ROOT = pathlib.Path(__file__).resolve().parents[2]
OPERATORS = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
# Optuna's sampler, and the strategy that does the same here.
PAIRS = {"random": "random", "tpe": "tpe", "nsga2": "nsga2"}
# Of each strategy: searches in one call, so that its time is well above the start of the program.
SEEDS = {"bayesian": 1, "smac": 1, "linas": 5}
PROBLEMS = ["nasbench201_cifar10", "nasbench201_pixel3"]


def read_table():
    with gzip.open(ROOT / "benchmarks/tables/nasbench201.csv.gz", "rt") as file:
        return {row["arch"]: float(row["c10_valid"]) for row in csv.DictReader(file)}


def optuna_seconds(table, kind, seed, trials):
    sampler = {
        "random": optuna.samplers.RandomSampler,
        "tpe": optuna.samplers.TPESampler,
        "nsga2": optuna.samplers.NSGAIISampler,
    }[kind](seed=seed)

    def objective(trial):
        o = [trial.suggest_categorical(str(i), OPERATORS) for i in range(6)]
        return table[f"|{o[0]}~0|+|{o[1]}~0|{o[2]}~1|+|{o[3]}~0|{o[4]}~1|{o[5]}~2|"]

    study = optuna.create_study(direction="maximize", sampler=sampler)
    begin = time.perf_counter()
    study.optimize(objective, n_trials=trials)
    return time.perf_counter() - begin


def our_seconds(program, problem, name, strategy, trials):
    config = json.loads((ROOT / f"configs/compare/{problem}.json").read_text())
    config["strategies"] = {name: strategy}
    config["budget"] = {"trials": trials}
    seeds = SEEDS.get(strategy["type"], 20)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(config, file)
        file.flush()
        out = subprocess.run(
            [program, "compare", file.name, "--seeds", str(seeds), "--threads", "1", "--json"],
            cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return json.loads(out)[0]["strategies"][0]["seconds"] / seeds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    program = str(pathlib.Path(arguments.program).resolve())
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    table = read_table()

    print(f"{arguments.trials} trials; trials a second, medians of {arguments.rounds} rounds in turn")
    print(f"{'':<24}{'espalier':>12}{'optuna':>12}{'ratio':>10}")
    done = set()
    for kind, name in PAIRS.items():
        ours, theirs, ratios = [], [], []
        for seed in range(1, arguments.rounds + 1):
            theirs.append(optuna_seconds(table, kind, seed, arguments.trials))
            ours.append(our_seconds(program, PROBLEMS[0], name, {"type": name}, arguments.trials))
            ratios.append(theirs[-1] / ours[-1])
        print(f"{name:<24}{arguments.trials / statistics.median(ours):>12.0f}"
              f"{arguments.trials / statistics.median(theirs):>12.0f}"
              f"{statistics.median(ratios):>10.0f}", flush=True)
        done.add(name)
    for problem in PROBLEMS:
        strategies = json.loads((ROOT / f"configs/compare/{problem}.json").read_text())["strategies"]
        print(problem)
        for name, strategy in strategies.items():
            if problem == PROBLEMS[0] and name in done:
                continue
            rounds = 1 if strategy["type"] in SEEDS else arguments.rounds
            seconds = statistics.median(
                our_seconds(program, problem, name, strategy, arguments.trials)
                for _ in range(rounds))
            print(f"  {name:<22}{arguments.trials / seconds:>12.0f}", flush=True)


if __name__ == "__main__":
    main()
