# SPDX-License-Identifier: Apache-2.0
"""What a model is loaded with, and what is refused of its files, its tokenizer and its texts."""

import json
import os
import re
import textwrap
from pathlib import Path

import pytest

from tests.prunus.models import tiny
from tests.prunus.test_cli import ROOT

torch = tiny.need_torch()

from prunus.errors import InputError  # noqa: E402
from prunus.models import model as module  # noqa: E402
from prunus.models.attention import Dense  # noqa: E402
from prunus.models.model import Classifier, Decoder, open_model  # noqa: E402
from tests.prunus.models.test_kinds import BASE, DECODERS, LLAMA, TEXTS, of  # noqa: E402

SHARED = Path(os.environ.get("PRUNUS_MODELS", ROOT.parent / "shared" / "models"))
BERT = of("BertForSequenceClassification", "BertConfig", **BASE)


def edit(path, **fields):
    """Change fields of config.json; None takes one out."""
    file = path / "config.json"
    said = {**json.loads(file.read_text()), **fields}
    file.write_text(json.dumps({name: value for name, value in said.items() if value is not None}))
    return path


# -- files --------------------------------------------------------------------------------------
@pytest.mark.parametrize(("fields", "message"), [
    ({"model_type": "nobody"}, "cannot be loaded: "),
    ({"architectures": ["BertForMaskedLM"]}, "must name an architecture that ends in ForSequence"),
    ({"architectures": None}, "must name an architecture that ends in .*, not None"),
    ({"architectures": ["BertForCausalLM"]}, "must have all weights of a BertLMHeadModel, and has"),
    ({"num_hidden_layers": 4}, "must have all weights of .* nor 15 others"),
    ({"intermediate_size": 40}, r"shapes of its configuration, \(40,\) of .*bias, not \(48,\)"),
    ({"num_attention_heads": 5}, "cannot be loaded: "),
    ({"auto_map": {"AutoConfig": "x.Y"}, "model_type": None}, "cannot be loaded: "),
    ({"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}},
     "cannot be loaded: "),
])
def test_configurations_that_are_refused(tmp_path, capfd, fields, message):
    path = edit(tiny.save(tmp_path, BERT()), **fields)
    capfd.readouterr()
    with pytest.raises(InputError, match=message) as err:
        open_model(path)
    assert "\n" not in str(err.value) and capfd.readouterr() == ("", "")


def test_a_checkpoint_without_the_head_is_refused(tmp_path):
    """Its class says so itself, whatever config.json says."""
    tiny.save(tmp_path, of("BertForMaskedLM", "BertConfig", **BASE)())
    with pytest.raises(InputError, match="all weights of a BertForSequence.* nor 3 others"):
        Classifier(tmp_path)


def test_damaged_weights_are_refused(tmp_path):
    path = tiny.save(tmp_path, BERT())
    file = path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot be loaded: "):
        Classifier(path)
    file.unlink()
    with pytest.raises(InputError, match="cannot be loaded: "):
        Classifier(path)


# -- tokenizers ---------------------------------------------------------------------------------
def test_models_without_a_tokenizer_are_refused(tmp_path):
    path = tiny.save(tmp_path / "bert", BERT(), tokenizer=False)
    with pytest.raises(InputError, match="must have its tokenizer"):
        Classifier(path)
    path = tiny.save(tmp_path / "llama", DECODERS["llama"](), tokenizer=False)
    with pytest.raises(InputError, match="must have its tokenizer"):
        Decoder(path)


def test_a_classifier_needs_padding_and_a_decoder_does_not(tmp_path):
    path = tiny.save(tmp_path / "bert", BERT(), pad_token=None)
    with pytest.raises(InputError, match="must have a token of padding, and its tokenizer has no"):
        Classifier(path)
    path = tiny.save(tmp_path / "llama", DECODERS["llama"](), pad_token=None)
    assert Decoder(path).tokenise(["w1 w2"]) == [[5, 6]]


def test_texts_of_unknown_words_are_refused(tmp_path):
    model = Classifier(tiny.save(tmp_path, BERT()))
    assert model.tokenise(["w1 film", "a film"]) == [[2, 5, 1, 3], [2, 1, 1, 3]]
    with pytest.raises(InputError, match="every word of 2 texts is unknown to the one it has"):
        model.tokenise(["a film", "another"])


def test_tokens_that_the_model_lacks_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"must know the tokens of its tokenizer, 0\.\.29"):
        Classifier(tiny.save(tmp_path, of("BertForSequenceClassification", "BertConfig", **{
            **BASE, "vocab_size": 30})()))


def test_texts_without_tokens_are_refused(tmp_path):
    model = Decoder(tiny.save(tmp_path, DECODERS["llama"]()))
    with pytest.raises(InputError, match="text must have tokens, and '' has none"):
        model.tokenise(["w1", ""])


def test_token_types_of_the_tokenizer_count(tmp_path):
    """The model gets none from us, which is wrong where its tokenizer does not say 0."""
    path = tiny.save(tmp_path, BERT())
    file = path / "tokenizer.json"
    said = json.loads(file.read_text())
    for part in said["post_processor"]["single"]:
        next(iter(part.values()))["type_id"] = 1
    file.write_text(json.dumps(said))
    edit_tokenizer = json.loads((path / "tokenizer_config.json").read_text())
    (path / "tokenizer_config.json").write_text(json.dumps(
        {**edit_tokenizer, "model_input_names": ["input_ids", "token_type_ids", "attention_mask"]}))
    with pytest.raises(InputError, match="of inputs that its own tools make other logits"):
        Classifier(path)


# -- lengths ------------------------------------------------------------------------------------
@pytest.mark.parametrize(("fields", "tokens", "ours", "length"), [
    ({}, {}, 128, 64), ({}, {}, 20, 20), ({}, {"model_max_length": 12}, 128, 12),
    ({"max_position_embeddings": 16}, {}, 128, 16)])
def test_the_least_of_three_limits(tmp_path, fields, tokens, ours, length):
    model = Classifier(tiny.save(tmp_path, of("BertForSequenceClassification", "BertConfig", **{
        **BASE, **fields})(), **tokens), ours)
    assert model.length == length
    tokens = model.tokenise([" ".join(TEXTS)])
    assert len(tokens[0]) == length and model.all_logits(tokens, Dense()).isfinite().all()


def test_decoders_read_from_the_beginning(tmp_path, capfd):
    """Whatever side their tokenizer cuts, without a word of it."""
    path = tiny.save(tmp_path, DECODERS["llama"](), bos_token="[CLS]", truncation_side="left",
                     model_max_length=9)
    model = Decoder(path)
    capfd.readouterr()
    assert model.tokenise(["w1 w2 w3", " ".join(f"w{n}" for n in range(20))]) == [
        [2, 5, 6, 7], [2, *range(4, 12)]]
    assert capfd.readouterr() == ("", "")


def test_positions_that_begin_after_padding(tmp_path):
    path = tiny.save(tmp_path, of("RobertaForSequenceClassification", "RobertaConfig", **{
        **BASE, "max_position_embeddings": 34})())
    assert Classifier(path).length == 33


def test_a_model_that_cannot_be_run_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_positions", lambda model: None)
    path = tiny.save(tmp_path, BERT())
    with pytest.raises(InputError, match="cannot be run: "):
        Classifier(path)


# -- passes after the trial -----------------------------------------------------------------------
def test_packed_sequences_are_refused(tmp_path):
    model = Decoder(tiny.save(tmp_path, DECODERS["llama"]()))
    ids = torch.tensor([[5, 6, 7, 8, 9, 10]])
    model.model(input_ids=ids, position_ids=torch.arange(6)[None], use_cache=False)
    with pytest.raises(InputError, match="model must hide padding on the right"):
        model.model(input_ids=ids, position_ids=torch.tensor([[0, 1, 2, 0, 1, 2]]),
                    use_cache=False)


def test_layers_that_are_skipped_are_refused(tmp_path):
    """By chance in training: layers counted would be other layers."""
    path = tiny.save(tmp_path, of("OPTForCausalLM", "OPTConfig", vocab_size=44, hidden_size=32,
                                  num_hidden_layers=3, num_attention_heads=2, ffn_dim=48,
                                  max_position_embeddings=64, word_embed_proj_dim=32,
                                  layerdrop=0.99, dropout=0.0)())
    model = Decoder(path)
    model.model.train()
    with pytest.raises(InputError, match="come to its 3 layers of attention in every pass, and"):
        for _ in range(20):
            model.forward([[5, 6, 7]])


def test_a_mask_for_each_pair_is_checked(tmp_path):
    """A mask of four dimensions goes past whatever makes masks."""
    model = Classifier(tiny.save(tmp_path, BERT()))
    ids = torch.tensor([[5, 6, 7, 8]])
    seen = torch.ones(1, 1, 4, 4, dtype=torch.bool)
    want = model.logits(ids.tolist())
    assert torch.equal(model.model(input_ids=ids, attention_mask=seen).logits, want)
    seen[..., 1, 3] = False
    with pytest.raises(InputError, match="model must hide padding on the right"):
        model.model(input_ids=ids, attention_mask=seen)


def test_cross_attention_is_refused(tmp_path):
    fields = {**BASE, "is_decoder": True, "add_cross_attention": True}
    path = tiny.save(tmp_path, of("BertLMHeadModel", "BertConfig", **fields)())
    model = Decoder(path)               # which is one as long as nobody gives it another text
    other = torch.zeros(1, 5, 32)
    with pytest.raises(InputError, match="must attend to its own tokens, and there are 5 keys for"):
        model.model(input_ids=torch.tensor([[5, 6]]), encoder_hidden_states=other,
                    use_cache=False)


def test_the_mask_is_asked_and_not_the_module(tmp_path):
    """Many modules say nothing of their causality, or what is not so."""
    model = Decoder(tiny.save(tmp_path, DECODERS["llama"]()))
    want = model.logits([5, 6, 7, 8])
    for layer in model.model.modules():
        if hasattr(layer, "is_causal"):
            layer.is_causal = False
    assert torch.equal(model.logits([5, 6, 7, 8]), want)
    assert all(shape.causal for shape in model.switch.shapes)


def test_a_model_may_be_asked_for_its_own_attention(tmp_path):
    model = Decoder(tiny.save(tmp_path, DECODERS["llama"]()))
    before = model.logits([5, 6, 7])
    model.model.set_attn_implementation("eager")
    torch.testing.assert_close(model.logits([5, 6, 7]), before)
    model.model.set_attn_implementation(model.switch.name)
    assert torch.equal(model.logits([5, 6, 7]), before)


def test_dropout_belongs_to_training(tmp_path):
    model = Decoder(tiny.save(tmp_path, of("LlamaForCausalLM", "LlamaConfig", **LLAMA,
                                           attention_dropout=0.5)()))
    seen = []
    model.switch.rule = lambda heads: seen.append(heads.dropout) or Dense()(heads)
    model.logits([5, 6])
    model.model.train()
    model.logits([5, 6])
    assert seen == [0.0] * 3 + [0.5] * 3


# -- the trial itself -----------------------------------------------------------------------------
def test_a_hook_that_says_otherwise_is_found(tmp_path, monkeypatch):
    path = tiny.save(tmp_path, BERT())
    monkeypatch.setattr(module, "Dense", lambda: lambda heads: 1.01 * Dense()(heads))
    with pytest.raises(InputError, match="through the hook other logits than by itself: off by"):
        Classifier(path)


def test_padding_that_is_seen_is_found(tmp_path, monkeypatch):
    """In a batch only."""
    path = tiny.save(tmp_path, BERT())
    inputs = Classifier.inputs

    def everything(self, items):
        return {"input_ids": (made := inputs(self, items))["input_ids"],
                "attention_mask": torch.ones_like(made["attention_mask"])}

    monkeypatch.setattr(Classifier, "inputs", everything)
    with pytest.raises(InputError, match="other logits"):
        Classifier(path)


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no models in {SHARED} (PRUNUS_MODELS says where)")
@pytest.mark.parametrize(("name", "kind", "layers", "length", "shape"), [
    ("minilm-sst2", Classifier, 6, 128, (12, 12, 32, False)),
    ("minilm-cola", Classifier, 6, 128, (12, 12, 32, False)),
    ("bert-tiny-sst2", Classifier, 2, 128, (2, 2, 64, False)),
    ("stories260k", Decoder, 5, 512, (8, 4, 8, True))])
def test_real_models(name, kind, layers, length, shape):
    model = open_model(SHARED / name)
    assert isinstance(model, kind) and (model.layers, model.length) == (layers, length)
    assert {(s.heads, s.kv_heads, s.d, s.causal) for s in model.switch.shapes} == {shape}


def test_the_example_of_the_page(tmp_path, monkeypatch, capfd):
    """docs/models.md, with another decoder."""
    page = (ROOT / "docs" / "models.md").read_text("utf-8")
    block = page[page.index("    # A decoder with"):].replace("Once upon a time", "w1 w2 w3 w4 w5")
    tiny.save(tmp_path / "models" / "stories260k", DECODERS["llama"]())
    monkeypatch.chdir(tmp_path)
    capfd.readouterr()
    exec(compile(textwrap.dedent(block), "models.md", "exec"), {})
    assert re.fullmatch(r"\d+ of 72 blocks\n", capfd.readouterr().out)


def test_who_is_asked_for_a_kind_says_which_there_are(tmp_path):
    with pytest.raises(InputError, match=re.escape("has no config.json")):
        open_model(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(InputError, match="must name an architecture that ends in"):
        open_model(tmp_path)
