"""Writes text_gen_rnn.json: losses and gradients of a small recurrent model by PyTorch, in double
precision.

    python harness/models/tests/oracles/text_gen_rnn.py > harness/models/tests/oracles/text_gen_rnn.json

Made with PyTorch 2.11.0. Parameters and tokens are formulas of their place, so that both sides have
the same ones. The layers are `torch.nn.LSTM`, whose gates are in the order i, f, c, o as ours, and
whose second bias is 0.
"""

import json

import torch
import torch.nn.functional as F

from gpt import Parameters, parameter

VOCABULARY, POSITIONS, CONTEXT, EMBEDDING, WIDTH, ROWS = 5, 6, 4, 3, 2, 3
ASKED = [1, 3, 5]


def token(row, position):
    return (row * 7 + position * 3 + position * position) % VOCABULARY


def recurrent(parameters, x):
    layer = torch.nn.LSTM(x.shape[-1], WIDTH, batch_first=True, dtype=torch.float64)
    own = {
        "weight_ih_l0": parameters.take(4 * WIDTH, x.shape[-1]),
        "bias_ih_l0": parameters.take(4 * WIDTH),
        "weight_hh_l0": parameters.take(4 * WIDTH, WIDTH),
        "bias_hh_l0": torch.zeros(4 * WIDTH, dtype=torch.float64),
    }
    return torch.func.functional_call(layer, own, (x,))[0]


def losses(parameters):
    texts = [[token(r, s) for s in range(POSITIONS + 1)] for r in range(ROWS)]
    table = parameters.take(VOCABULARY, EMBEDDING)
    # (rows, asked, context): what lies before the text is token 0.
    padded = [[0] * CONTEXT + text for text in texts]
    context = torch.tensor([[p[a + 1 : a + 1 + CONTEXT] for a in ASKED] for p in padded])
    e = table[context.flatten(0, 1)]
    h1 = recurrent(parameters, e)
    h2 = recurrent(parameters, h1)
    x = torch.cat([e, h1, h2], dim=-1)
    a = torch.exp(x @ parameters.take(EMBEDDING + 2 * WIDTH))
    pooled = ((a / a.sum(dim=1, keepdim=True))[..., None] * x).sum(dim=1)
    logits = F.linear(
        pooled, parameters.take(VOCABULARY, EMBEDDING + 2 * WIDTH), parameters.take(VOCABULARY)
    )
    targets = torch.tensor([[text[a + 1] for a in ASKED] for text in texts])
    each = F.cross_entropy(logits, targets.flatten(), reduction="none")
    return each.reshape(ROWS, len(ASKED)).mean(dim=1)


if __name__ == "__main__":
    count = Parameters(torch.zeros(4096, dtype=torch.float64))
    losses(count)
    values = [parameter(place) for place in range(count.place)]
    flat = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    each = losses(Parameters(flat))
    weights = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    (gradient,) = torch.autograd.grad((weights * each).sum(), flat)
    print(json.dumps({"losses": each.tolist(), "gradient": gradient.tolist()}, indent=0))
