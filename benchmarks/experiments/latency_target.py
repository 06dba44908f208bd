#!/usr/bin/env python3
"""ProxylessNAS's space under latency targets, by the table of a phone.

latency_target.py OUT TABLE.csv

TABLE.csv: the mobile table of ProxylessNAS, with columns op, in_hw, in_ch, out_ch, expand, kernel,
stride, idskip, latency_ms_mean (72 rows). It is written in our form, then `proxyless` searches on a
few images of Fashion-MNIST, scaled up to the table's 224 pixels, for each target. Goes on after a
stop.
"""

import csv
import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = HERE / "build/release/bin/espalier"
COLUMNS = ["scope", "op", "in_channels", "in_height", "in_width", "in_features", "out_channels",
           "out_features", "expanded_channels", "kernel", "stride", "activation", "se",
           "latency_ms"]
TARGETS = (60, 80, 110)
# Those of the table: its second stage has 24 channels, as the source's networks for phones.
STAGES = ((24, 2, 4), (40, 2, 4), (80, 2, 4), (96, 1, 4), (192, 2, 4), (320, 1, 1))


def table(source):
    rows = []
    for row in csv.DictReader(source.open()):
        size = {"in_height": row["in_hw"], "in_width": row["in_hw"]}
        latency = {"latency_ms": row["latency_ms_mean"]}
        if row["op"] == "expanded_conv":
            rows.append({"scope": "mbconv", "in_channels": row["in_ch"], **size,
                         "out_channels": row["out_ch"],
                         "expanded_channels": int(row["in_ch"]) * int(row["expand"]),
                         "kernel": row["kernel"], "stride": row["stride"], "se": 0, **latency})
        elif row["op"] == "Logits":
            rows.append({"op": "linear", "in_features": row["in_ch"], "out_features": "*",
                         "activation": "*", **latency})
        else:
            stem = row["op"] == "Conv"
            rows.append({"op": "conv2d", "in_channels": "*", **size, "out_channels": row["out_ch"],
                         "kernel": 3 if stem else 1, "stride": 2 if stem else 1,
                         "activation": "*", **latency})
    # The table has no rows for what costs next to nothing.
    rows.append({"op": "global_avg_pool", "in_channels": "*", "in_height": "*", "in_width": "*",
                 "latency_ms": 0})
    return rows


def config(target, file):
    return {
        "seed": 1,
        "space": {"type": "proxylessnas", "input": [1, 224, 224], "classes": 10,
                  "stages": [{"channels": c, "stride": s, "blocks": b} for c, s, b in STAGES]},
        "data": {"type": "fashion_mnist", "valid_fraction": 0.0005},
        "hardware": [{"name": "phone", "type": "lookup_table", "file": str(file)}],
        "evaluator": {"type": "one_shot", "recalibration": {"batches": 1, "batch_size": 2},
                      "train": {"rule": "strategy", "epochs": 12, "batch_size": 2,
                                "learning_rate": 0.01, "train_fraction": 0.001}},
        "strategy": {"type": "proxyless", "architecture_every": 1, "architecture_share": 0.3,
                     "architecture_learning_rate": 0.1, "warmup": 0, "eigenvalue_every": 0,
                     "monitor_batches": 1,
                     "cost": {"metric": "latency_ms@phone", "target": target, "weight": 0.1}},
        "compute": {"workers": 1},
        "objectives": [{"metric": "accuracy"}],
        "budget": {"trials": 100},
    }


def main():
    out, source = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    file = out / "phone.csv"
    with file.open("w", newline="") as written:
        writer = csv.DictWriter(written, COLUMNS)
        writer.writeheader()
        writer.writerows(table(source))
    for target in TARGETS:
        (out / f"{target}.json").write_text(json.dumps(config(target, file)))
        run = out / str(target)
        subprocess.run([PROGRAM, "search", out / f"{target}.json", "--out", run, "--resume"],
                       check=True, stderr=subprocess.DEVNULL)
        trials = json.loads(subprocess.run([PROGRAM, "trials", run, "--json"], check=True,
                                           stdout=subprocess.PIPE, text=True).stdout)["trials"]
        for trial in (trials[0], trials[-1]):
            print(f"target {target} ms, epoch {trial['id'] + 1}: expected "
                  f"{trial['notes']['expected_cost']:.1f}, derived "
                  f"{trial['metrics']['latency_ms@phone']:.1f} ms, off "
                  f"{100 * (trial['metrics']['latency_ms@phone'] / target - 1):+.1f}%, entropy "
                  f"{trial['notes']['entropy']:.2f}", flush=True)


if __name__ == "__main__":
    main()
