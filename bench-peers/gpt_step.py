"""Least time of a training step of small transformers in PyTorch's eager mode, on one thread.

    python bench-peers/gpt_step.py

The counterpart of `cargo bench -p attribench-models --bench gpt`: the same widths, batch, loss,
clipping and optimiser. Prints milliseconds and tokens a second.
"""

import time

import torch
import torch.nn.functional as F
from torch import nn

BATCH, POSITIONS, VOCABULARY = 16, 64, 96
REPETITIONS = 60


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)

    def forward(self, x):
        parts = self.attention(self.norm1(x)).chunk(3, dim=-1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.projection(y.transpose(1, 2).flatten(-2))
        return x + self.contract(F.gelu(self.expand(self.norm2(x)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self, layers, width, heads, vocabulary=VOCABULARY):
        super().__init__()
        self.token = nn.Embedding(vocabulary, width)
        self.position = nn.Parameter(torch.zeros(POSITIONS, width))
        self.blocks = nn.Sequential(*[Block(width, heads) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens):
        x = self.blocks(self.token(tokens) + self.position)
        return F.linear(self.norm(x), self.token.weight)


def milliseconds(layers, width, heads):
    model = Gpt(layers, width, heads)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
    tokens = torch.randint(VOCABULARY, (BATCH, POSITIONS))
    targets = torch.randint(VOCABULARY, (BATCH, POSITIONS))
    least = float("inf")
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        F.cross_entropy(model(tokens).flatten(0, 1), targets.flatten()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        least = min(least, time.perf_counter() - start)
    return 1000 * least


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(1)
    for layers, width, heads in [(2, 64, 4), (4, 128, 4)]:
        least = milliseconds(layers, width, heads)
        tokens = BATCH * POSITIONS / least * 1000
        print(f"{layers} layers of {width}: {least:.1f} ms a step, {tokens:.0f} tokens/s")
