#!/usr/bin/env python3
"""A step of the public PyTorch code of DARTS, PC-DARTS, and of NAS-Bench-201's DARTS-V1 and GDAS.

relaxation_speed.py STRATEGY SPACE BATCH STEPS CHECKOUT [FILE]

CHECKOUT: a clone of github.com/quark0/darts (darts darts), github.com/yuhuixu1993/PC-DARTS
(pc_darts darts) or github.com/D-X-Y/AutoDL-Projects (darts or gdas nasbench201). With FILE, what
relaxation_speed wrote there: the loss of the same weights, parameters and batch is printed. Needs
PyTorch; runs on two threads of the CPU.
"""

import json
import pathlib
import resource
import statistics
import struct
import sys
import time

import torch
from torch import nn

THREADS = 2


def on_cpu():
    """The code asks for a GPU; here it stays on the CPU."""
    torch.Tensor.cuda = lambda self, *a, **k: self
    nn.Module.cuda = lambda self, *a, **k: self


def read_tensors(path):
    raw = pathlib.Path(path).read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8:8 + size])
    types = {"F32": torch.float32, "F64": torch.float64, "I64": torch.int64, "U8": torch.uint8}
    result = {}
    for name, info in header.items():
        if name == "__metadata__":
            continue
        begin, end = info["data_offsets"]
        data = bytearray(raw[8 + size + begin:8 + size + end])
        values = torch.frombuffer(data, dtype=types[info["dtype"]])
        result[name] = values.reshape(info["shape"]).clone()
    return result


def darts_weights(net, tensors, pc):
    """Our names to those of the code's network."""
    def put(target, name):
        value = tensors[name]
        if target.shape != value.shape:  # the first channels
            value = value[tuple(slice(0, n) for n in target.shape)]
        with torch.no_grad():
            target.copy_(value)

    put(net.stem[0].weight, "stem.conv.weight")
    for i, cell in enumerate(net.cells):
        for slot in (0, 1):
            before = getattr(cell, f"preprocess{slot}")
            prefix = f"cell{i}.input{slot}."
            if hasattr(before, "conv_1"):
                put(before.conv_1.weight, prefix + "even.weight")
                put(before.conv_2.weight, prefix + "odd.weight")
            else:
                put(before.op[1].weight, prefix + "conv.weight")
        edge = 0
        for to in range(2, 6):
            for source in range(to):
                ops = cell._ops[edge]._ops
                prefix = f"cell{i}.edge{source}_{to}."
                if hasattr(ops[3], "conv_1"):
                    put(ops[3].conv_1.weight, prefix + "skip_connect.even.weight")
                    put(ops[3].conv_2.weight, prefix + "skip_connect.odd.weight")
                for k, kind in ((4, "sep_conv_3x3"), (5, "sep_conv_5x5")):
                    for n, at in (("depthwise", 1), ("conv", 2), ("depthwise_2", 5),
                                  ("conv_2", 6)):
                        put(ops[k].op[at].weight, f"{prefix}{kind}.{n}.weight")
                for k, kind in ((6, "dil_conv_3x3"), (7, "dil_conv_5x5")):
                    for n, at in (("depthwise", 1), ("conv", 2)):
                        put(ops[k].op[at].weight, f"{prefix}{kind}.{n}.weight")
                edge += 1
    put(net.classifier.weight, "head.linear.weight")
    put(net.classifier.bias, "head.linear.bias")
    with torch.no_grad():
        for table, kind in ((net.alphas_normal, "normal"), (net.alphas_reduce, "reduce")):
            edge = 0
            for to in range(2, 6):
                for source in range(to):
                    ours = tensors[f"alpha.{kind}.edge{source}_{to}"]
                    table[edge, 0] = ours[7]  # none
                    table[edge, 1:] = ours[:7]
                    edge += 1
        if pc:
            for betas, kind in ((net.betas_normal, "normal"), (net.betas_reduce, "reduce")):
                edge = 2
                betas[:2] = 0  # the first node has two inputs, with the same weight
                for to in range(3, 6):
                    betas[edge:edge + to] = tensors[f"alpha.{kind}.node{to}.inputs"]
                    edge += to


def network(strategy, space, checkout):
    if space == "darts":
        sys.path.insert(0, str(checkout if strategy == "pc_darts" else checkout / "cnn"))
        import model_search
        return model_search.Network(16, 10, 8, nn.CrossEntropyLoss())
    sys.path.insert(0, str(checkout))
    from xautodl.models.cell_operations import NAS_BENCH_201
    from xautodl.models.cell_searchs.search_model_darts import TinyNetworkDarts
    from xautodl.models.cell_searchs.search_model_gdas import TinyNetworkGDAS
    kind = TinyNetworkGDAS if strategy == "gdas" else TinyNetworkDarts
    net = kind(16, 5, 4, 10, list(NAS_BENCH_201), False, False)
    if strategy == "gdas":
        net.set_tau(5)
    return net


def main():
    strategy, space, batch, steps = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    checkout = pathlib.Path(sys.argv[5])
    torch.set_num_threads(THREADS)
    torch.manual_seed(1)
    on_cpu()
    net = network(strategy, space, checkout)
    if len(sys.argv) > 6:
        tensors = read_tensors(sys.argv[6])
        darts_weights(net, tensors, strategy == "pc_darts")
        net.train()
        with torch.no_grad():
            logits = net(tensors["images"])
        loss = nn.functional.cross_entropy(logits, tensors["labels"])
        print(f"loss {loss.item():.9f}")

    if space == "darts":
        alphas, weights = net.arch_parameters(), list(net.parameters())
        outputs = net
    else:
        alphas, weights = net.get_alphas(), net.get_weights()
        outputs = lambda x: net(x)[1]  # noqa: E731
    of_weights = torch.optim.SGD(weights, 0.025, momentum=0.9, weight_decay=3e-4)
    of_alphas = torch.optim.Adam(alphas, lr=3e-4, betas=(0.5, 0.999), weight_decay=1e-3)
    images = torch.randn(batch, 3, 32, 32)
    labels = torch.randint(10, (batch,))
    net.train()
    seconds = []
    for _ in range(steps + 1):
        begin = time.perf_counter()
        of_alphas.zero_grad()
        nn.functional.cross_entropy(outputs(images), labels).backward()
        of_alphas.step()
        of_weights.zero_grad()
        nn.functional.cross_entropy(outputs(images), labels).backward()
        nn.utils.clip_grad_norm_(weights, 5)
        of_weights.step()
        seconds.append(time.perf_counter() - begin)
    seconds = seconds[1:]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print("seconds", *(f"{s:.3f}" for s in seconds))
    print(f"median {statistics.median(seconds):.3f} s, peak {peak:.2f} GB")


if __name__ == "__main__":
    main()
