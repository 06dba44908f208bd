#!/usr/bin/env python3
"""Zero-cost proxies on 491 NAS-Bench-201 cells: how they rank accuracy, and beside published scores.

    benchmarks/experiments/zero_cost_correlation.py WORK CIFAR10 [PROXY...]

The cells are those of NAS-Bench-Suite-Zero's sample (benchmarks/tables/nasbench201_proxies.csv.gz).
Each is scored by `espalier score` with C=16, N=5 on the first 64 images of the training split of
CIFAR-10, whose binary version is in the directory CIFAR10, with seed 1; the first 100 cells with
seed 2, too. PROXY is a proxy's name, or NAME:IMAGES for another number of images. All is kept in
WORK: stopped and called again, it goes on. The scores are written to zero_cost_correlation.csv beside
this file, with those of earlier calls that are there; results are printed:
Spearman's rank correlation of a proxy with accuracy, that of the published score of the same proxy,
that of both scores, and that of both seeds. Without proxies, nothing is scored. PROGRAM and THREADS are read from the environment.
"""

import csv
import gzip
import json
import os
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
TABLES = HERE.parent / "tables"
OUT = HERE / "zero_cost_correlation.csv"
PROGRAM = os.environ.get("PROGRAM", "build/release/bin/espalier")
THREADS = os.environ.get("THREADS", "1")
CELLS = {1: 491, 2: 100}  # with each seed
BATCH = "64"
CHUNK = 20  # cells a call

# The published score of each proxy; the others have none on these cells.
PUBLISHED = {"params": "params", "macs": "flops", "synflow": "synflow", "jacob_cov": "jacov",
             "epe_nas": "epe_nas", "zen": "zen", "l2_norm": "l2_norm", "plain": "plain",
             "grad_norm": "grad_norm", "snip": "snip", "grasp": "grasp", "fisher": "fisher",
             "log_synflow": "synflow"}


def read_table(name):
    with gzip.open(TABLES / f"{name}.csv.gz", "rt", newline="") as file:
        return list(csv.DictReader(file))


def name_of(proxy):
    return proxy.partition(":")[0]


def batch_of(proxy):
    return proxy.partition(":")[2] or BATCH


def groups(proxies):
    """Those that one call scores: of one batch size."""
    sizes = dict.fromkeys(map(batch_of, proxies))
    return [[p for p in proxies if batch_of(p) == size] for size in sizes]


def score(work, data, archs, proxies, seed):
    """Scores of each proxy, in the order of the cells; one call scores all that a chunk lacks."""
    archs = archs[:CELLS[seed]]
    for begin in range(0, len(archs), CHUNK):
        path = {p: work / f"{p}-{seed}-{begin}.json" for p in proxies}
        missing = [p for p in proxies if not path[p].exists()]
        if not missing:
            continue
        command = [PROGRAM, "score", "--space", "nasbench201", "--data", f"cifar10:{data}",
                   "--batch-size", batch_of(missing[0]), "--seed", str(seed), "--threads", THREADS, "--json"]
        for arch in archs[begin:begin + CHUNK]:
            command += ["--arch", arch]
        for proxy in missing:
            command += ["--proxy", name_of(proxy)]
        start = time.monotonic()
        rows = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        print(f"seed {seed}, cells {begin}+: {', '.join(missing)}: "
              f"{(time.monotonic() - start) / len(rows):.2f} s a cell", file=sys.stderr, flush=True)
        for proxy in missing:
            part = path[proxy].with_suffix(".part")
            part.write_text(json.dumps([row[name_of(proxy)] for row in rows]))
            part.rename(path[proxy])
    return {p: [s for begin in range(0, len(archs), CHUNK)
                for s in json.loads((work / f"{p}-{seed}-{begin}.json").read_text())]
            for p in proxies}


def ranks(values):
    order = sorted(range(len(values)), key=values.__getitem__)
    result = [0.0] * len(values)
    i = 0
    while i < len(order):
        j = i
        while j + 1 < len(order) and values[order[j + 1]] == values[order[i]]:
            j += 1
        for k in range(i, j + 1):
            result[order[k]] = (i + j) / 2
        i = j + 1
    return result


def spearman(x, y):
    x, y = ranks(x), ranks(y)
    mx, my = sum(x) / len(x), sum(y) / len(y)
    cov = sum((a - mx) * (b - my) for a, b in zip(x, y))
    return cov / (sum((a - mx) ** 2 for a in x) * sum((b - my) ** 2 for b in y)) ** 0.5


def show(sample, columns):
    accuracy = [float(row["val_accuracy"]) for row in sample]
    print(f"{'':18} {'accuracy':>9} {'published':>10} {'scores':>8} {'seeds':>8}")
    for name in columns:
        proxy, seed = name.rsplit("_", 1)
        if seed != "1":
            continue
        ours, again = columns[name], columns.get(f"{proxy}_2")
        cells = [f"{spearman(ours, accuracy):9.3f}", " " * 10, " " * 8, ""]
        if name_of(proxy) in PUBLISHED:
            theirs = [float(row[PUBLISHED[name_of(proxy)]]) for row in sample]
            cells[1:3] = [f"{spearman(theirs, accuracy):10.3f}", f"{spearman(ours, theirs):8.3f}"]
        if again:
            cells[3] = f"{spearman(ours[:len(again)], again):8.3f}"
        print(f"{proxy:18} " + " ".join(cells).rstrip())


def main():
    work, data, proxies = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
    work.mkdir(parents=True, exist_ok=True)
    sample = read_table("nasbench201_proxies")
    arch_of = {row["index"]: row["arch"] for row in read_table("nasbench201")}
    archs = [arch_of[row["index"]] for row in sample]
    columns = {}
    if OUT.exists():
        with open(OUT, newline="") as file:
            rows = list(csv.DictReader(file))
        columns = {name: [float(row[name]) for row in rows if row[name]]
                   for name in rows[0] if name != "index"}
    for seed in CELLS:
        for group in groups(proxies):
            for proxy, scores in score(work, data, archs, group, seed).items():
                columns[f"{proxy}_{seed}"] = scores
    with open(OUT, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["index", *columns])
        for i, row in enumerate(sample):
            writer.writerow([row["index"], *(f"{columns[c][i]:.7g}" if i < len(columns[c]) else ""
                                             for c in columns)])
    show(sample, columns)


main()
