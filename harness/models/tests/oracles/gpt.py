"""Writes gpt.json: losses and gradients of two small transformers by PyTorch, in double precision,
and the losses of one along twelve steps of AdamW with clipped gradients.

    python harness/models/tests/oracles/gpt.py > harness/models/tests/oracles/gpt.json

Made with PyTorch 2.11.0. Parameters and tokens are formulas of their place, so that both sides have
the same ones.
"""

import json
import math

import torch
import torch.nn.functional as F

VOCABULARY, POSITIONS, WIDTH, HEADS, LAYERS, ROWS = 5, 4, 4, 2, 2, 3


def parameter(place):
    return 0.6 * math.sin(1.7 * place + 0.3)


def token(row, position):
    return (row * 7 + position * 3 + position * position) % VOCABULARY


class Parameters:
    """Hands out the flat vector piece by piece."""

    def __init__(self, flat):
        self.flat = flat
        self.place = 0

    def take(self, *shape):
        start, self.place = self.place, self.place + math.prod(shape)
        return self.flat[start : self.place].reshape(shape)


def rotate(x):
    """Entries i and i + h/2 of (n, heads, s, h) turned by s 10000^(-2i/h)."""
    half = x.shape[-1] // 2
    rates = 10000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = torch.arange(x.shape[-2], dtype=torch.float64)[:, None] * rates
    first, second = x[..., :half], x[..., half:]
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


def losses(parameters, tokens, targets, rotary, tied, mean):
    table = parameters.take(VOCABULARY, WIDTH)
    x = table[tokens]
    if not rotary:
        x = x + parameters.take(POSITIONS, WIDTH)
    for _ in range(LAYERS):
        y = F.layer_norm(x, (WIDTH,), parameters.take(WIDTH), parameters.take(WIDTH))
        y = F.linear(y, parameters.take(3 * WIDTH, WIDTH), parameters.take(3 * WIDTH))
        heads = [part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in y.chunk(3, dim=-1)]
        if rotary:
            heads = [rotate(heads[0]), rotate(heads[1]), heads[2]]
        y = F.scaled_dot_product_attention(*heads, is_causal=True).transpose(1, 2).flatten(-2)
        x = x + F.linear(y, parameters.take(WIDTH, WIDTH), parameters.take(WIDTH))
        y = F.layer_norm(x, (WIDTH,), parameters.take(WIDTH), parameters.take(WIDTH))
        y = F.linear(y, parameters.take(4 * WIDTH, WIDTH), parameters.take(4 * WIDTH))
        y = F.gelu(y, approximate="tanh")
        x = x + F.linear(y, parameters.take(WIDTH, 4 * WIDTH), parameters.take(WIDTH))
    x = F.layer_norm(x, (WIDTH,), parameters.take(WIDTH), parameters.take(WIDTH))
    logits = F.linear(x, table if tied else parameters.take(VOCABULARY, WIDTH))
    each = F.cross_entropy(logits.transpose(1, 2), targets, ignore_index=-1, reduction="none")
    total = each.sum(dim=1)
    return total / (targets >= 0).sum(dim=1) if mean else total


def texts():
    tokens = torch.tensor([[token(r, s) for s in range(POSITIONS)] for r in range(ROWS)])
    # Row r has targets at its first 2 + r positions.
    targets = torch.tensor(
        [[token(r, s + 1) if s < 2 + r else -1 for s in range(POSITIONS)] for r in range(ROWS)]
    )
    return tokens, targets


def start(**kind):
    """The flat vector, as long as the model wants it."""
    count = Parameters(torch.zeros(4096, dtype=torch.float64))
    losses(count, *texts(), **kind)
    values = [parameter(place) for place in range(count.place)]
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def case(**kind):
    flat = start(**kind)
    each = losses(Parameters(flat), *texts(), **kind)
    weights = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    (gradient,) = torch.autograd.grad((weights * each).sum(), flat)
    return {"losses": each.tolist(), "gradient": gradient.tolist()}


def training(steps=12, clip=0.5, **kind):
    """Mean losses before each step and after the last."""
    flat = start(**kind)
    optimiser = torch.optim.AdamW([flat], lr=0.02, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1)
    curve = []
    for _ in range(steps):
        optimiser.zero_grad()
        loss = losses(Parameters(flat), *texts(), **kind).mean()
        loss.backward()
        # Not `clip_grad_norm_`, which adds 1e-6 to the norm.
        flat.grad *= min(1.0, clip / flat.grad.norm().item())
        optimiser.step()
        curve.append(loss.item())
    return curve + [losses(Parameters(flat), *texts(), **kind).mean().item()]


if __name__ == "__main__":
    result = {
        "learned-tied-mean": case(rotary=False, tied=True, mean=True),
        "rotary-untied-sum": case(rotary=True, tied=False, mean=False),
        "training": training(rotary=False, tied=True, mean=True),
    }
    print(json.dumps(result, indent=0))
