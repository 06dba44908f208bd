#!/usr/bin/env python3
"""Proxies of `espalier score` beside PyTorch, with the same weights and images.

    benchmarks/experiments/zero_cost_reference.py CIFAR10 [ARCH]

Needs PyTorch and SciPy. The network is rebuilt in PyTorch from `espalier describe --json`, its weights
are drawn by the generator of core/rng.hpp, written down here once more, and each proxy is computed as
its authors' code does it, by autograd of PyTorch. CIFAR10 is the directory of the binary version; the
first 64 training images are the batch. Printed: both numbers, and their relative difference.
"""

import json
import math
import os
import pathlib
import subprocess
import sys

import numpy as np
import scipy.special
import torch
import torch.nn.functional as F

PROGRAM = os.environ.get("PROGRAM", "build/release/bin/espalier")
SPACE = {"type": "nasbench201", "channels": 8, "cells": 1}
# Its networks with channels divided by those of the narrowest convolution, for crops of one channel.
THIN = {"type": "nasbench201", "channels": 1, "cells": 1, "input": [1, 4, 4]}
ARCH = ("|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+"
        "|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|")
COUNT = 64
MASK = (1 << 64) - 1


def rotl(x, k):
    return ((x << k) | (x >> (64 - k))) & MASK


def mix(x):
    x = ((x ^ (x >> 30)) * 0xbf58476d1ce4e5b9) & MASK
    x = ((x ^ (x >> 27)) * 0x94d049bb133111eb) & MASK
    return x ^ (x >> 31)


def combine(high, low, word):
    high = mix((high + 0x9e3779b97f4a7c15 + word) & MASK)
    low = mix(((low ^ word) * 0xff51afd7ed558ccd + high) & MASK)
    return (high + rotl(low, 23)) & MASK, low


class Rng:
    """core/rng.hpp"""

    def __init__(self, key):
        self.key = key
        self.state = [mix((key + (i + 1) * 0x9e3779b97f4a7c15) & MASK) for i in range(4)]

    def fork(self, what):
        if isinstance(what, int):
            return Rng(combine(self.key, 2, what)[1])
        text = what.encode()
        high, low = combine(self.key, 1, len(text))
        for i in range(0, len(text), 8):
            high, low = combine(high, low, int.from_bytes(text[i:i + 8], "little"))
        return Rng(low)

    def next(self):
        s = self.state
        result = (rotl((s[1] * 5) & MASK, 7) * 9) & MASK
        shifted = (s[1] << 17) & MASK
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= shifted
        s[3] = rotl(s[3], 45)
        return result

    def below(self, n):
        product = self.next() * n
        if product & MASK < n:
            threshold = (-n & MASK) % n
            while product & MASK < threshold:
                product = self.next() * n
        return product >> 64

    def normal(self, shape, deviation=1.0):
        p = [((self.next() >> 12) + 0.5) * 2.0 ** -52 for _ in range(math.prod(shape))]
        values = deviation * scipy.special.ndtri(np.array(p))
        return torch.from_numpy(values.astype(np.float32).reshape(shape))

    def uniform(self, shape, bound):
        u = np.array([(self.next() >> 11) * 2.0 ** -53 for _ in range(math.prod(shape))])
        return torch.from_numpy((bound * (2 * u - 1)).astype(np.float32).reshape(shape))


def espalier(*arguments):
    return json.loads(subprocess.run([PROGRAM, *arguments], check=True,
                                     stdout=subprocess.PIPE).stdout)


class Network:
    """The nodes of a described network, run by PyTorch's functions."""

    def __init__(self, space, arch):
        self.arch, self.weights, self.biases, self.variances = arch, {}, {}, {}
        self.nodes = espalier("describe", "--space", json.dumps(space), "--arch", arch,
                              "--json")["nodes"]
        self.shapes = {n["name"]: n["shape"] for n in self.nodes}

    def channels_in(self, node):
        return self.shapes[node["inputs"][0]][0]

    def draw(self, rng, kind):
        for node in self.nodes:
            name, a = node["name"], node.get("attributes", {})
            if node["op"] == "conv2d":
                shape = (node["shape"][0], self.channels_in(node), *pair(a["kernel"]))
                fan_in, fan_out = math.prod(shape[1:]), shape[0] * math.prod(shape[2:])
            elif node["op"] == "linear":
                shape = (node["shape"][0], self.channels_in(node))
                fan_in, fan_out = shape[1], shape[0]
            elif node["op"] == "batch_norm2d":
                self.weights[name] = torch.ones(node["shape"][0], requires_grad=True)
                self.biases[name] = torch.zeros(node["shape"][0])
                continue
            else:
                continue
            draws = rng.fork(name)
            if kind == "default":
                self.weights[name] = draws.uniform(shape, fan_in ** -0.5)
                if node["op"] == "linear":
                    self.biases[name] = draws.uniform(shape[:1], fan_in ** -0.5)
            else:
                deviation = {"fan_out": (2 / fan_out) ** 0.5, "fan_in": (2 / fan_in) ** 0.5,
                             "one": 1.0}[kind]
                self.weights[name] = draws.normal(shape, deviation)
                if node["op"] == "linear":
                    self.biases[name] = torch.zeros(shape[0])
            self.weights[name].requires_grad_(True)

    def layers(self):
        return [self.weights[n["name"]] for n in self.nodes if n["op"] in ("conv2d", "linear")]

    def run(self, x, skip_norms=False):
        """The outputs of all nodes."""
        values = {}
        for node in self.nodes:
            name, a = node["name"], node.get("attributes", {})
            ins = [values[i] for i in node.get("inputs", [])]
            if node["op"] == "input":
                y = x
            elif node["op"] == "conv2d":
                y = F.conv2d(ins[0], self.weights[name].to(x.dtype), None, pair(a["stride"]),
                             pair(a["padding"]))
            elif node["op"] == "linear":
                y = F.linear(ins[0], self.weights[name].to(x.dtype), self.biases[name].to(x.dtype))
            elif node["op"] == "batch_norm2d":
                if skip_norms:
                    y = ins[0]
                else:
                    self.variances[name] = ins[0].detach().var(dim=(0, 2, 3), unbiased=True)
                    y = F.batch_norm(ins[0], None, None, self.weights[name], self.biases[name],
                                     training=True, eps=a["eps"])
            elif node["op"] == "activation":
                y = ins[0] if skip_norms else F.relu(ins[0])
            elif node["op"] == "pool2d":
                y = F.avg_pool2d(ins[0], pair(a["kernel"]), pair(a["stride"]), pair(a["padding"]),
                                 count_include_pad=False)
            elif node["op"] == "global_avg_pool":
                y = ins[0].mean((2, 3), keepdim=True)
            elif node["op"] == "flatten":
                y = ins[0].flatten(1)
            elif node["op"] == "add":
                y = sum(ins[1:], ins[0])
            else:
                y = ins[0]
            values[name] = y
        return values


def pair(value):
    return tuple(value) if isinstance(value, list) else (value, value)


def first_images(directory):
    """As training/dataset.cpp has them: the first ones of the shuffled training images."""
    raw = np.concatenate([np.fromfile(pathlib.Path(directory) / f"data_batch_{i}.bin", np.uint8)
                          for i in range(1, 6)]).reshape(-1, 3073)
    pixels = raw[:, 1:].reshape(-1, 3, 32, 32)
    order, rng = list(range(len(raw))), Rng(0).fork("split of a data set")
    for i in range(len(order), 1, -1):
        j = rng.below(i)
        order[i - 1], order[j] = order[j], order[i - 1]
    return raw[:, 0], pixels, order


def batch(directory):
    labels, pixels, order = first_images(directory)
    mean = pixels.mean((0, 2, 3), dtype=np.float64) / 255
    deviation = pixels.astype(np.float32).std((0, 2, 3), dtype=np.float64) / 255
    chosen = order[len(order) // 10:][:COUNT]
    x = (pixels[chosen] / 255.0 - mean[:, None, None]) / deviation[:, None, None]
    return torch.from_numpy(x.astype(np.float32)), torch.from_numpy(labels[chosen].astype(np.int64))


# ---- the proxies, as their authors' code has them

def epe_nas(network, rng, x, labels):
    network.draw(rng.fork("weights"), "default")
    x = x.clone().requires_grad_(True)
    network.run(x)["output"].sum().backward()
    gradients, score = x.grad.flatten(1).double().numpy(), 0.0
    for label in np.unique(labels):
        correlation = np.corrcoef(gradients[labels.numpy() == label])
        score += abs(np.sum(np.log(np.abs(correlation) + 1e-5)))
    return score


@torch.no_grad()
def zen(network, rng, x, labels):
    scores = []
    for draw in range(4):
        fork = rng.fork("zen").fork(draw)
        network.draw(fork.fork("weights"), "one")
        shape = (16, *x.shape[1:])
        images, noise = fork.fork("images").normal(shape), fork.fork("noise").normal(shape)
        output = network.run(images)["head.act"]
        norms = sum(math.log(math.sqrt(v.mean())) for v in network.variances.values())
        moved = network.run(images + 1e-2 * noise)["head.act"]
        scores.append(math.log((output - moved).abs().sum((1, 2, 3)).mean()) + norms)
    return np.mean(scores)


@torch.no_grad()
def entropy(network, rng, x, labels):
    scores = []
    for draw in range(4):
        fork = rng.fork("entropy").fork(draw)
        network.draw(fork.fork("weights"), "one")
        images = fork.fork("images").normal((16, *x.shape[1:])).double()
        output = network.run(images, skip_norms=True)["head.act"]
        scores.append(math.log(output.std()) + math.log(output.shape[1]))
    return np.mean(scores)


def ntk(network, rng, x, labels):
    network.draw(rng.fork("ntk"), "fan_out")
    logits, rows = network.run(x)["output"], []
    weights = list(network.weights.values())
    for i in range(len(x)):
        gradients = torch.autograd.grad(logits[i].sum(), weights, retain_graph=True)
        rows.append(torch.cat([g.flatten() for g in gradients]))
    rows = torch.stack(rows)
    values = torch.linalg.eigvalsh((rows @ rows.T).double())
    return (values[-1] / values[0]).item()


def zico(network, rng, x, labels):
    network.draw(rng.fork("weights"), "default")
    # In float64: where both gradients are nearly equal, float32 leaves nothing of their difference.
    for tensors in (network.weights, network.biases):
        for name in tensors:
            tensors[name] = tensors[name].detach().double().requires_grad_(True)
    x, half, gradients = x.double(), len(x) // 2, []
    for part in (slice(0, half), slice(half, 2 * half)):
        loss = F.cross_entropy(network.run(x[part])["output"], labels[part])
        gradients.append(torch.autograd.grad(loss, network.layers()))
    score = 0.0
    for pair_ in zip(*gradients):
        both = np.array([g.flatten().numpy() for g in pair_])
        deviation = np.std(both, axis=0)
        some = np.nonzero(deviation)[0]
        total = np.sum(np.mean(np.abs(both), axis=0)[some] / deviation[some])
        score += np.log(total) if total != 0 else 0
    return score


def gradsign(network, rng, x, labels):
    network.draw(rng.fork("weights"), "default")
    signs = 0
    for i in range(len(x)):
        loss = F.cross_entropy(network.run(x[i:i + 1])["output"], labels[i:i + 1])
        gradients = torch.autograd.grad(loss, network.layers())
        signs = signs + torch.cat([g.flatten() for g in gradients]).sign()
    return signs.abs().sum().item()


@torch.no_grad()
def meco(network, rng, x, labels):
    network.draw(rng.fork("weights"), "default")
    values, score = network.run(rng.fork("meco").normal((1, *x.shape[1:]))), 0.0
    for node in network.nodes:
        y = values[node["name"]]
        if node["op"] == "input" or y.dim() != 4:
            continue
        correlation = torch.corrcoef(y[0].flatten(1))
        correlation[~torch.isfinite(correlation)] = 0
        score += torch.linalg.eig(correlation)[0].real.min().item()
    return score


@torch.no_grad()
def swap(network, rng, x, labels):
    network.draw(rng.fork("swap"), "one")
    values = network.run(x)
    patterns = torch.cat([values[n["name"]].flatten(1) for n in network.nodes
                          if n["op"] == "activation"], 1).sign()
    return torch.unique(patterns.T, dim=0).size(0)


@torch.no_grad()
def linear_regions(network, rng, x, labels):
    thin, regions = Network(THIN, network.arch), []
    for draw in range(3):
        fork = rng.fork("linear_regions").fork(draw)
        thin.draw(fork.fork("weights"), "fan_in")
        places, patterns = fork.fork("crops"), []
        for _ in range(3):
            crops = []
            for _ in range(1000):
                image, top, left, channel = (places.below(n) for n in (len(x), 29, 29, 3))
                crops.append(x[image, channel, top:top + 4, left:left + 4])
            values = thin.run(torch.stack(crops)[:, None])
            patterns.append(torch.cat([values[n["name"]].flatten(1) for n in thin.nodes
                                       if n["op"] == "activation"], 1).sign())
        patterns = torch.cat(patterns)
        # As in the source: images share a region where neither is active alone anywhere.
        apart = patterns @ (1 - patterns).T
        regions.append((1 / (1 - (apart + apart.T).sign()).sum(1)).sum().item())
    return np.mean(regions)


def blocks(network, rng, x):
    network.draw(rng.fork("az_nas"), "fan_in")
    values = network.run(rng.fork("az_nas").fork("images").normal((64, *x.shape[1:])))
    ends = {}
    for node in network.nodes:
        top = node["name"].split(".")[0]
        if top not in ("input", "head", "output"):
            ends[top] = values[node["name"]]
    return list(ends.values())


def entropies(network, rng, x):
    result = []
    for y in blocks(network, rng, x):
        y = y.detach().permute(0, 2, 3, 1).flatten(0, 2)
        y = y - y.mean(0, keepdim=True)
        s = torch.linalg.eigvalsh(y.T @ y / len(y))
        share = s / s.sum()
        result.append((-share * torch.log(share + 1e-8)).sum().item())
    return np.array(result)


def az_expressivity(network, rng, x, labels):
    return entropies(network, rng, x).sum()


def az_progressivity(network, rng, x, labels):
    return np.diff(entropies(network, rng, x)).min()


def az_trainability(network, rng, x, labels):
    y, scores, signs = blocks(network, rng, x), [], rng.fork("az_nas").fork("signs")
    for i in reversed(range(1, len(y))):
        words = np.array([signs.next() for _ in range((y[i].numel() + 63) // 64)], np.uint64)
        bits = np.unpackbits(words.view(np.uint8), bitorder="little")[:y[i].numel()]
        out = torch.from_numpy(bits.astype(np.float32) * 2 - 1).reshape(y[i].shape)
        back = torch.autograd.grad(y[i], y[i - 1], out, retain_graph=True)[0]
        if back.shape[2] != out.shape[2]:
            back = F.pixel_unshuffle(back, back.shape[2] // out.shape[2])
        out, back = (g.permute(0, 2, 3, 1).flatten(0, 2) for g in (out, back))
        s = torch.linalg.svdvals(back.T @ out / len(out)).max().item()
        scores.append(-s - 1 / (s + 1e-6) + 2)
    return np.mean(scores)


def main():
    arch = sys.argv[2] if len(sys.argv) > 2 else ARCH
    network = Network(SPACE, arch)
    x, labels = batch(sys.argv[1])
    print(f"{'':18} {'espalier':>16} {'PyTorch':>16} {'difference':>11}")
    for proxy in (epe_nas, zen, entropy, ntk, linear_regions, zico, gradsign, meco, swap,
                  az_expressivity, az_progressivity, az_trainability):
        name = proxy.__name__
        ours = espalier("score", "--space", json.dumps(SPACE), "--arch", arch, "--proxy", name, "--data",
                        f"cifar10:{sys.argv[1]}", "--batch-size", str(COUNT), "--seed", "1",
                        "--json")[0][name]
        theirs = proxy(network, Rng(1), x, labels)
        print(f"{name:18} {ours:16.8g} {theirs:16.8g} {abs(ours - theirs) / abs(theirs):11.1e}",
              flush=True)


main()
