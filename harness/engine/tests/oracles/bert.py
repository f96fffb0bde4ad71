"""Writes bert.json: vectors of texts by a small encoder of Hugging Face's transformers, in double
precision.

    python harness/engine/tests/oracles/bert.py > harness/engine/tests/oracles/bert.json

Made with PyTorch 2.11.0, transformers 5.24.0 and tokenizers 0.23.3. Parameters are formulas of their
place, in the order of the names that are written beside them, and rounded to single precision, so
that both sides have the same ones. Texts are padded to one length here, and the mean is taken where
the attention mask says so, as sentence-transformers does.
"""

import json
import math

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

TEXTS = [
    "The sea is calm",
    "the boat",
    "A seaside boat, calm; the SEA is unknown and the sentence has no end in the sea",
    "",
]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "sea", "##side", "##s", "boat", "is", "calm"]
WORDS += ["a", ",", ";", "in", "and"]


def tokenizer():
    marks = {name: {"id": name, "ids": [WORDS.index(name)], "tokens": [name]} for name in WORDS[2:4]}
    mark = lambda name: {"SpecialToken": {"id": name, "type_id": 0}}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [mark("[CLS]"), {"Sequence": {"id": "A", "type_id": 0}}, mark("[SEP]")],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}],
            "special_tokens": marks,
        },
        "decoder": None,
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {word: number for number, word in enumerate(WORDS)},
        },
    }


def config():
    return {
        "model_type": "bert",
        "hidden_size": 12,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "intermediate_size": 10,
        "vocab_size": len(WORDS),
        "max_position_embeddings": 14,
        "type_vocab_size": 2,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-3,
    }


def parameter(name, place):
    """Not near a matrix of low rank, as sines of the place itself would be."""
    wave = math.sin(0.37 * (place * place) + 0.3)
    if name.endswith("LayerNorm.weight"):
        return 1.0 + 0.3 * wave
    return (0.2 if name.endswith("bias") else 0.6) * wave


def fill(model):
    """Names and shapes of all parameters, filled with formulas of their place."""
    place, names = 0, []
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            values = [parameter(name, place + i) for i in range(tensor.numel())]
            values = torch.tensor(values, dtype=torch.float64).float()
            tensor.copy_(values.reshape(tensor.shape))
            names.append({"name": name, "shape": list(tensor.shape)})
            place += tensor.numel()
    return names


def main():
    kind = BertConfig(**config(), attn_implementation="eager")
    model = BertModel(kind, add_pooling_layer=False).double().eval()
    names = fill(model)
    cut = Tokenizer.from_str(json.dumps(tokenizer()))
    cut.enable_truncation(kind.max_position_embeddings)
    cut.enable_padding(pad_id=0, pad_token="[PAD]")
    batch = cut.encode_batch(TEXTS)
    tokens = torch.tensor([text.ids for text in batch])
    mask = torch.tensor([text.attention_mask for text in batch])
    hidden = model(input_ids=tokens, attention_mask=mask).last_hidden_state
    assert hidden.dtype == torch.float64
    means = (hidden * mask[..., None]).sum(dim=1) / mask.sum(dim=1)[..., None]
    result = {
        "config": config(),
        "tokenizer": tokenizer(),
        "parameters": names,
        "texts": TEXTS,
        "vectors": F.normalize(means, dim=1).tolist(),
    }
    print(json.dumps(result, indent=0))


if __name__ == "__main__":
    main()
