"""Writes torch-run/: two runs of a small network by PyTorch, in double precision, with everything
that somebody else needs to replay them.

    python harness/cli/tests/oracles/torch_run.py

Made with PyTorch 2.11.0 22 examples with the ids 100 to 121 in batches of 8, so that the last batch
of an epoch is short; its sum of losses is divided by 8 too. Features are multiples of 1/64: they have
the same value in single precision.
"""

import pathlib

import numpy as np
import torch
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent / "torch-run"
EXAMPLES, QUERIES, FEATURES, CLASSES, BATCH, EPOCHS = 22, 5, 3, 3, 8, 5


def data(count, numbers):
    x = numbers.integers(-64, 65, (count, FEATURES)) / 64
    y = numbers.integers(0, CLASSES, count)
    return x, y


def network():
    torch.manual_seed(7)
    layers = torch.nn.Linear(FEATURES, 5), torch.nn.Tanh(), torch.nn.Linear(5, CLASSES)
    return torch.nn.Sequential(*layers).double()


def sgd(parameters):
    options = dict(lr=0.2, momentum=0.9, nesterov=True, weight_decay=0.01)
    return torch.optim.SGD(parameters, **options)


def adamw(parameters):
    return torch.optim.AdamW(parameters, lr=0.03, betas=(0.9, 0.99), eps=1e-6, weight_decay=0.05)


def train(make, clip, order, x, y, weights):
    """Parameters after the run, with the loss of example i counted weights[i] times."""
    model = network()
    optimiser = make(model.parameters())
    for batch in order:
        rows = batch[batch >= 0] - 100
        losses = torch.nn.functional.cross_entropy(model(x[rows]), y[rows], reduction="none")
        optimiser.zero_grad()
        ((weights[rows] * losses).sum() / BATCH).backward()
        gradients = [parameter.grad for parameter in model.parameters()]
        norm = torch.sqrt(sum((gradient**2).sum() for gradient in gradients))
        if clip is not None and norm > clip:
            # PyTorch's own clipping adds 1e-6 to the norm.
            for gradient in gradients:
                gradient *= clip / norm
        optimiser.step()
    return model


def main():
    HERE.mkdir(exist_ok=True)
    numbers = np.random.default_rng(3)
    x, y = data(EXAMPLES, numbers)
    np.savez(HERE / "train.npz", x=x, y=y, ids=np.arange(100, 100 + EXAMPLES))
    queries, answers = data(QUERIES, numbers)
    np.savez(HERE / "test.npz", x=queries, y=answers)
    x, y, queries, answers = map(torch.tensor, (x, y, queries, answers))
    save_file(network().state_dict(), HERE / "initial.safetensors")

    def utilities(model):
        with torch.no_grad():
            losses = torch.nn.functional.cross_entropy(model(queries), answers, reduction="none")
        return -losses

    for name, make, clip in [("sgd", sgd, None), ("adamw", adamw, 0.5)]:
        batches = []
        for _ in range(EPOCHS):
            epoch = np.full(-(-EXAMPLES // BATCH) * BATCH, -1)
            epoch[:EXAMPLES] = 100 + numbers.permutation(EXAMPLES)
            batches.append(epoch.reshape(-1, BATCH))
        order = np.concatenate(batches)
        np.save(HERE / f"{name}-order.npy", order)
        everything = torch.ones(EXAMPLES, dtype=torch.double)
        model = train(make, clip, order, x, y, everything)
        save_file(model.state_dict(), HERE / f"{name}-final.safetensors")
        effects = []
        for left_out in range(EXAMPLES):
            weights = everything.clone()
            weights[left_out] = 0.0
            without = train(make, clip, order, x, y, weights)
            effects.append((utilities(model) - utilities(without)).numpy())
        np.save(HERE / f"{name}-effects.npy", np.stack(effects))


main()
