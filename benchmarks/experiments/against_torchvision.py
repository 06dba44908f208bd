#!/usr/bin/env python3
"""Holds the reference networks and the reading of ONNX files against torchvision.

For each network: (1) params and macs of `espalier describe`; (2) the weights of a torchvision model
with random values and statistics, exported from the reference network of the same name, give
torchvision's outputs; (3) what torch.onnx.export writes of that model, read by Espalier and exported
again, gives torchvision's outputs. Needs Debian's python3-torchvision (0.14.1), which this directory
does not install: apt-get install python3-torchvision.
"""

import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import torch
import torchvision

PROGRAM = sys.argv[1] if len(sys.argv) > 1 else "build/release/bin/espalier"
NETS = """alexnet vgg11 vgg16 vgg16_bn googlenet inception_v3 resnet18 resnet50 resnext50_32x4d
wide_resnet50_2 densenet121 squeezenet1_0 squeezenet1_1 mobilenet_v2 mobilenet_v3_large
mobilenet_v3_small shufflenet_v2_x1_0 mnasnet1_0 convnext_tiny efficientnet_b0 regnet_x_400mf
regnet_y_400mf vit_b_16""".split()


def espalier(*arguments):
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    return done.stdout


def model_of(name):
    torch.manual_seed(1)
    options = {"weights": None}
    if name in ("googlenet", "inception_v3"):
        options.update(aux_logits=False, init_weights=False)
    model = getattr(torchvision.models, name)(**options).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
        if isinstance(module, (torch.nn.BatchNorm2d, torch.nn.LayerNorm)):
            module.weight.data.uniform_(0.8, 1.2)
            module.bias.data.uniform_(-0.2, 0.2)
    for key, value in model.named_parameters():
        if key.endswith("layer_scale"):
            value.data.uniform_(0.1, 1)
        if key == "heads.head.weight":  # zeros in torchvision, so that all outputs would be
            value.data.uniform_(-0.1, 0.1)
    return model


def weights_of(model):
    """torchvision's tensors under Espalier's names."""
    weights = {}
    for key, value in model.state_dict().items():
        if key.endswith("num_batches_tracked"):
            continue
        if key.endswith("layer_scale"):
            weights[key + ".weight"] = value.flatten()
        elif key.endswith(("in_proj_weight", "in_proj_bias")):
            base, kind = key.rsplit(".in_proj_", 1)
            for part, chunk in zip("qkv", value.chunk(3)):
                weights[f"{base}.{part}.{kind}"] = chunk
        elif key == "class_token":
            weights["class_token.weight"] = value.flatten()
        elif key == "encoder.pos_embedding":
            weights["pos_embedding.weight"] = value[0]
        elif value.dim() == 2 and key.endswith(("block.3.weight", "block.5.weight")):
            # Linear layers on channels-last pixels are 1x1 convolutions here.
            weights[key] = value[:, :, None, None]
        else:
            weights[key] = value
    return weights


def write_safetensors(path, tensors):
    header, data = {}, b""
    for key, value in tensors.items():
        raw = value.contiguous().numpy().tobytes()
        header[key] = {
            "dtype": "F32",
            "shape": list(value.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header).encode()
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + data)


def difference(script, expected, x):
    with torch.no_grad():
        found = torch.jit.load(script)(x)
    return float((found - expected).abs().max() / expected.abs().max())


def main():
    torch.set_num_threads(2)
    failed = 0
    print(f"{'network':20} {'params':>10} {'macs':>12} {'weights':>9} {'onnx':>9} {'onnx macs':>12}")
    with tempfile.TemporaryDirectory() as directory:
        path = lambda name: str(pathlib.Path(directory) / name)
        for name in NETS:
            costs = json.loads(espalier("describe", "--net", name, "--json"))
            model = model_of(name)
            x = torch.rand(2, 3, 224, 224) * 2 - 1
            with torch.no_grad():
                expected = model(x)
            cells = []
            try:
                write_safetensors(path("w.safetensors"), weights_of(model))
                espalier("export", name, "--weights", path("w.safetensors"),
                         "--format", "torchscript", "--out", path("net.pt"))
                cells.append(f"{difference(path('net.pt'), expected, x):9.1e}")
            except RuntimeError as error:
                cells.append("failed")
                print(f"# {name}: {error}", file=sys.stderr)
            try:
                torch.onnx.export(model, x[:1], path("net.onnx"))
                macs = json.loads(espalier("describe", path("net.onnx"), "--json"))["macs"]
                espalier("export", path("net.onnx"), "--format", "torchscript",
                         "--out", path("read.pt"))
                cells.append(f"{difference(path('read.pt'), expected, x):9.1e}")
                cells.append(f"{macs:12}")
            except RuntimeError as error:
                cells.append("failed")
                print(f"# {name}: {error}", file=sys.stderr)
            bad = [c for c in cells[:2] if c == "failed" or float(c) > 1e-4]
            failed += len(bad)
            print(f"{name:20} {costs['params']:10} {costs['macs']:12} {' '.join(cells)}", flush=True)
    print("all agree to 1e-4" if failed == 0 else f"{failed} disagree")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
