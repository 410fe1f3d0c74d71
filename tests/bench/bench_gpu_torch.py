#!/usr/bin/env python3
"""PyTorch on one GPU, as a peer of Muster: what tests/bench/bench_cuda.c and tests/gpu/step.sh measure.

Attention: forward and backward of scaled_dot_product_attention, causal, bf16, in the same shapes; cuDNN's and the flash kernel, each
in deterministic mode where PyTorch lets it, else as it is (and said). Training: a GPT-2 of 124M parameters in the usual style
(learned positions, LayerNorm, GELU, tied head), torch.compile, bf16 autocast, flash attention, fused AdamW, 65,536 tokens a step.

    bench_gpu_torch.py [--seconds 120] [--only attention|train]

The last line begins with "done: ". Times are of CUDA events; medians."""
import argparse
import math
import time
import warnings

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.utils.deterministic
from torch.nn.attention import SDPBackend, sdpa_kernel

BACKENDS = {"cuDNN": SDPBackend.CUDNN_ATTENTION, "flash": SDPBackend.FLASH_ATTENTION}


def median_ms(run, rounds=7, calls=5):
    run()
    run()
    times = []
    for _ in range(rounds):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(calls):
            run()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / calls)
    return sorted(times)[rounds // 2]


def attention_ms(backend, head, context, deterministic):
    """Forward, and forward + backward; raises RuntimeError where there is no such kernel."""
    shape = (16384 // context, 1024 // head, context, head)
    q, k, v = (torch.randn(shape, device="cuda", dtype=torch.bfloat16, requires_grad=True) for _ in range(3))
    dout = torch.randn_like(q)

    def forward():
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)

    torch.use_deterministic_algorithms(deterministic)
    torch.utils.deterministic.fill_uninitialized_memory = False  # a check that costs time
    try:
        with sdpa_kernel(backend), torch.no_grad():
            once = median_ms(forward)
        with sdpa_kernel(backend):
            both = median_ms(lambda: torch.autograd.grad(forward(), (q, k, v), dout))
    finally:
        torch.use_deterministic_algorithms(False)
    return once, both


def bench_attention():
    print("| kernel | deterministic | head | T | forward, TFLOP/s | forward + backward, TFLOP/s |")
    print("|---|---|---|---|---|---|")
    best = {}
    for name, backend in BACKENDS.items():
        for head in (64, 128):
            for context in (1024, 2048, 4096, 8192):
                product = 16384 // context * (1024 // head) * context * context * head
                for deterministic in (True, False):
                    try:
                        with warnings.catch_warnings():
                            warnings.simplefilter("ignore")
                            once, both = attention_ms(backend, head, context, deterministic)
                    except RuntimeError as error:
                        print(f"{name}, deterministic {deterministic}: {str(error).splitlines()[0]}")
                        continue
                    rates = 2 * product / once * 1e-9, 7 * product / both * 1e-9
                    print(f"| {name} | {'yes' if deterministic else 'no'} | {head} | {context} | {rates[0]:.1f} | {rates[1]:.1f} |")
                    best[name, head] = f"{name} {rates[1]:.0f} TFLOP/s at head {head}, T {context}"
                    if not deterministic:
                        best[name, head] += " (not deterministic)"
                    break
    return ", ".join(best.values())


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (y.view(b, t, self.heads, c // self.heads).transpose(1, 2) for y in self.qkv(self.norm1(x)).split(c, dim=2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(b, t, c))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self, layers=12, heads=12, width=768, context=1024, vocab=50304):  # vocab: rounded up, as is usual
        super().__init__()
        self.token, self.position = nn.Embedding(vocab, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocab, bias=False)
        self.head.weight = self.token.weight
        for p in self.parameters():
            if p.dim() == 2:
                nn.init.normal_(p, std=0.02)

    def forward(self, tokens, targets):
        x = self.token(tokens) + self.position(torch.arange(tokens.shape[1], device=tokens.device))
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.norm(x))
        return F.cross_entropy(logits.view(-1, logits.size(-1)), targets.reshape(-1))


def bench_train(seconds, rows=32, context=1024, a_step=64):
    torch.set_float32_matmul_precision("high")
    torch.manual_seed(1)
    model = Gpt().cuda()
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    compiled = torch.compile(model)
    tokens = (torch.rand(8, rows, context + 1, device="cuda") * math.log(50257)).exp().long().clamp(max=50256)

    def step(i):
        for part in range(a_step // rows):
            batch = tokens[(i + part) % len(tokens)]
            with torch.autocast("cuda", dtype=torch.bfloat16):
                loss = compiled(batch[:, :-1], batch[:, 1:])
            (loss / (a_step // rows)).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss

    began = time.monotonic()
    for i in range(3):
        first = step(i)
    torch.cuda.synchronize()
    print(f"compiled in {time.monotonic() - began:.0f} s, loss {first.item():.4f}")
    times = []
    while len(times) < 30 and (len(times) < 5 or time.monotonic() - began < seconds):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        last = step(len(times))
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    ms = sorted(times)[len(times) // 2]
    print(f"loss {last.item():.4f} after {len(times) + 3} steps")
    return f"compiled GPT-2 124M {a_step * context / ms * 1000:.0f} tokens/s, {ms:.1f} ms a step of {a_step * context} tokens"


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--seconds", type=float, default=120, help="for training, compilation included")
    words.add_argument("--only", choices=("attention", "train"))
    options = words.parse_args()
    print(f"PyTorch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}, {torch.cuda.get_device_name()}")
    found = []
    if options.only != "train":
        found.append(bench_attention())
    if options.only != "attention":
        found.append(bench_train(options.seconds))
    print("done: " + "; ".join(found))


if __name__ == "__main__":
    main()
