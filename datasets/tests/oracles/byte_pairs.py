"""Writes byte_pairs.json: a tokenizer learnt by Hugging Face's tokenizers, and what it makes of some
texts.

    python datasets/tests/oracles/byte_pairs.py > datasets/tests/oracles/byte_pairs.json

Made with tokenizers 0.23.3. The texts are those of the test.
"""

import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

TEXTS = json.loads((Path(__file__).parent / "byte_pairs_texts.json").read_text())

tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
trainer = trainers.BpeTrainer(
    vocab_size=300,
    min_frequency=2,
    special_tokens=["<|edge|>"],
    initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    show_progress=False,
)
tokenizer.train_from_iterator(TEXTS["learn"], trainer)
learnt = json.loads(tokenizer.to_str())
print(
    json.dumps(
        {
            "vocabulary": learnt["model"]["vocab"],
            "merges": learnt["model"]["merges"],
            "tokens": [tokenizer.encode(text).ids for text in TEXTS["encode"]],
        },
        indent=0,
    )
)
