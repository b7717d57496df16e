# SPDX-License-Identifier: Apache-2.0
"""Kinds of models: those that work say what they say by themselves, others are refused.

Each is a small one of random weights, large enough that its attention matters.
"""

import math
import re
from dataclasses import replace

import pytest

from tests.prunus.models import tiny

torch = tiny.need_torch()

import transformers as hf  # noqa: E402

from prunus.errors import InputError  # noqa: E402
from prunus.evaluate.hook import Hook  # noqa: E402
from prunus.evaluate.methods.registry import dense  # noqa: E402
from prunus.golden.engines import load_config  # noqa: E402
from prunus.models.attention import Dense, Uniform  # noqa: E402
from prunus.models.engine import Golden  # noqa: E402
from prunus.models.model import (  # noqa: E402
    Classifier,
    Decoder,
    ImageClassifier,
    next_token_loss,
    open_model,
)

BASE = {"vocab_size": 44, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2,
        "intermediate_size": 48, "max_position_embeddings": 64, "num_labels": 2,
        "pad_token_id": 0}
ENDS = {"bos_token_id": 2, "eos_token_id": 3}
MODERN = {**BASE, **ENDS, "cls_token_id": 2, "sep_token_id": 3, "classifier_pooling": "mean"}
GPT2 = {"vocab_size": 44, "n_embd": 32, "n_layer": 3, "n_head": 2, "n_positions": 64,
        "num_labels": 2, "pad_token_id": 0, **ENDS}
LLAMA = {**BASE, **ENDS, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
TEXTS = [" ".join(f"w{(7 * i + 3 * n * n) % 40}" for n in range(length))
         for i, length in enumerate((29, 21, 12, 5, 1))]


def modern(**fields):
    return hf.ModernBertForSequenceClassification(hf.ModernBertConfig(**{**MODERN, **fields}))


def of(name, config, **fields):
    """The model of a name and a configuration."""
    return lambda: getattr(hf, name)(getattr(hf, config)(**fields))


# -- those that work ---------------------------------------------------------------------------
CLASSIFIERS = {
    "bert": of("BertForSequenceClassification", "BertConfig", **BASE),
    "token types": of("BertForSequenceClassification", "BertConfig", **BASE, type_vocab_size=3),
    "distilbert": of("DistilBertForSequenceClassification", "DistilBertConfig", vocab_size=44,
                     dim=32, n_layers=3, n_heads=2, hidden_dim=48, max_position_embeddings=64,
                     pad_token_id=0),
    "positions from 2": of("RobertaForSequenceClassification", "RobertaConfig", **{
        **BASE, **ENDS, "max_position_embeddings": 34}),
    "electra": of("ElectraForSequenceClassification", "ElectraConfig", **BASE, embedding_size=16),
    "a module for all layers": of("AlbertForSequenceClassification", "AlbertConfig", **BASE,
                                  embedding_size=16),
    "one row of a mask": of("MarkupLMForSequenceClassification", "MarkupLMConfig", **{
        **BASE, "max_xpath_tag_unit_embeddings": 8, "max_xpath_subs_unit_embeddings": 8,
        "xpath_unit_hidden_size": 4, "max_depth": 4, "tag_pad_id": 7, "subs_pad_id": 7}),
    "modern": lambda: modern(local_attention=256),
    "causal": of("GPT2ForSequenceClassification", "GPT2Config", **GPT2),
    "causal, grouped": of("LlamaForSequenceClassification", "LlamaConfig", **LLAMA),
}
DECODERS = {
    "gpt2": of("GPT2LMHeadModel", "GPT2Config", **GPT2),
    "scale by layer": of("GPT2LMHeadModel", "GPT2Config", **GPT2,
                         scale_attn_by_inverse_layer_idx=True),
    "no scale": of("GPT2LMHeadModel", "GPT2Config", **GPT2, scale_attn_weights=False),
    "upcast": of("GPT2LMHeadModel", "GPT2Config", **GPT2, reorder_and_upcast_attn=True),
    "llama": of("LlamaForCausalLM", "LlamaConfig", **LLAMA),
    "one head of keys": of("LlamaForCausalLM", "LlamaConfig", **{
        **LLAMA, "num_key_value_heads": 1}),
    "q and k are normalised": of("Qwen3ForCausalLM", "Qwen3Config", **LLAMA),
    "its own scale": of("GraniteForCausalLM", "GraniteConfig", **LLAMA,
                        attention_multiplier=0.11),
    "a wide window": of("MistralForCausalLM", "MistralConfig", **LLAMA, sliding_window=64),
    "half rotary": of("GPTNeoXForCausalLM", "GPTNeoXConfig", **BASE, **ENDS),
    "positions from 2": of("OPTForCausalLM", "OPTConfig", vocab_size=44, hidden_size=32,
                           num_hidden_layers=3, num_attention_heads=2, ffn_dim=48,
                           max_position_embeddings=64, word_embed_proj_dim=32, pad_token_id=0,
                           **ENDS),
    "layers without attention": of("Lfm2ForCausalLM", "Lfm2Config", **{
        **LLAMA, "num_hidden_layers": 4, "layer_types": [
            "full_attention", "conv", "conv", "full_attention"]}),
}
IMAGES = {
    "vit": of("ViTForImageClassification", "ViTConfig", hidden_size=32, num_hidden_layers=3,
              num_attention_heads=2, intermediate_size=48, image_size=32, patch_size=8),
    "dinov2": of("Dinov2ForImageClassification", "Dinov2Config", hidden_size=32,
                 num_hidden_layers=3, num_attention_heads=2, image_size=28, patch_size=7),
    "registers": of("Dinov2WithRegistersForImageClassification", "Dinov2WithRegistersConfig",
                    hidden_size=32, num_hidden_layers=3, num_attention_heads=2, image_size=28,
                    patch_size=7),
}


def own(path, kind, **inputs):
    """What a model says by itself."""
    model = kind.from_pretrained(path, attn_implementation="eager", dtype=torch.float32).eval()
    with torch.no_grad():
        return model(**inputs).logits


def under(method, model):
    """A method for any number of texts."""
    hook = Hook(method, model.layers)
    hook.texts = range(100)
    return hook


def check_classes(model, tokens, want):
    """Against the model's own logits: plain attention, both engines, and a control that is far."""
    spread = (want.max() - want.min()).item()
    got = model.all_logits(tokens, Dense())
    assert (got - want).abs().max() < 1e-4 * spread + 1e-5
    golden = Golden([-math.inf] * model.layers, load_config("leopard_ae"))
    assert (model.all_logits(tokens, golden) - want).abs().max() < 0.05 * spread
    # A pair may lie at a threshold that prunes nothing.
    assert golden.differ == 0 and golden.keys == golden.kept
    hdp = under(dense(load_config("hdp_w12")), model)
    assert (model.all_logits(tokens, hdp) - want).abs().max() < 0.1 * spread
    assert (model.all_logits(tokens, Uniform()) - want).abs().max() > 0.1 * spread


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize("padding", ["right", "left"])
def test_classifiers(tmp_path, name, padding):
    model = Classifier(tiny.save(tmp_path, CLASSIFIERS[name](), padding=padding))
    assert type(open_model(tmp_path)) is Classifier
    assert model.layers == 3 and model.switch.shapes[0].causal == name.startswith("causal")
    tokens = model.tokenise(TEXTS)
    assert max(map(len, tokens)) == 31
    batch = model.inputs(tokens)
    want = own(tmp_path, hf.AutoModelForSequenceClassification, **batch)
    check_classes(model, tokens, want)


@pytest.mark.parametrize("name", DECODERS)
def test_decoders(tmp_path, name):
    path = tiny.save(tmp_path, DECODERS[name](), bos_token="[CLS]", eos_token="[SEP]")
    model = open_model(path)
    assert isinstance(model, Decoder) and model.length == 64
    assert model.layers == (2 if name == "layers without attention" else 3)
    tokens, = model.tokenise([TEXTS[0]])
    want = own(path, hf.AutoModelForCausalLM, input_ids=torch.tensor([tokens]))[0]
    for rule, off in ((Dense(), 1e-4), (under(dense(load_config("hdp_w12")), model), 0.1)):
        model.switch.rule = rule
        got = model.logits(tokens)
        assert (got - want).abs().max() < off * (want.max() - want.min())
    assert math.isfinite(next_token_loss(want, tokens))
    # What comes after a token says nothing of it.
    model.switch.rule = Dense()
    got, changed = model.logits(tokens), model.logits([*tokens[:-1], 9])
    assert (changed - got)[:-1].abs().max() < 1e-4 < 1e-2 < (changed - got)[-1].abs().max()


@pytest.mark.parametrize("name", DECODERS)
def test_decoders_with_a_cache(tmp_path, name):
    """In parts of any length, what the model says of the whole text, and the hook sees all keys."""
    path = tiny.save(tmp_path, DECODERS[name](), bos_token="[CLS]", eos_token="[SEP]")
    model = open_model(path)
    model.try_cache()
    tokens, seen = [2, *range(7, 19)], []

    def rule(heads):
        seen.append((heads.q.shape[2], heads.k.shape[2]))
        return Dense()(heads)

    model.switch.rule = rule
    parts, past = [], None
    for first, last in ((0, 5), (5, 6), (6, 7), (7, 10), (10, 13)):
        logits, past = model.read_on(tokens[first:last], past)
        parts.append(logits)
        assert past.tokens == last
        assert seen[-model.layers:] == [(last - first, last)] * model.layers
    want = own(path, hf.AutoModelForCausalLM, input_ids=torch.tensor([tokens]))[0]
    assert (torch.cat(parts) - want).abs().max() < 1e-4 * (want.max() - want.min())
    # Nothing is left of it.
    assert model.switch.cached == 0 and torch.equal(model.logits(tokens), model.logits(tokens))


def test_a_cache_that_is_not_the_model_s_own_is_found(tmp_path, monkeypatch):
    """One that has a key wrong."""
    path = tiny.save(tmp_path, DECODERS["llama"](), bos_token="[CLS]", eos_token="[SEP]")
    model = open_model(path)
    update = hf.DynamicCache.update

    def wrong(self, key, value, *args, **how):
        keys, values = update(self, key, value, *args, **how)
        if key.shape[2] == 1:
            keys = keys.clone()
            keys[:, :, 1] = keys[:, :, 0]
        return keys, values

    monkeypatch.setattr(hf.DynamicCache, "update", wrong)
    with pytest.raises(InputError, match="has with its cache other logits than of the whole text: "
                       "off by .*, where .* is allowed"):
        model.try_cache()


def test_a_model_without_a_cache_is_found(tmp_path, monkeypatch):
    path = tiny.save(tmp_path, DECODERS["llama"](), bos_token="[CLS]", eos_token="[SEP]")
    model = open_model(path)
    read_on = model.read_on

    def forgets(*args):
        logits, past = read_on(*args)
        return logits, replace(past, cache=None)

    monkeypatch.setattr(model, "read_on", forgets)
    with pytest.raises(InputError, match=r"^model '.*' must keep keys and values from token to "
                       "token, and a LlamaForCausalLM does not$"):
        model.try_cache()


@pytest.mark.parametrize("name", IMAGES)
def test_images(tmp_path, name):
    model = open_model(tiny.save(tmp_path, IMAGES[name](), tokenizer=False))
    assert isinstance(model, ImageClassifier) and model.layers == 3
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randn(3, *model.shape, generator=generator)
    items = model.tokenise([one.numpy().tobytes() for one in pixels])
    check_classes(model, items, own(tmp_path, hf.AutoModelForImageClassification,
                                    pixel_values=pixels))


# -- those that are refused -----------------------------------------------------------------------
def bart():
    return hf.BartForSequenceClassification(hf.BartConfig(
        vocab_size=44, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=48, decoder_ffn_dim=48,
        max_position_embeddings=64, num_labels=3, pad_token_id=0, **ENDS,
        decoder_start_token_id=3))


def nan():
    model = CLASSIFIERS["bert"]()
    with torch.no_grad():
        model.bert.encoder.layer[1].output.dense.bias[3] = math.nan
    return model


REFUSED = {
    "local layers": (lambda: modern(local_attention=8), "beyond a window of 5"),
    "a position bias": (of("T5EncoderModel", "T5Config", vocab_size=44, d_model=32, d_kv=16,
                           d_ff=48, num_layers=2, num_heads=2), "ends in ForSequence"),
    "encoder and decoder": (bart, "must be an encoder or a decoder, and a Bart"),
    "a soft cap": (of("Gemma2ForSequenceClassification", "Gemma2Config", **LLAMA),
                   "must not change its attention by softcap"),
    "learned sinks": (of("GptOssForCausalLM", "GptOssConfig", **{
        **LLAMA, "num_local_experts": 2, "num_experts_per_tok": 1, "sliding_window": 64}),
        "must not change its attention by s_aux"),
    "a narrow window": (of("MistralForSequenceClassification", "MistralConfig", **LLAMA,
                           sliding_window=8), "beyond a window of 8"),
    "a new head": (of("BertForMaskedLM", "BertConfig", **BASE), "ends in ForSequence"),
    "an encoder as a decoder": (of("BertLMHeadModel", "BertConfig", **BASE),
                                "must hide from a token what comes after it, and a BertLMHead"),
    "values of another d": (of("DeepseekV3ForCausalLM", "DeepseekV3Config", **{
        **BASE, **ENDS, "kv_lora_rank": 16, "q_lora_rank": 16, "qk_rope_head_dim": 8,
        "qk_nope_head_dim": 16, "v_head_dim": 16, "n_routed_experts": 4, "n_group": 1,
        "topk_group": 1, "num_experts_per_tok": 1, "first_k_dense_replace": 3}),
        "queries and values of the same d, not 24 and 16"),
    "heads of 6": (of("BertForSequenceClassification", "BertConfig", **{
        **BASE, "hidden_size": 24, "num_attention_heads": 4}),
        "a d that is a multiple of 8 up to 128, the most of any preset, not 6"),
    "heads of 136": (of("BertForSequenceClassification", "BertConfig", **{
        **BASE, "hidden_size": 272}), "not 136"),
    "attention of its own": (of("DebertaV2ForSequenceClassification", "DebertaV2Config", **BASE,
                                relative_attention=True, pos_att_type=["p2c", "c2p"]),
                             "must let its attention be exchanged, and a DebertaV2"),
    "no attention": (of("MambaForCausalLM", "MambaConfig", vocab_size=44, hidden_size=32,
                        num_hidden_layers=2, pad_token_id=0), "must let its attention"),
    "NaN": (nan, "must have finite weights, and bert.encoder.layer.1.output.dense.bias has"),
    "one class": (of("BertForSequenceClassification", "BertConfig", **{**BASE, "num_labels": 1}),
                  "must say one of two or more classes"),
    "several labels": (of("BertForSequenceClassification", "BertConfig", **BASE,
                          problem_type="multi_label_classification"),
                       "not multi_label_classification"),
    "no padding in a model": (of("GPT2ForSequenceClassification", "GPT2Config", **{
        **GPT2, "pad_token_id": None}), "cannot be run: ValueError: Cannot handle batch sizes"),
    "another padding": (of("GPT2ForSequenceClassification", "GPT2Config", **{
        **GPT2, "pad_token_id": 5}), "of an input in a batch other logits than alone"),
    "windows of images": (of("SwinForImageClassification", "SwinConfig", image_size=32,
                             patch_size=4, embed_dim=16, depths=[1, 1], num_heads=[2, 2],
                             window_size=4), "must not add a bias to its logits"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(tmp_path, name, capfd):
    make, message = REFUSED[name]
    path = tiny.save(tmp_path, make(), bos_token="[CLS]", eos_token="[SEP]")
    capfd.readouterr()
    with pytest.raises(InputError, match=re.escape(message)) as err:
        open_model(path)
    assert "\n" not in str(err.value) and repr(str(path)) in str(err.value)
    assert capfd.readouterr() == ("", "")
