# SPDX-License-Identifier: Apache-2.0
"""Small models of random weights and sentences for them."""

import numpy as np
import pytest

REASON = "needs torch and transformers: pip install -e '.[models]'"
WORDS = [f"w{n}" for n in range(40)]


def need_torch():
    """Skip the module where the packages are missing; returns torch."""
    pytest.importorskip("transformers", reason=REASON)
    return pytest.importorskip("torch", reason=REASON)


def make_model(path, seed=0, **fields):
    """A BERT of two layers and two heads of 8 dimensions, saved with its tokenizer."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.manual_seed(seed)
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    tokenizer = BertTokenizer(vocab={name: n for n, name in enumerate(names)})
    config = BertConfig(**{"vocab_size": len(names), "hidden_size": 16, "num_hidden_layers": 2,
                           "num_attention_heads": 2, "intermediate_size": 32, "num_labels": 2,
                           "max_position_embeddings": 40, "initializer_range": 0.6, **fields})
    BertForSequenceClassification(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def save(path, model, *, padding="right", scale=0.4, tokenizer=True, **tokens):
    """A model of any kind with large random weights, and a tokenizer of words for it."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast
    from transformers.utils import logging

    logging.disable_progress_bar()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in model.parameters():
            if value.dim() > 1:
                value.normal_(0, scale, generator=generator)
    model.save_pretrained(path)
    if tokenizer:
        names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS]
        words = Tokenizer(models.WordLevel({name: n for n, name in enumerate(names)}, "[UNK]"))
        words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        words.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
        PreTrainedTokenizerFast(tokenizer_object=words, padding_side=padding, **{
            "pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]",
            "sep_token": "[SEP]", **tokens}).save_pretrained(path)
    return path


def make_decoder(path, seed=0, **fields):
    """A Llama of two layers, four heads of 8 dimensions on two of keys, with its tokenizer."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.manual_seed(seed)
    names = ["<unk>", "<s>", "</s>", *WORDS]
    words = Tokenizer(models.WordLevel({name: n for n, name in enumerate(names)}, "<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    config = LlamaConfig(**{"vocab_size": len(names), "hidden_size": 32, "num_hidden_layers": 2,
                            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
                            "intermediate_size": 32, "max_position_embeddings": 64,
                            "initializer_range": 0.2, **fields})
    LlamaForCausalLM(config).save_pretrained(path)
    PreTrainedTokenizerFast(tokenizer_object=words, bos_token="<s>", eos_token="</s>",
                            unk_token="<unk>").save_pretrained(path)
    return path


def write_sentences(path, count, seed=0):
    """Sentences of 1 to 12 words; the first word says which class."""
    random = np.random.default_rng(seed)
    lines = []
    for _ in range(count):
        words = random.integers(0, len(WORDS), random.integers(1, 13))
        lines.append(" ".join(WORDS[n] for n in words) + f"\t{int(words[0] % 2)}\n")
    path.write_text("".join(lines))
    return path
