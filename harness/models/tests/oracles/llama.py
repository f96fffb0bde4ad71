"""Writes llama.json: losses and gradients of two small Llamas by Hugging Face's transformers, in
double precision.

    python harness/models/tests/oracles/llama.py > harness/models/tests/oracles/llama.json

Made with PyTorch 2.11.0 and transformers 5.23.0. Parameters and tokens are formulas of their place,
so that both sides have the same ones. transformers rounds rotary angles and norms to single
precision whatever the model's: the tables of angles are computed here, and norms are PyTorch's own.
"""

import json
import math

import torch
import torch.nn.functional as F
from transformers import LlamaConfig, LlamaForCausalLM

VOCABULARY, POSITIONS, ROWS = 5, 4, 3
WIDTH, HEADS, KEYS, HEAD_WIDTH, HIDDEN, LAYERS = 8, 4, 2, 4, 6, 2
BASE, EPSILON = 100.0, 1e-3


def parameter(place):
    return 0.6 * math.sin(1.7 * place + 0.3)


def token(row, position):
    return (row * 7 + position * 3 + position * position) % VOCABULARY


class Rotary(torch.nn.Module):
    """Cosines and sines of s base^(-2i/h), twice side by side as LlamaRotaryEmbedding gives them."""

    def forward(self, x, position_ids):
        half = HEAD_WIDTH // 2
        rates = BASE ** (-torch.arange(half, dtype=torch.float64) / half)
        angles = position_ids[..., None].double() * rates
        angles = torch.cat([angles, angles], dim=-1)
        return angles.cos(), angles.sin()


def norm():
    return torch.nn.RMSNorm(WIDTH, eps=EPSILON)


def build(tied):
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KEYS,
        head_dim=HEAD_WIDTH,
        rope_theta=BASE,
        rms_norm_eps=EPSILON,
        tie_word_embeddings=tied,
        attn_implementation="sdpa",
    )
    model = LlamaForCausalLM(config)
    model.model.rotary_emb = Rotary()
    model.model.norm = norm()
    for layer in model.model.layers:
        layer.input_layernorm, layer.post_attention_layernorm = norm(), norm()
    return model.double().eval()


def ordered(model, tied):
    """Parameters in the order of the flat vector."""
    tensors = [model.model.embed_tokens.weight]
    for layer in model.model.layers:
        attention, unit = layer.self_attn, layer.mlp
        tensors += [layer.input_layernorm, attention.q_proj, attention.k_proj, attention.v_proj]
        tensors += [attention.o_proj, layer.post_attention_layernorm]
        tensors += [unit.gate_proj, unit.up_proj, unit.down_proj]
    tensors += [model.model.norm] + ([] if tied else [model.lm_head])
    return [tensors[0]] + [module.weight for module in tensors[1:]]


def fill(tensors):
    place = 0
    with torch.no_grad():
        for tensor in tensors:
            values = [parameter(place + i) for i in range(tensor.numel())]
            tensor.copy_(torch.tensor(values, dtype=torch.float64).reshape(tensor.shape))
            place += tensor.numel()


def case(tied, mean):
    model = build(tied)
    tensors = ordered(model, tied)
    fill(tensors)
    tokens = torch.tensor([[token(r, s) for s in range(POSITIONS)] for r in range(ROWS)])
    # Row r has targets at its first 2 + r positions.
    targets = torch.tensor(
        [[token(r, s + 1) if s < 2 + r else -1 for s in range(POSITIONS)] for r in range(ROWS)]
    )
    # Not through `logits.float()` or a loss of the library's own.
    logits = model(input_ids=tokens).logits
    assert logits.dtype == torch.float64
    each = F.cross_entropy(logits.transpose(1, 2), targets, ignore_index=-1, reduction="none")
    losses = each.sum(dim=1)
    losses = losses / (targets >= 0).sum(dim=1) if mean else losses
    weights = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    gradients = torch.autograd.grad((weights * losses).sum(), tensors)
    gradient = torch.cat([gradient.flatten() for gradient in gradients])
    return {"losses": losses.tolist(), "gradient": gradient.tolist()}


if __name__ == "__main__":
    result = {"tied-mean": case(tied=True, mean=True), "untied-sum": case(tied=False, mean=False)}
    print(json.dumps(result, indent=0))
