#!/usr/bin/env python3
"""Training steps of two supernets, here in PyTorch and in Espalier, run in turn.

  benchmarks/experiments/supernet_speed.py [--rounds N] [--threads N] [--only NAME]

needs Debian's python3-torch and build/release/bin/supernet_speed. Prints, for each kind of step, the
median time of both, the median of the ratios of the rounds, and the peak memory of both. The PyTorch
supernets are plain modules: one module an option in the NAS-Bench-201 supernet, sliced weights in
Once-for-All's. `--here KIND LAYOUT STEPS` times one kind in this process and prints a line of JSON.
"""
import argparse
import json
import pathlib
import resource
import statistics
import subprocess
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

PROGRAM = pathlib.Path(__file__).resolve().parents[2] / "build/release/bin/supernet_speed"
KINDS = ("nasbench201", "ofa_random", "ofa_largest", "ofa_sandwich")


# ---- NAS-Bench-201: the cell of Dong & Yang 2020, one module for each option of each edge.
class ReLUConvBN(nn.Module):
    def __init__(self, inputs, outputs, kernel, stride):
        super().__init__()
        self.op = nn.Sequential(
            nn.ReLU(), nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs))

    def forward(self, x):
        return self.op(x)


class Zero(nn.Module):
    def forward(self, x):
        return torch.zeros_like(x)


class Edge(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.options = nn.ModuleList([
            Zero(), nn.Identity(), ReLUConvBN(channels, channels, 1, 1),
            ReLUConvBN(channels, channels, 3, 1),
            nn.AvgPool2d(3, 1, 1, count_include_pad=False)])

    def forward(self, x, option):
        return self.options[option](x)


class Cell(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.edges = nn.ModuleList([Edge(channels) for _ in range(6)])

    def forward(self, x, options):
        a = self.edges[0](x, options[0])
        b = self.edges[1](x, options[1]) + self.edges[2](a, options[2])
        return (self.edges[3](x, options[3]) + self.edges[4](a, options[4]) +
                self.edges[5](b, options[5]))


class Reduction(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.a = ReLUConvBN(inputs, outputs, 3, 2)
        self.b = ReLUConvBN(outputs, outputs, 3, 1)
        self.shortcut = nn.Sequential(nn.AvgPool2d(2, 2), nn.Conv2d(inputs, outputs, 1, bias=False))

    def forward(self, x):
        return self.b(self.a(x)) + self.shortcut(x)


class NasBench201(nn.Module):
    def __init__(self, channels=16, cells=5):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, channels, 3, 1, 1, bias=False),
                                  nn.BatchNorm2d(channels))
        self.body = nn.ModuleList()
        for stage in range(3):
            width = channels << stage
            if stage:
                self.body.append(Reduction(width // 2, width))
            self.body.extend([Cell(width) for _ in range(cells)])
        self.last = nn.BatchNorm2d(width)
        self.head = nn.Linear(width, 10)

    def forward(self, x, options):
        x = self.stem(x)
        for block in self.body:
            x = block(x, options) if isinstance(block, Cell) else block(x)
        return self.head(F.relu(self.last(x)).mean((2, 3)))


# ---- Once-for-All's MobileNetV3 supernet: the widest tensors, sliced for each subnet.
def divisible(value, by=8):
    rounded = max(by, int(value + by / 2) // by * by)
    return rounded + by if rounded < 0.9 * value else rounded


class ElasticConv(nn.Module):
    def __init__(self, inputs, outputs, kernel=1, stride=1, depthwise=False):
        super().__init__()
        self.depthwise, self.stride = depthwise, stride
        self.weight = nn.Conv2d(inputs, outputs, kernel, bias=False,
                                groups=inputs if depthwise else 1).weight

    def forward(self, x, outputs, kernel=1):
        skip = (self.weight.shape[2] - kernel) // 2
        inputs = x.shape[1]
        weight = self.weight[:outputs, :1 if self.depthwise else inputs,
                             skip:skip + kernel, skip:skip + kernel].contiguous()
        return F.conv2d(x, weight, None, self.stride, kernel // 2, 1,
                        inputs if self.depthwise else 1)


class ElasticBN(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x):
        bn, c = self.bn, x.shape[1]
        return F.batch_norm(x, bn.running_mean[:c], bn.running_var[:c], bn.weight[:c], bn.bias[:c],
                            self.training, bn.momentum, bn.eps)


class ElasticSE(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.reduce = nn.Conv2d(channels, divisible(channels / 4), 1)
        self.expand = nn.Conv2d(divisible(channels / 4), channels, 1)

    def forward(self, x):
        c = x.shape[1]
        m = divisible(c / 4)
        s = x.mean((2, 3), keepdim=True)
        s = F.relu(F.conv2d(s, self.reduce.weight[:m, :c].contiguous(), self.reduce.bias[:m]))
        s = F.conv2d(s, self.expand.weight[:c, :m].contiguous(), self.expand.bias[:c])
        return x * F.hardsigmoid(s)


class MBConv(nn.Module):
    def __init__(self, inputs, outputs, stride, expansion, kernel, act, se):
        super().__init__()
        self.inputs, self.outputs, self.residual = inputs, outputs, stride == 1 and inputs == outputs
        wide = divisible(inputs * expansion)
        self.act = act
        if expansion != 1:
            self.expand, self.expand_bn = ElasticConv(inputs, wide), ElasticBN(wide)
        self.expands = expansion != 1
        self.depth, self.depth_bn = ElasticConv(wide, wide, kernel, stride, True), ElasticBN(wide)
        self.se = ElasticSE(wide) if se else None
        self.project, self.project_bn = ElasticConv(wide, outputs), ElasticBN(outputs)

    def forward(self, x, kernel, expansion):
        wide = divisible(self.inputs * expansion)
        y = x
        if self.expands:
            y = self.act(self.expand_bn(self.expand(y, wide)))
        y = self.act(self.depth_bn(self.depth(y, wide, kernel)))
        if self.se is not None:
            y = self.se(y)
        y = self.project_bn(self.project(y, self.outputs))
        return x + y if self.residual else y


class OnceForAll(nn.Module):
    STAGES = [(24, 2, F.relu, False), (40, 2, F.relu, True), (80, 2, F.hardswish, False),
              (112, 1, F.hardswish, True), (160, 2, F.hardswish, True)]

    def __init__(self):
        super().__init__()
        self.stem, self.stem_bn = ElasticConv(3, 16, 3, 2), ElasticBN(16)
        self.first = MBConv(16, 16, 1, 1, 3, F.relu, False)
        self.stages = nn.ModuleList()
        width = 16
        for channels, stride, act, se in self.STAGES:
            stage = nn.ModuleList()
            for i in range(4):
                stage.append(MBConv(width, channels, stride if i == 0 else 1, 6, 7, act, se))
                width = channels
            self.stages.append(stage)
        self.head, self.head_bn = ElasticConv(width, 6 * width), ElasticBN(6 * width)
        self.feature = nn.Conv2d(6 * width, 1280, 1, bias=False)
        self.classifier = nn.Linear(1280, 10)

    def forward(self, x, subnet):
        x = F.hardswish(self.stem_bn(self.stem(x, 16, 3)))
        x = self.first(x, 3, 1)
        for stage, (depth, blocks) in zip(self.stages, subnet):
            for block, (kernel, expansion) in zip(stage[:depth], blocks):
                x = block(x, kernel, expansion)
        x = F.hardswish(self.head_bn(self.head(x, self.head.weight.shape[0])))
        x = F.hardswish(self.feature(x.mean((2, 3), keepdim=True))).flatten(1)
        return self.classifier(F.dropout(x, 0.1, self.training))

    @staticmethod
    def random(rng):
        return [(rng.choice((2, 3, 4)),
                 [(rng.choice((3, 5, 7)), rng.choice((3, 4, 6))) for _ in range(4)])
                for _ in range(5)]

    LARGEST = [(4, [(7, 6)] * 4)] * 5
    SMALLEST = [(2, [(3, 3)] * 4)] * 5


class Draws:
    """The numbers that supernet_speed.cpp draws, so that both run the same paths."""

    def __init__(self):
        self.state = 1

    def below(self, count):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % count

    def choice(self, options):
        return options[self.below(len(options))]


def peak_memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(kind, layout, steps):
    """Seconds of each step, after one that is not counted."""
    torch.manual_seed(1)
    rng = Draws()
    form = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    cell = kind == "nasbench201"
    net = (NasBench201() if cell else OnceForAll()).to(memory_format=form)
    x = torch.randn(*(64, 3, 32, 32) if cell else (16, 3, 64, 64)).to(memory_format=form)
    y = torch.randint(10, (x.shape[0],))
    optimizer = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9, weight_decay=4e-5)

    def subnets():
        if cell:
            return [[rng.below(5) for _ in range(6)]]
        if kind == "ofa_random":
            return [net.random(rng)]
        if kind == "ofa_largest":
            return [net.LARGEST]
        return [net.LARGEST, net.SMALLEST, net.random(rng), net.random(rng)]

    times = []
    if not cell:  # as large as it gets, before anything is timed
        F.cross_entropy(net(x, net.LARGEST), y).backward()
    for step in range(steps + 1):
        begin = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        teacher = None
        for subnet in subnets():
            logits = net(x, subnet)
            if teacher is None:
                loss = F.cross_entropy(logits, y)
                teacher = F.softmax(logits.detach(), 1)
            else:
                loss = -(teacher * F.log_softmax(logits, 1)).sum(1).mean()
            loss.backward()
        optimizer.step()
        times.append(time.perf_counter() - begin)
    return {"seconds": times[1:], "peak_bytes": peak_memory()}


def run(arguments):
    return json.loads(subprocess.run([str(a) for a in arguments], check=True, text=True,
                                     stdout=subprocess.PIPE).stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=KINDS)
    parser.add_argument("--here", nargs=3, metavar=("KIND", "LAYOUT", "STEPS"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.here:
        kind, layout, steps = options.here
        print(json.dumps(measure(kind, layout, int(steps))))
        return
    steps = {"nasbench201": 40, "ofa_random": 30, "ofa_largest": 15, "ofa_sandwich": 10}
    for kind in KINDS:
        if options.only not in (None, kind):
            continue
        seen = {"default": [], "channels_last": [], "espalier": []}
        peak = {}
        for _ in range(options.rounds):
            for who in seen:
                command = ([PROGRAM, kind, steps[kind], options.threads] if who == "espalier" else
                           [sys.executable, __file__, "--threads", options.threads, "--here", kind,
                            who, steps[kind]])
                result = run(command)
                # The mean: each step is a path of its own, and the paths are drawn alike.
                seen[who].append(statistics.mean(result["seconds"]))
                peak[who] = max(peak.get(who, 0), result["peak_bytes"])
        ours = seen["espalier"]
        print(f"{kind}: espalier {1000 * statistics.median(ours):.1f} ms a step, peak "
              f"{peak['espalier'] / 2**20:.0f} MiB")
        for who in ("default", "channels_last"):
            ratios = [a / b for a, b in zip(seen[who], ours)]
            print(f"  PyTorch, {who}: {1000 * statistics.median(seen[who]):.1f} ms, ratio "
                  f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}), peak "
                  f"{peak[who] / 2**20:.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
