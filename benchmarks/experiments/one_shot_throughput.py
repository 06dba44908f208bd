#!/usr/bin/env python3
"""How many candidates a minute does `one_shot` evaluate, and does a second worker double it?

A supernet is trained for a moment (its quality does not matter here); then the run is extended by new
random candidates, again and again, each time the same ones with one and with two workers of one LibTorch
thread each, in turn. All of a round are in flight, so that no worker waits for the order in which they
are told. The time of a resume that has nothing to do is taken off. A candidate: weights extracted,
batch norms recalibrated on 20 batches of 128 images, accuracy on 10,000 images.

    benchmarks/experiments/one_shot_throughput.py [PROGRAM]
"""

import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

PROGRAM = sys.argv[1] if len(sys.argv) > 1 else "build/release/bin/espalier"
PAIRS, CANDIDATES = 5, 24

SPACES = {
    "nasbench201, 8 channels, 1 cell a stage":
        {"type": "nasbench201", "input": [1, 28, 28], "classes": 10, "channels": 8, "cells": 1},
    "mobilenet_v3, three small stages":
        {"type": "mobilenet_v3", "input": [1, 28, 28], "classes": 10, "kernels": [3, 5],
         "stem_channels": 8, "stem_stride": 1,
         "stages": [{"channels": 16, "stride": 2, "depths": [1, 2]},
                    {"channels": 24, "stride": 2, "depths": [1, 2, 3],
                     "activation": "hard_swish", "se": "yes"},
                    {"channels": 40, "stride": 1, "depths": [1, 2, 3],
                     "activation": "hard_swish", "se": "yes"}],
         "head_expansion": 4, "last_channels": 128},
}


def main():
    for name, space in SPACES.items():
        with tempfile.TemporaryDirectory() as directory:
            config = {"space": space, "data": {"type": "fashion_mnist", "valid_fraction": 1 / 6},
                      "evaluator": {"type": "one_shot",
                                    "train": {"epochs": 1, "train_fraction": 0.02}},
                      "strategy": {"type": "random"}, "compute": {"batch": CANDIDATES},
                      "objectives": [{"metric": "accuracy"}], "budget": {"trials": 2}}
            path = pathlib.Path(directory) / "config.json"
            path.write_text(json.dumps(config))
            trials = 2

            def run(workers, of="run"):
                begin = time.monotonic()
                subprocess.run([PROGRAM, "-q", "search", path, "--out", f"{directory}/{of}", "--resume",
                                "--set", f"/budget/trials={trials}",
                                "--set", f"/compute/workers={workers}"], check=True)
                return time.monotonic() - begin

            run(1)
            ratios, rates = [], {1: [], 2: []}
            for pair in range(PAIRS):
                idle = run(1)
                shutil.copytree(f"{directory}/run", f"{directory}/copy{pair}")
                trials += CANDIDATES
                places = [(1, "run"), (2, f"copy{pair}")]
                for workers, place in places if pair % 2 == 0 else reversed(places):
                    rates[workers].append(60 * CANDIDATES / (run(workers, place) - idle))
                ratios.append(rates[2][-1] / rates[1][-1])
            one, two = (statistics.median(rates[w]) for w in (1, 2))
            print(f"{name}: {one:.0f} candidates a minute with one worker, {two:.0f} with two; "
                  f"median of {PAIRS} paired ratios {statistics.median(ratios):.2f} "
                  f"({min(ratios):.2f}-{max(ratios):.2f})", flush=True)


main()
