#!/usr/bin/env python3
"""Trains Muster's gpt with PyTorch: the same initial values, samples, schedule and AdamW, written
from the documentation and sharing no code with it. Needs torch and numpy; run by hand, never in CI.

  gpt_curve.py                       writes gpt_curve.json beside itself, in float64: what
                                     tests/unit/test_gpt_curve.c compares with
  gpt_curve.py --kind llama          the same, llama_curve.json, of model.kind = "llama"; needs
                                     transformers too, whose Llama the model is held against first
  gpt_curve.py --tokens train.tok [--valid valid.tok] [--every 50] [KEY=VALUE ...]
                                     trains on a token file (Muster's or llm.c's), in float32, and
                                     prints losses to hold against metrics.csv of a run of Muster
                                     (steps count from 1 in both). Keys are those of a config
                                     ("model.width=128"); defaults are Muster's.
"""
import argparse
import json
import math
import pathlib
import platform
import time

import numpy as np
import torch
import torch.nn.functional as F

# ---- numbers: Philox4x32-10 (Salmon et al. 2011), inverse normal (Wichura, AS 241, PPND7) ---------
INIT, ORDER = 1, 2
MASK32, MASK64 = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF


def philox(seed, stream, a, b):
    """Four words for each counter in b (uint64 array): an array (len(b), 4) of uint64 below 2^32."""
    b = np.asarray(b, dtype=np.uint64)
    low, shift = np.uint64(MASK32), np.uint64(32)
    x = [b & low, b >> shift, np.full_like(b, a), np.full_like(b, stream)]
    k0, k1 = seed & MASK32, seed >> 32
    for _ in range(10):
        p, q = np.uint64(0xD2511F53) * x[0], np.uint64(0xCD9E8D57) * x[2]
        x = [(q >> shift) ^ x[1] ^ np.uint64(k0), q & low, (p >> shift) ^ x[3] ^ np.uint64(k1), p & low]
        k0, k1 = (k0 + 0x9E3779B9) & MASK32, (k1 + 0xBB67AE85) & MASK32
    return np.stack(x, axis=1)


def polynomial(r, coefficients):
    y = np.zeros_like(r)
    for c in coefficients:
        y = y * r + c
    return y


def normal(words):
    q = (words.astype(np.float64) + 0.5) * 2.0**-32 - 0.5
    central = np.abs(q) <= 0.425
    r = 0.180625 - q * q
    middle = q * polynomial(r, [5.9109374720e1, 1.5929113202e2, 5.0434271938e1, 3.3871327179]) / polynomial(
        r, [6.7187563600e1, 7.8757757664e1, 1.7895169469e1, 1.0])
    r = np.sqrt(-np.log(np.where(central, 0.25, np.where(q < 0, q + 0.5, 0.5 - q))))
    near = polynomial(r - 1.6, [1.7023821103e-1, 1.3067284816, 2.7568153900, 1.4234372777]) / polynomial(
        r - 1.6, [1.2021132975e-1, 7.3700164250e-1, 1.0])
    far = polynomial(r - 5, [1.7337203997e-2, 4.2868294337e-1, 3.0812263860, 6.6579051150]) / polynomial(
        r - 5, [1.2258202635e-2, 2.4197894225e-1, 1.0])
    tail = np.where(r <= 5, near, far)
    return np.where(central, middle, np.where(q < 0, -tail, tail))


def initial(seed, tensor, count, deviation):
    words = philox(seed, INIT, tensor, np.arange((count + 3) // 4)).reshape(-1)[:count]
    return (deviation * normal(words)).astype(np.float32)


# ---- order of samples: a Feistel network in mixed radix, walked until it lands inside -------------
def round_function(key, x, radix):
    x = (x + key) & MASK64
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & MASK64
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & MASK64
    return (radix * (x ^ x >> 31)) >> 64


class Sampler:
    def __init__(self, seed, windows, context):
        self.seed, self.windows, self.context, self.epoch = seed, windows, context, None
        self.a = math.isqrt(windows - 1) + 1
        self.b = -(-windows // self.a)

    def start(self, sample):
        epoch, index = divmod(sample, self.windows)
        if epoch != self.epoch:
            self.epoch, self.keys = epoch, []
            for i in range(0, 8, 2):
                x = [int(w) for w in philox(self.seed, ORDER, i, [epoch])[0]]
                self.keys += [x[1] << 32 | x[0], x[3] << 32 | x[2]]
        while True:
            left, right = index % self.a, index // self.a
            for i in range(0, 8, 2):
                left = (left + round_function(self.keys[i], right, self.a)) % self.a
                right = (right + round_function(self.keys[i + 1], left, self.b)) % self.b
            index = left + self.a * right
            if index < self.windows:
                return self.context * index


# ---- tokens ---------------------------------------------------------------------------------------
def formula_tokens(count, vocab):
    """fixture_token of tests/support/gpt_fixture.h."""
    out = []
    for i in range(count):
        x = i * 2654435761 % 2**32
        out.append(x * x // 2**32 * vocab // 2**32 if i % 3 == 0 else (7 * i + i // 5) % vocab)
    return np.array(out)


def read_tokens(path):
    """Tokens, vocabulary, bytes of text a token (0: unknown)."""
    head = np.fromfile(path, dtype="<i4", count=256)
    if head[0] == 20240520:
        return np.memmap(path, dtype="<u2", mode="r", offset=1024), 50257, 0.0
    raw = open(path, "rb").read(4096)
    if raw[:8] != b"\x8aMUTOK\r\n":
        raise SystemExit(f"{path} is neither Muster's nor llm.c's")
    width, vocab = (int.from_bytes(raw[i : i + 4], "little") for i in (16, 20))
    count, source = (int.from_bytes(raw[i : i + 8], "little") for i in (24, 32))
    return np.memmap(path, dtype=f"<u{width}", mode="r", offset=4096, shape=(count,)), vocab, source / count


# ---- model ----------------------------------------------------------------------------------------
class Gpt(torch.nn.Module):
    def __init__(self, v, dtype):
        super().__init__()
        self.layers, self.heads = v["model.layers"], v["model.heads"]
        c, seed, tensor = v["model.width"], v["run.seed"], 0
        into_stream = 0.02 / math.sqrt(2 * self.layers)
        shapes = [("wte.weight", (v["model.vocab"], c), 0.02), ("wpe.weight", (v["model.context"], c), 0.02)]
        for n in range(self.layers):
            shapes += [(f"h.{n}.{name}", shape, value) for name, shape, value in [
                ("ln_1.weight", (c,), 1), ("ln_1.bias", (c,), 0),
                ("attn.qkv.weight", (3 * c, c), 0.02), ("attn.qkv.bias", (3 * c,), 0),
                ("attn.proj.weight", (c, c), into_stream), ("attn.proj.bias", (c,), 0),
                ("ln_2.weight", (c,), 1), ("ln_2.bias", (c,), 0),
                ("mlp.up.weight", (4 * c, c), 0.02), ("mlp.up.bias", (4 * c,), 0),
                ("mlp.down.weight", (c, 4 * c), into_stream), ("mlp.down.bias", (c,), 0)]]
        shapes += [("ln_f.weight", (c,), 1), ("ln_f.bias", (c,), 0)]
        self.p = {}
        for tensor, (name, shape, value) in enumerate(shapes):
            start = initial(seed, tensor, math.prod(shape), value) if len(shape) == 2 else np.full(shape, value)
            self.p[name] = torch.nn.Parameter(torch.tensor(start.reshape(shape), dtype=dtype))
            self.register_parameter(name.replace(".", "_"), self.p[name])

    def forward(self, tokens, target):
        p, (b, t) = self.p, tokens.shape
        x = p["wte.weight"][tokens] + p["wpe.weight"][:t]
        c = x.shape[-1]

        def norm(y, name):
            return F.layer_norm(y, (c,), p[name + ".weight"], p[name + ".bias"], eps=1e-5)

        def linear(y, name):
            return F.linear(y, p[name + ".weight"], p[name + ".bias"])

        for n in range(self.layers):
            qkv = linear(norm(x, f"h.{n}.ln_1"), f"h.{n}.attn.qkv")
            q, k, v = (s.view(b, t, self.heads, -1).transpose(1, 2) for s in qkv.split(c, dim=2))
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + linear(mixed.transpose(1, 2).reshape(b, t, c), f"h.{n}.attn.proj")
            wide = F.gelu(linear(norm(x, f"h.{n}.ln_2"), f"h.{n}.mlp.up"), approximate="tanh")
            x = x + linear(wide, f"h.{n}.mlp.down")
        logits = norm(x, "ln_f") @ p["wte.weight"].T
        return F.cross_entropy(logits.view(b * t, -1), target.reshape(-1))


class Llama(torch.nn.Module):
    def __init__(self, v, dtype):
        super().__init__()
        self.layers, self.heads, self.hidden = v["model.layers"], v["model.heads"], hidden_width(v)
        self.theta = v["model.rope_theta"]
        c, seed = v["model.width"], v["run.seed"]
        into_stream = 0.02 / math.sqrt(2 * self.layers)
        shapes = [("model.embed_tokens.weight", (v["model.vocab"], c), 0.02)]
        for n in range(self.layers):
            shapes += [(f"model.layers.{n}.{name}.weight", shape, value) for name, shape, value in [
                ("input_layernorm", (c,), 1), ("self_attn.qkv_proj", (3 * c, c), 0.02),
                ("self_attn.o_proj", (c, c), into_stream), ("post_attention_layernorm", (c,), 1),
                ("mlp.gate_up_proj", (2 * self.hidden, c), 0.02), ("mlp.down_proj", (c, self.hidden), into_stream)]]
        shapes += [("model.norm.weight", (c,), 1)]
        self.p = {}
        for tensor, (name, shape, value) in enumerate(shapes):
            start = initial(seed, tensor, math.prod(shape), value) if len(shape) == 2 else np.full(shape, value)
            self.p[name] = torch.nn.Parameter(torch.tensor(start.reshape(shape), dtype=dtype))
            self.register_parameter(name.replace(".", "_"), self.p[name])

    def turn(self, x):
        """x (B, H, T, D): as complex numbers, element i with element i + D/2, times e^(i angle)."""
        t, half = x.shape[2], x.shape[3] // 2
        angle = torch.outer(torch.arange(t, dtype=torch.float64),
                            self.theta ** (-torch.arange(half, dtype=torch.float64) / half))
        turned = torch.complex(x[..., :half], x[..., half:]) * torch.polar(torch.ones_like(angle), angle).to(
            torch.complex128 if x.dtype == torch.float64 else torch.complex64)
        return torch.cat([turned.real, turned.imag], dim=-1)

    def logits(self, tokens):
        p, (b, t) = self.p, tokens.shape
        x = p["model.embed_tokens.weight"][tokens]
        c = x.shape[-1]

        def norm(y, name):
            return F.rms_norm(y, (c,), p[name + ".weight"], eps=1e-5)

        for n in range(self.layers):
            block = f"model.layers.{n}."
            qkv = F.linear(norm(x, block + "input_layernorm"), p[block + "self_attn.qkv_proj.weight"])
            q, k, v = (s.view(b, t, self.heads, -1).transpose(1, 2) for s in qkv.split(c, dim=2))
            mixed = F.scaled_dot_product_attention(self.turn(q), self.turn(k), v, is_causal=True)
            x = x + F.linear(mixed.transpose(1, 2).reshape(b, t, c), p[block + "self_attn.o_proj.weight"])
            wide = F.linear(norm(x, block + "post_attention_layernorm"), p[block + "mlp.gate_up_proj.weight"])
            gate, up = wide.split(self.hidden, dim=2)
            x = x + F.linear(F.silu(gate) * up, p[block + "mlp.down_proj.weight"])
        return norm(x, "model.norm") @ p["model.embed_tokens.weight"].T

    def forward(self, tokens, target):
        logits = self.logits(tokens)
        return F.cross_entropy(logits.view(target.numel(), -1), target.reshape(-1))


def hidden_width(v):
    return v["model.hidden"] if v["model.hidden"] > 0 else -(-v["model.width"] * 8 // 3 // 64) * 64


def check_with_transformers(v):
    """Hugging Face's Llama with the same weights, larger than initial ones, has the same logits; it
    computes norms and angles in float32 always."""
    from transformers import LlamaConfig, LlamaForCausalLM

    model, c = Llama(v, torch.float64), v["model.width"]
    other = LlamaForCausalLM(LlamaConfig(
        vocab_size=v["model.vocab"], hidden_size=c, intermediate_size=model.hidden, num_hidden_layers=model.layers,
        num_attention_heads=model.heads, max_position_embeddings=v["model.context"], rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": v["model.rope_theta"]}, tie_word_embeddings=True)).double()
    weights = {}
    for name, p in model.p.items():
        p.data += 0.2 * torch.randn_like(p, generator=torch.Generator().manual_seed(len(weights)))
        if "qkv_proj" in name:
            for letter, part in zip("qkv", p.data.split(c)):
                weights[name.replace("qkv_", letter + "_")] = part
        elif "gate_up_proj" in name:
            for word, part in zip(("gate_", "up_"), p.data.split(model.hidden)):
                weights[name.replace("gate_up_", word)] = part
        else:
            weights[name] = p.data
    missing = other.load_state_dict(weights, strict=False)
    assert missing.missing_keys == ["lm_head.weight"] and not missing.unexpected_keys, missing
    tokens = torch.tensor(formula_tokens(3 * v["model.context"], v["model.vocab"])).view(3, -1)
    with torch.no_grad():
        ours, theirs = model.logits(tokens), other(tokens).logits
    distance = (ours - theirs).norm() / theirs.norm()
    print(f"Hugging Face's logits differ by {distance:.2g} of their norm, {theirs.norm():.3g}")
    assert distance < 1e-6


def rate(v, step):
    steps, warmup, kind = v["run.steps"], v["optim.schedule.warmup"], v["optim.schedule.kind"]
    start = warmup
    if kind == "wsd":
        start = steps - int(steps * v["optim.schedule.cooldown"] + 0.5)
    u = min(1.0, max(0.0, (step - start) / (steps - start))) if steps > start else 0.0
    shape = {"wsd": 1 - math.sqrt(u), "cosine": (1 + math.cos(math.pi * u)) / 2, "linear": 1 - u, "constant": 1}[kind]
    decayed = v["optim.schedule.floor"] + (1 - v["optim.schedule.floor"]) * shape
    return v["optim.lr"] * min(decayed, (step + 1) / warmup if step < warmup else 1)


def windows(tokens, starts, context):
    w = torch.tensor(np.stack([np.asarray(tokens[s : s + context + 1]) for s in starts]).astype(np.int64))
    return w[:, :-1], w[:, 1:]


def validate(model, tokens, v):
    """Mean loss of the first eval.tokens tokens, in whole sequences."""
    t = v["model.context"]
    count, total = min(-(-v["eval.tokens"] // t), (len(tokens) - 1) // t), 0.0
    with torch.no_grad():
        for q in range(0, count, 16):
            starts = [t * i for i in range(q, min(q + 16, count))]
            total += model(*windows(tokens, starts, t)).item() * len(starts)
    return total / count


def train(v, tokens, dtype):
    """Yields (step, loss before the step's update, norm before clipping, rate, model after it)."""
    t, batch = v["model.context"], v["batch.sequences"]
    sampler = Sampler(v["run.seed"], (len(tokens) - 1) // t, t)
    model = (Llama if v["model.kind"] == "llama" else Gpt)(v, dtype)
    matrices = [p for p in model.parameters() if p.dim() == 2]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": v["optim.weight_decay"]},
                                   {"params": vectors, "weight_decay": 0.0}],
                                  betas=v["optim.betas"], eps=v["optim.eps"])
    for step in range(v["run.steps"]):
        starts = [sampler.start(step * batch + j) for j in range(batch)]
        loss = model(*windows(tokens, starts, t))
        optimizer.zero_grad()
        loss.backward()
        norm = math.sqrt(sum(float((p.grad.double() ** 2).sum()) for p in model.parameters()))
        if v["optim.clip"] > 0 and norm > v["optim.clip"]:
            for p in model.parameters():
                p.grad *= v["optim.clip"] / norm
        for group in optimizer.param_groups:
            group["lr"] = rate(v, step)
        optimizer.step()
        yield step, loss.item(), norm, rate(v, step), model


DEFAULTS = {
    "run.seed": 1, "run.steps": 100, "model.kind": "gpt2", "model.layers": 4, "model.heads": 4, "model.width": 128, "model.context": 128,
    "model.hidden": -1, "model.rope_theta": 10000.0, "model.vocab": -1, "batch.sequences": 32, "optim.lr": 1e-3, "optim.betas": [0.9, 0.95], "optim.eps": 1e-8,
    "optim.weight_decay": 0.1, "optim.clip": 1.0, "optim.schedule.kind": "wsd", "optim.schedule.warmup": 0,
    "optim.schedule.cooldown": 0.2, "optim.schedule.floor": 0.0, "eval.every": 100, "eval.tokens": 65536,
}
# Two epochs are begun, clipping is at work in some steps and not in others, and every part of the
# schedule is passed.
TINY = DEFAULTS | {
    "run.seed": 11, "run.steps": 30, "model.layers": 2, "model.heads": 4, "model.width": 32, "model.context": 16,
    "model.vocab": 64, "batch.sequences": 16, "optim.lr": 1e-2, "optim.clip": 0.8, "optim.schedule.warmup": 5,
    "optim.schedule.cooldown": 0.3, "optim.schedule.floor": 0.1, "eval.tokens": 512,
}
# Angles beyond a turn, in a head of four pairs; a hidden width that no rule gives.
TINY_LLAMA = TINY | {"model.kind": "llama", "model.hidden": 52, "model.rope_theta": 100.0}
TINY_TRAIN_TOKENS, TINY_VALID_TOKENS = 5000, 1000


def store(kind):
    v, losses, norms, rates = TINY_LLAMA if kind == "llama" else TINY, [], [], []
    if kind == "llama":
        check_with_transformers(v)
    for _, loss, norm, lr, model in train(v, formula_tokens(TINY_TRAIN_TOKENS, v["model.vocab"]), torch.float64):
        losses.append(loss)
        norms.append(norm)
        rates.append(lr)
    result = {
        "made_by": "tests/oracle/gpt_curve.py, float64",
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
        "config": v, "train_tokens": TINY_TRAIN_TOKENS, "valid_tokens": TINY_VALID_TOKENS,
        "loss": losses, "norm": norms, "rate": rates,
        "valid_loss": validate(model, formula_tokens(TINY_VALID_TOKENS, v["model.vocab"]), v),
    }
    path = pathlib.Path(__file__).with_name("llama_curve.json" if kind == "llama" else "gpt_curve.json")
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"{path}: loss {losses[0]:.6f} -> {losses[-1]:.6f}, norms {min(norms):.3f} .. {max(norms):.3f}")


def compare(args):
    tokens, vocab, _ = read_tokens(args.tokens)
    v = dict(DEFAULTS)
    for text in args.values:
        key, _, value = text.partition("=")
        if key not in v:
            raise SystemExit(f"unknown key {key}; known: {', '.join(v)}")
        v[key] = value if isinstance(v[key], str) else type(v[key])(json.loads(value))
    if v["model.vocab"] < 0:
        v["model.vocab"] = vocab
    valid, _, bytes_a_token = read_tokens(args.valid) if args.valid else (None, 0, 0.0)
    torch.set_num_threads(args.threads)
    began = time.monotonic()  # of the second step: the first one warms up
    for step, loss, norm, lr, model in train(v, tokens, torch.float32):
        done, last = step + 1, step + 1 == v["run.steps"]
        now = time.monotonic()
        began = now if step == 0 else began
        if done == 1 or done % args.every == 0 or last:
            ms = (now - began) / max(step, 1) * 1e3
            print(f"step {done:6d}  loss {loss:.6f}  norm {norm:.4f}  lr {lr:.3e}  {ms:.1f} ms a step", flush=True)
        if valid is not None and (last or (v["eval.every"] > 0 and done % v["eval.every"] == 0)):
            nats = validate(model, valid, v)
            bits = f", {nats / math.log(2) / bytes_a_token:.6f} bits per byte" if bytes_a_token else ""
            print(f"after {done} steps: validation {nats:.6f} nats per token{bits}", flush=True)
        began += time.monotonic() - now


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", help="token file to train on")
    parser.add_argument("--valid", help="token file for the validation loss")
    parser.add_argument("--kind", choices=["gpt2", "llama"], default="gpt2", help="whose oracle is written")
    parser.add_argument("--every", type=int, default=50, help="steps between two lines")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("values", nargs="*", metavar="KEY=VALUE")
    args = parser.parse_args()
    compare(args) if args.tokens else store(args.kind)


if __name__ == "__main__":
    main()
