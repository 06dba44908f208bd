#!/usr/bin/env python3
"""Zero-cost scores of NAS-Bench-201 networks: values and speed, here in PyTorch and in Espalier.

  benchmarks/experiments/zero_cost_pytorch.py compare       # the same weights and images in both
  benchmarks/experiments/zero_cost_pytorch.py time [--rounds N] [--threads N] [--cell NAME] [--set S]

needs Debian's python3-torch and build/release/bin/zero_cost_speed. The PyTorch side does what the
public code does: a plain module, a deep copy of it for each score, hooks for fisher and naswot, masks
for snip, gradients of all parameters. Both sides are timed from a cell's string to its scores, the
making of the network included; `--here CELL BATCH ROUNDS PROXY...` times this side in this process
and prints a line of JSON.
"""
import argparse
import copy
import json
import math
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
import types

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

PROGRAM = pathlib.Path(__file__).resolve().parents[2] / "build/release/bin/zero_cost_speed"
CELLS = {
    "all-3x3": "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|"
               "+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|",
    "best": "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|"
            "+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|",
    "pool-heavy": "|avg_pool_3x3~0|+|avg_pool_3x3~0|avg_pool_3x3~1|"
                  "+|nor_conv_1x1~0|avg_pool_3x3~1|avg_pool_3x3~2|",
    "skip-heavy": "|skip_connect~0|+|skip_connect~0|nor_conv_3x3~1|"
                  "+|skip_connect~0|skip_connect~1|skip_connect~2|",
    "mixed": "|nor_conv_1x1~0|+|avg_pool_3x3~0|nor_conv_3x3~1|"
             "+|none~0|skip_connect~1|nor_conv_1x1~2|",
    "no-path": "|none~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|none~2|",
}
EIGHT = ["grad_norm", "snip", "grasp", "fisher", "jacob_cov", "plain", "synflow", "naswot"]


# ---- the network
class Zero(nn.Module):
    def forward(self, x):
        return x.mul(0.0)


def relu_conv_bn(inputs, outputs, kernel, stride=1):
    return nn.Sequential(nn.ReLU(), nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
                         nn.BatchNorm2d(outputs))


OPERATORS = {
    "none": lambda c: Zero(),
    "skip_connect": lambda c: nn.Identity(),
    "nor_conv_1x1": lambda c: relu_conv_bn(c, c, 1),
    "nor_conv_3x3": lambda c: relu_conv_bn(c, c, 3),
    "avg_pool_3x3": lambda c: nn.AvgPool2d(3, 1, 1, count_include_pad=False),
}


class Cell(nn.Module):
    def __init__(self, channels, operators):
        super().__init__()
        self.edges = nn.ModuleList([OPERATORS[name](channels) for name in operators])

    def forward(self, x):
        e = self.edges
        a = e[0](x)
        b = e[1](x) + e[2](a)
        return e[3](x) + e[4](a) + e[5](b)


class Reduction(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.a, self.b = relu_conv_bn(inputs, outputs, 3, 2), relu_conv_bn(outputs, outputs, 3)
        self.shortcut = nn.Sequential(nn.AvgPool2d(2, 2), nn.Conv2d(inputs, outputs, 1, bias=False))

    def forward(self, x):
        return self.shortcut(x) + self.b(self.a(x))


class Network(nn.Module):
    def __init__(self, cell, channels=16, cells=5):
        super().__init__()
        operators = re.findall(r"(\w+)~\d", cell)
        self.stem = nn.Sequential(nn.Conv2d(3, channels, 3, 1, 1, bias=False),
                                  nn.BatchNorm2d(channels))
        self.body = nn.Sequential()
        for stage in range(3):
            width = channels << stage
            if stage:
                self.body.append(Reduction(width // 2, width))
            for _ in range(cells):
                self.body.append(Cell(width, operators))
        self.last, self.relu = nn.BatchNorm2d(width), nn.ReLU()
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        x = self.relu(self.last(self.body(self.stem(x))))
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


# ---- the scores, each on a network of its own
def layers(net):
    return [m for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]


def total(values):
    return sum(torch.sum(v).item() for v in values)


def backward(net, x, y):
    net.zero_grad()
    F.cross_entropy(net(x), y).backward()


def without(layer):
    return torch.zeros_like(layer.weight)


def grad_norm(net, x, y):
    backward(net, x, y)
    return total(l.weight.grad.norm() if l.weight.grad is not None else without(l)
                 for l in layers(net))


def plain(net, x, y):
    backward(net, x, y)
    return total(l.weight.grad * l.weight if l.weight.grad is not None else without(l)
                 for l in layers(net))


def l2_norm(net, x, y):
    return total(l.weight.norm() for l in layers(net))


def snip(net, x, y):
    for layer in layers(net):
        layer.mask = nn.Parameter(torch.ones_like(layer.weight))
        layer.weight.requires_grad = False
        if isinstance(layer, nn.Conv2d):
            layer.forward = types.MethodType(lambda self, v: F.conv2d(
                v, self.weight * self.mask, self.bias, self.stride, self.padding), layer)
        else:
            layer.forward = types.MethodType(
                lambda self, v: F.linear(v, self.weight * self.mask, self.bias), layer)
    backward(net, x, y)
    return total(l.mask.grad.abs() if l.mask.grad is not None else without(l) for l in layers(net))


def grasp(net, x, y):
    weights = [l.weight for l in layers(net)]
    net.zero_grad()
    first = torch.autograd.grad(F.cross_entropy(net(x), y), weights, allow_unused=True)
    again = torch.autograd.grad(F.cross_entropy(net(x), y), weights, create_graph=True,
                                allow_unused=True)
    z = sum((g.data * h).sum() for g, h in zip(first, again) if g is not None)
    z.backward()
    return total(-l.weight.data * l.weight.grad if l.weight.grad is not None else without(l)
                 for l in layers(net))


def fisher(net, x, y):
    net.train()
    for layer in layers(net):
        layer.seen, layer.dummy = None, nn.Identity()

        def forward(self, v):
            if isinstance(self, nn.Conv2d):
                v = F.conv2d(v, self.weight, self.bias, self.stride, self.padding)
            else:
                v = F.linear(v, self.weight, self.bias)
            self.activation = self.dummy(v)
            return self.activation

        def hook_of(layer):
            def hook(module, given, gradients):
                a, g = layer.activation.detach(), gradients[0].detach()
                s = (a * g).sum(list(range(2, a.dim()))) if a.dim() > 2 else a * g
                s = s.pow(2).mean(0).mul(0.5)
                layer.seen = s if layer.seen is None else layer.seen + s
                del layer.activation
            return hook

        layer.forward = types.MethodType(forward, layer)
        layer.dummy.register_backward_hook(hook_of(layer))
    backward(net, x, y)
    values = []
    for l in layers(net):
        channels = torch.zeros(l.weight.shape[0]) if l.seen is None else l.seen.abs()
        values.append(torch.stack([torch.Tensor(l.weight.shape[1:]).fill_(v) for v in channels]))
    return total(values)


def jacob_cov(net, x, y):
    net.zero_grad()
    x = x.clone().requires_grad_(True)
    out = net(x)
    out.backward(torch.ones_like(out))
    rows = x.grad.reshape(x.shape[0], -1).numpy()
    v, _ = np.linalg.eig(np.corrcoef(rows))
    return float(np.real(-np.sum(np.log(v + 1e-5) + 1 / (v + 1e-5))))


def synaptic_flow(net, x):
    net.double()
    with torch.no_grad():
        for parameter in net.state_dict().values():
            parameter.abs_()
    net.zero_grad()
    net(torch.ones([1] + list(x.shape[1:]), dtype=torch.float64)).sum().backward()


def synflow(net, x, y):
    synaptic_flow(net, x)
    return total((l.weight * l.weight.grad).abs() if l.weight.grad is not None else without(l)
                 for l in layers(net))


def log_synflow(net, x, y):
    synaptic_flow(net, x)
    return total((l.weight * torch.log(l.weight.grad + 1)).abs() if l.weight.grad is not None
                 else without(l) for l in layers(net))


def naswot(net, x, y):
    kernel = np.zeros((len(y), len(y)))

    def hook(module, given, out):
        nonlocal kernel
        codes = (given[0].flatten(1) > 0).float()
        kernel = (kernel + (codes @ codes.t()).numpy() +
                  ((1 - codes) @ (1 - codes.t())).numpy())

    for module in net.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(hook)
    net(x)
    return float(np.linalg.slogdet(kernel)[1])


SCORES = {f.__name__: f for f in (l2_norm, plain, grad_norm, snip, grasp, fisher, jacob_cov, synflow,
                                  log_synflow, naswot)}


def score(net, name, x, y):
    net = copy.deepcopy(net)
    if "synflow" in name:
        for m in net.modules():
            if isinstance(m, nn.BatchNorm2d):
                m.forward = types.MethodType(lambda self, v: v, m)
    return SCORES[name](net, x, y)


# ---- beside each other
def espalier(cell, batch, threads, rounds, proxies, weights=None):
    environment = dict(os.environ, **({"WEIGHTS": weights} if weights else {}))
    command = [str(PROGRAM), cell, str(batch), str(threads), str(rounds), *proxies]
    return json.loads(subprocess.run(command, check=True, text=True, env=environment,
                                     stdout=subprocess.PIPE).stdout)


def compare(batch, threads):
    largest = {name: 0.0 for name in SCORES}
    for label, cell in CELLS.items():
        with tempfile.NamedTemporaryFile() as file:
            ours = espalier(cell, batch, threads, 0, list(SCORES), file.name)["scores"]
            data = open(file.name, "rb").read()
        net, at = Network(cell), 0
        with torch.no_grad():
            for parameter in net.parameters():
                values = np.frombuffer(data, np.float32, parameter.numel(), at)
                parameter.copy_(torch.from_numpy(values.copy()).view(parameter.shape))
                at += 4 * parameter.numel()
        x = torch.from_numpy(np.frombuffer(data, np.float32, batch * 3072, at).copy())
        x = x.view(batch, 32, 32, 3).permute(0, 3, 1, 2).contiguous()
        y = torch.from_numpy(np.frombuffer(data, np.int64, batch, at + 4 * batch * 3072).copy())
        assert len(data) == at + 4 * batch * 3072 + 8 * batch
        print(label)
        for name in SCORES:
            try:
                theirs = score(net, name, x, y)
            except np.linalg.LinAlgError:
                theirs = math.nan
            off = abs(ours[name] - theirs) / max(abs(theirs), 1e-30)
            if theirs == ours[name]:
                off = 0.0
            if math.isfinite(theirs):
                largest[name] = max(largest[name], off)
            print(f"  {name:<12} PyTorch {theirs:.8g}, Espalier {ours[name]:.8g}, relative {off:.1e}",
                  end="")
            if name in ("plain", "grasp"):  # sums of both signs
                exact = score(copy.deepcopy(net).double(), name, x.double(), y)
                far = [abs(v - exact) / max(abs(exact), 1e-30) for v in (theirs, ours[name])]
                print(f"; of float64 {exact:.8g}: PyTorch {far[0]:.1e}, Espalier {far[1]:.1e}",
                      end="")
            print(flush=True)
    print("largest relative deviations")
    for name, off in largest.items():
        print(f"  {name:<12} {off:.1e}")


def here(cell, batch, rounds, proxies):
    torch.manual_seed(1)
    x, y = torch.randn(batch, 3, 32, 32), torch.randint(10, (batch,))
    seconds, processor = [], []
    for _ in range(rounds + 1):
        begin, processor_begin = time.perf_counter(), time.process_time()
        net = Network(cell)
        for name in proxies:
            score(net, name, x, y)
        seconds.append(time.perf_counter() - begin)
        processor.append(time.process_time() - processor_begin)
    return {"seconds": seconds[1:], "processor": processor[1:]}


def timed(options):
    sets = {name: [name] for name in EIGHT}
    sets["all eight"] = EIGHT
    for label, cell in CELLS.items():
        if label in ("mixed", "no-path") or options.cell not in (None, label):
            continue
        print(f"{label}:", flush=True)
        for name, proxies in sets.items():
            if options.set not in (None, name):
                continue
            ours, theirs = [], []
            for _ in range(options.rounds):
                ours.append(espalier(cell, options.batch, options.threads, options.repeat, proxies))
                command = [sys.executable, "-W", "ignore", __file__, "--threads",
                           str(options.threads), "--here", cell, str(options.batch),
                           str(options.repeat), *proxies]
                theirs.append(json.loads(subprocess.run(command, check=True, text=True,
                                                        stdout=subprocess.PIPE).stdout))
            print(f"  {name:<10}", end="")
            for what, key in (("", "seconds"), (" of processors", "processor")):
                a, b = ([min(r[key]) for r in side] for side in (ours, theirs))
                ratios = [y / x for x, y in zip(a, b)]
                print(f" Espalier {statistics.median(a):.3f} s, PyTorch {statistics.median(b):.3f} s"
                      f"{what}, ratio {statistics.median(ratios):.2f} ({min(ratios):.2f}-"
                      f"{max(ratios):.2f});", end="")
            print(flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", choices=("compare", "time"), default="compare")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=3, help="scores in a round; the best counts")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cell", choices=CELLS)
    parser.add_argument("--set", choices=[*EIGHT, "all eight"])
    parser.add_argument("--here", nargs="+")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.here:
        cell, batch, rounds, *proxies = options.here
        print(json.dumps(here(cell, int(batch), int(rounds), proxies)))
    elif options.what == "compare":
        compare(options.batch, options.threads)
    else:
        timed(options)


if __name__ == "__main__":
    main()
