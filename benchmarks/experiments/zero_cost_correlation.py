#!/usr/bin/env python3
"""Zero-cost proxies on 491 NAS-Bench-201 cells: how they rank accuracy, and beside published scores.

    benchmarks/experiments/zero_cost_correlation.py WORK CIFAR10 [PROXY...]

The cells are those of NAS-Bench-Suite-Zero's sample (benchmarks/tables/nasbench201_proxies.csv.gz).
Each is scored by `espalier score` with C=16, N=5 on the first 64 images of the training split of
CIFAR-10, whose binary version is in the directory CIFAR10, with seed 1; the first 100 cells with
seed 2, too. PROXY is a proxy's name, or NAME:IMAGES for another number of images, or
NAME:IMAGES:drawn for images and weights that are drawn for each cell anew, the images cropped and
flipped at random, as those of the published scores; of these all cells twice. All is kept in WORK:
stopped and called again, it goes on; when it is stopped, it shows the cells that it has.

The scores are written to zero_cost_correlation.csv beside this file, with those of other proxies
that are there. Printed are Spearman's rank correlations: of a proxy with accuracy, of the published
score of the same proxy with accuracy, of both scores, and of both seeds. Without proxies, nothing is
scored. PROGRAM and FLAGS, further flags of `espalier score`, are read from the environment.
"""

import csv
import gzip
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
TABLES = HERE.parent / "tables"
OUT = HERE / "zero_cost_correlation.csv"
PROGRAM = os.environ.get("PROGRAM", "build/release/bin/espalier")
FLAGS = os.environ.get("FLAGS", "--workers 1").split()
SEEDS = 1, 2
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


def cells_of(proxy, seed):
    return 491 if seed == 1 or proxy.endswith(":drawn") else 100


def groups(proxies):
    """Those that one call scores: of the same images."""
    batches = dict.fromkeys(map(batch_of, proxies))
    return [[p for p in proxies if batch_of(p) == batch] for batch in batches]


def augmented(image, rng):
    """A label and 3 x 32 x 32 bytes: cut out of the image with a black border of 4, and mirrored."""
    top, left, mirrored = rng.randrange(9) - 4, rng.randrange(9) - 4, rng.random() < 0.5
    result = bytearray(image[:1])
    for channel in range(3):
        for y in range(top, top + 32):
            row = bytes(32)
            if 0 <= y < 32:
                begin = 1 + channel * 1024 + y * 32
                row = bytes(4) + image[begin:begin + 32] + bytes(4)
                row = row[left + 4:left + 36]
            result += row[::-1] if mirrored else row
    return bytes(result)


def draw_images(images, count, rng, directory):
    """Writes a data set whose training images are drawn from all."""
    size = 3073
    for name in (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"):
        drawn = [rng.randrange(len(images) // size) for _ in range(count)]
        (directory / name).write_bytes(
            b"".join(augmented(images[i * size:(i + 1) * size], rng) for i in drawn))


def call(data, archs, proxies, batch, seed):
    command = [PROGRAM, "score", "--space", "nasbench201", "--data", f"cifar10:{data}",
               "--batch-size", batch, "--seed", str(seed), *FLAGS, "--json"]
    for arch in archs:
        command += ["--arch", arch]
    for proxy in proxies:
        command += ["--proxy", name_of(proxy)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def call_drawn(images, begin, archs, proxies, batch, seed):
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        for i, arch in enumerate(archs, begin):
            number = 1000 * seed + i
            draw_images(images, int(batch), random.Random(number), pathlib.Path(directory))
            rows += call(directory, [arch], proxies, batch, number)
    return rows


def score(work, data, archs, proxies, seed):
    """Scores the cells with proxies of the same images, as far as WORK lacks them."""
    batch, _, drawn = batch_of(proxies[0]).partition(":")
    images = b"".join(path.read_bytes() for path in sorted(pathlib.Path(data).glob("data_batch_?.bin"))
                      ) if drawn else b""
    for begin in range(0, len(archs), CHUNK):
        missing = [p for p in proxies if not part_of(work, p, seed, begin).exists()]
        if not missing:
            continue
        start = time.monotonic()
        chunk = archs[begin:begin + CHUNK]
        rows = (call_drawn(images, begin, chunk, missing, batch, seed) if drawn else
                call(data, chunk, missing, batch, seed))
        print(f"seed {seed}, cells {begin}+: {', '.join(missing)}: "
              f"{(time.monotonic() - start) / len(rows):.2f} s a cell", file=sys.stderr, flush=True)
        for proxy in missing:
            path = part_of(work, proxy, seed, begin)
            written = path.with_suffix(".part")
            written.write_text(json.dumps([row[name_of(proxy)] for row in rows]))
            written.rename(path)


def part_of(work, proxy, seed, begin):
    return work / f"{proxy}-{seed}-{begin}.json"


def scores_in(work, proxy, seed):
    """Those of the first cells, as far as they have been scored without a gap."""
    scores = []
    for begin in range(0, cells_of(proxy, seed), CHUNK):
        path = part_of(work, proxy, seed, begin)
        if not path.exists():
            break
        scores += json.loads(path.read_text())
    return scores


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
    print(f"{'':18} {'cells':>5} {'accuracy':>9} {'published':>10} {'scores':>8} {'seeds':>8}")
    for name, ours in columns.items():
        proxy, seed = name.rsplit("_", 1)
        if seed != "1":
            continue
        cells = sample[:len(ours)]
        accuracy = [float(row["val_accuracy"]) for row in cells]
        figures = [f"{spearman(ours, accuracy):9.3f}", " " * 10, " " * 8, ""]
        if name_of(proxy) in PUBLISHED:
            theirs = [float(row[PUBLISHED[name_of(proxy)]]) for row in cells]
            figures[1:3] = [f"{spearman(theirs, accuracy):10.3f}", f"{spearman(ours, theirs):8.3f}"]
        again = columns.get(f"{proxy}_2", [])[:len(ours)]
        if again:
            figures[3] = f"{spearman(ours[:len(again)], again):8.3f}"
        print(f"{proxy:18} {len(ours):5} " + " ".join(figures).rstrip())


def stop(*_):
    raise KeyboardInterrupt


def main():
    signal.signal(signal.SIGTERM, stop)
    work, data, proxies = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
    work.mkdir(parents=True, exist_ok=True)
    sample = read_table("nasbench201_proxies")
    arch_of = {row["index"]: row["arch"] for row in read_table("nasbench201")}
    archs = [arch_of[row["index"]] for row in sample]
    try:
        for seed in SEEDS:
            for group in groups(proxies):
                score(work, data, archs[:cells_of(group[0], seed)], group, seed)
    except KeyboardInterrupt:
        print("stopped: the cells scored so far", file=sys.stderr)
    columns = {}
    if OUT.exists():
        with open(OUT, newline="") as file:
            rows = list(csv.DictReader(file))
        columns = {name: [float(row[name]) for row in rows if row[name]]
                   for name in rows[0] if name != "index"}
    for proxy in proxies:
        for seed in SEEDS:
            scores = scores_in(work, proxy, seed)
            if scores:
                columns[f"{proxy}_{seed}"] = scores
    with open(OUT, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["index", *columns])
        for i, row in enumerate(sample):
            writer.writerow([row["index"], *(f"{columns[c][i]:.7g}" if i < len(columns[c]) else ""
                                             for c in columns)])
    show(sample, columns)


main()
