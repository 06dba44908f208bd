#!/usr/bin/env python3
"""How good are the spaces that `espalier shrink` leaves?

Two benchmark tables hold every network of their space, so the answer is exact. For five seeds, a share
of the options is dropped by the mean accuracy of 1,000 random networks; printed are the share of the
space's networks that is left, their mean test accuracy beside that of the whole space, and the rank (1 is
the best of all) of the best network left. Beside it, as many options dropped at random, mean of 100
draws. Then a space is compared with itself.
"""

import csv
import gzip
import json
import random
import subprocess
import sys

PROGRAM = sys.argv[1] if len(sys.argv) > 1 else "build/release/bin/espalier"
TABLES = [
    # space, its table, the column that shrinks, the column that judges, options dropped
    ("nasbench201", "benchmarks/tables/nasbench201.csv.gz", "c10_valid", "c10_test", 12),
    ("nas_bench_macro", "benchmarks/tables/nas_bench_macro.csv.gz", "test_acc_1", "mean_acc", 8),
]


def espalier(*arguments):
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    return json.loads(done.stdout)


def choices_of(space, arch):
    """The labels that an architecture string of the table picks, decision by decision."""
    if space == "nas_bench_macro":
        return list(arch)
    cell = [edge.split("~") for node in arch.split("+") for edge in node.strip("|").split("|")]
    return [op for op, _ in cell]


def read_table(space, path, column):
    with gzip.open(path, "rt") as file:
        return [(choices_of(space, row["arch"]), float(row[column])) for row in csv.DictReader(file)]


def judge(table, kept):
    """Share left, mean accuracy, rank of the best one left."""
    left = [accuracy for choices, accuracy in table
            if all(choice in options for choice, options in zip(choices, kept))]
    return (len(left) / len(table), sum(left) / len(left),
            1 + sum(accuracy > max(left) for _, accuracy in table))


def random_restriction(all_options, drop, rng):
    kept = [list(options) for options in all_options]
    for _ in range(drop):
        decision = rng.choice([options for options in kept if len(options) > 1])
        decision.remove(rng.choice(decision))
    return kept


def main():
    for space, path, shrinks_by, judged_by, drop in TABLES:
        table = read_table(space, path, judged_by)
        described = espalier("describe", "--space", space, "--json")["decisions"]
        names = [decision["name"] for decision in described]
        options = [[str(option) for option in decision["options"]] for decision in described]
        if space == "nas_bench_macro":  # the table writes options as digits
            digits = [{option: str(i) for i, option in enumerate(of)} for of in options]
        else:
            digits = [{option: option for option in of} for of in options]
        print(f"{space}: {drop} of {sum(map(len, options))} options dropped; all: mean "
              f"{judge(table, [list(d.values()) for d in digits])[1]:.2f}")
        for seed in range(1, 6):
            result = espalier("shrink", "--space", space, "--drop", str(drop), "--table", path,
                              "--key", "arch", "--column", shrinks_by, "--seed", str(seed), "--json")
            restrict = result["space"]["restrict"]
            kept = [[digit[option] for option in restrict.get(name, of)]
                    for name, of, digit in zip(names, options, digits)]
            share, mean, rank = judge(table, kept)
            print(f"  seed {seed}: {share:7.2%} left, mean {mean:.2f}, best left has rank {rank}")
        rng = random.Random(1)
        drawn = [judge(table, random_restriction([list(d.values()) for d in digits], drop, rng))
                 for _ in range(100)]
        ranks = sorted(rank for _, _, rank in drawn)
        print(f"  at random: {sum(d[0] for d in drawn) / 100:7.2%} left, mean "
              f"{sum(d[1] for d in drawn) / 100:.2f}, median rank {ranks[50]}")

    # Where the two spaces are one, the true differences are 0 and one network beats the other half of
    # the time: 5 of 100 intervals should miss that.
    path, column = TABLES[0][1], TABLES[0][2]
    misses = {"beats": 0, "mean": 0, "below": 0}
    for seed in range(1, 101):
        found = espalier("compare-spaces", "nasbench201", "nasbench201", "--table", path, "--key", "arch",
                         "--column", column, "--level", "90", "--seed", str(seed), "--json")
        for name, interval, truth in (("beats", found["win_probability"], 0.5),
                                      ("mean", found["mean_difference"], 0),
                                      ("below", found["levels"][0]["difference"], 0)):
            misses[name] += not interval["low"] <= truth <= interval["high"]
    print("nasbench201 against itself, 100 seeds, 95% intervals that miss the truth: " +
          ", ".join(f"{name} {count}" for name, count in misses.items()))


main()
