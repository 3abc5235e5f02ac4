"""What is exported loads in transformers and gives the same numbers; what transformers writes loads here."""

from __future__ import annotations

import json
import pickle
import re
import warnings
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from foretell.encoders.language import LanguageModel, Shape
from foretell.encoders.public import check_output_layer, load_public, public_tensors, save_public
from foretell.errors import InputError

transformers = pytest.importorskip("transformers")

BASE = {"vocabulary": 40, "layers": 2, "width": 16, "heads": 2, "inner": 48, "positions": 24}
SHAPES = {
    "bert": Shape(**BASE, segments=2),
    "roberta": Shape(**BASE, segments=1, first_position=2, epsilon=1e-5),
    "gpt2": Shape(**BASE, causal=True, norm="pre", embedding_norm=False, activation="gelu_tanh", epsilon=1e-5),
    "openai-gpt": Shape(
        **{**BASE, "inner": 64}, causal=True, embedding_norm=False, activation="gelu_tanh", epsilon=1e-5
    ),
}
SPECIALS = {"bert": {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}, "roberta": {"pad": 1, "cls": 0, "sep": 2}}


def tokenizer() -> str:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{i}" for i in range(35))]
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.add_special_tokens(words[:5])
    return made.to_str()


def model_of(layout: str) -> LanguageModel:
    torch.manual_seed(3)
    encoder = layout in ("bert", "roberta")
    specials = SPECIALS.get(layout, {"end": 3})
    model = LanguageModel(SHAPES[layout], layout, masked=encoder, pair=layout == "bert", specials=specials)
    for parameter in model.parameters():  # biases and gains too, or a swapped one would not be seen
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def peer_of(layout: str, folder: Path):
    kinds = {"bert": "BertForPreTraining", "roberta": "RobertaForMaskedLM"}
    kind = getattr(transformers, kinds.get(layout, "AutoModelForCausalLM"))
    model, info = kind.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"], info
    assert not info["unexpected_keys"], info
    return model.eval()


def inputs(layout: str) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 40, (3, 11), generator=generator)
    segment = (torch.arange(11) > 5).long().expand(3, -1) if layout == "bert" else torch.zeros(3, 11, dtype=torch.long)
    return ids, segment


@pytest.mark.parametrize("layout", SHAPES)
def test_an_export_gives_the_same_numbers_in_transformers(layout: str, tmp_path: Path) -> None:
    model = model_of(layout)
    save_public(model, tmp_path, tokenizer())
    peer = peer_of(layout, tmp_path)
    ids, segment = inputs(layout)
    with torch.no_grad():
        states = model.net(ids, segment=segment)
        more = {"token_type_ids": segment} if layout == "bert" else {}
        theirs = peer(ids, output_hidden_states=True, **more)
    assert (states - theirs.hidden_states[-1]).abs().max() < 1e-4
    logits = theirs.prediction_logits if layout == "bert" else theirs.logits
    assert (model.logits(states) - logits).abs().max() < 1e-4
    if layout == "bert":
        assert (model.pair(states[:, 0]) - theirs.seq_relationship_logits).abs().max() < 1e-4


@pytest.mark.parametrize("layout", SHAPES)
def test_what_transformers_writes_is_read_back(layout: str, tmp_path: Path) -> None:
    save_public(model_of(layout), tmp_path / "ours", tokenizer())
    peer = peer_of(layout, tmp_path / "ours")
    peer.save_pretrained(tmp_path / "theirs")
    (tmp_path / "theirs" / "tokenizer.json").write_text(tokenizer())
    before = torch.get_rng_state()
    model, text = load_public(tmp_path / "theirs")
    assert torch.equal(torch.get_rng_state(), before)  # the caller's random numbers go on where they were
    assert model.layout == layout
    assert json.loads(text)["model"]["vocab"]["[MASK]"] == 4
    ids, segment = inputs(layout)
    for (name, ours), (_, first) in zip(model.state_dict().items(), model_of(layout).state_dict().items(), strict=True):
        if not (layout == "roberta" and name == "net.tokens.weight"):  # its padding row is set to zero there
            assert torch.equal(ours, first), name
    with torch.no_grad():
        states = model.net(ids, segment=segment)
        more = {"token_type_ids": segment} if layout == "bert" else {}
        assert (states - peer(ids, output_hidden_states=True, **more).hidden_states[-1]).abs().max() < 1e-4


def roberta_of(folder: Path, **settings: object):
    """A small RoBERTa that transformers made, written to ``folder``."""
    torch.manual_seed(5)
    config = transformers.RobertaConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=30, type_vocab_size=1, **settings,
    )  # fmt: skip
    model = transformers.RobertaForMaskedLM(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokenizer())
    return model


@pytest.mark.parametrize("pad", [0, 1, 4])
def test_the_positions_of_roberta_count_from_its_padding_token(pad: int, tmp_path: Path) -> None:
    theirs = roberta_of(tmp_path / "theirs", pad_token_id=pad)
    model, text = load_public(tmp_path / "theirs")
    assert model.shape.positions == 30 - pad - 1
    save_public(model, tmp_path / "ours", text)
    ids, _ = inputs("roberta")
    with torch.no_grad():
        wanted = theirs(ids).logits
        assert (model.logits(model.net(ids)) - wanted).abs().max() < 1e-4
        assert (peer_of("roberta", tmp_path / "ours")(ids).logits - wanted).abs().max() < 1e-4


@pytest.mark.parametrize("activation", ["relu", "gelu_new"])
def test_the_head_of_roberta_has_the_exact_gelu(activation: str, tmp_path: Path) -> None:
    theirs = roberta_of(tmp_path, hidden_act=activation)
    model, _ = load_public(tmp_path)
    ids, _ = inputs("roberta")
    with torch.no_grad():
        assert (model.logits(model.net(ids)) - theirs(ids).logits).abs().max() < 1e-4


@pytest.mark.parametrize("pad", [None, -1, 40, "1"])
def test_a_roberta_without_a_padding_token_is_refused(pad: object, tmp_path: Path) -> None:
    save_public(model_of("roberta"), tmp_path, tokenizer())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"pad_token_id": pad}))
    with pytest.raises(InputError, match=f"config.json: pad_token_id is {pad}, .*expected 0 to 39"):
        load_public(tmp_path)


@pytest.mark.parametrize(("layout", "first"), [("roberta", 0), ("bert", 2)])
def test_positions_that_a_layout_cannot_tell_are_refused(layout: str, first: int, tmp_path: Path) -> None:
    shape = SHAPES[layout].model_copy(update={"first_position": first})
    with pytest.raises(InputError, match=f"the {layout} layout has no place for positions from row {first} on"):
        save_public(LanguageModel(shape, layout), tmp_path, tokenizer())


def test_a_bare_model_is_read_without_its_heads(tmp_path: Path) -> None:
    save_public(model_of("bert"), tmp_path / "ours", tokenizer())
    transformers.BertModel.from_pretrained(tmp_path / "ours").save_pretrained(tmp_path / "bare")
    (tmp_path / "bare" / "tokenizer.json").write_text(tokenizer())
    model, _ = load_public(tmp_path / "bare")
    assert model.head is None
    assert model.pair is None
    assert torch.equal(model.net.tokens.weight, model_of("bert").net.tokens.weight)


def untied(layout: str, folder: Path, changed: str | None):
    """What transformers writes of a network whose output layer is its own, ``changed`` where that is a part of it."""
    save_public(model_of(layout), folder / "ours", tokenizer())
    peer = peer_of(layout, folder / "ours")
    layer = peer.get_output_embeddings()
    for name, value in dict(layer.named_parameters()).items():
        own = torch.nn.Parameter(value.detach().clone())
        setattr(layer, name, own)
        if name == changed:
            torch.nn.init.normal_(own)
    peer.config.tie_word_embeddings = False
    peer.save_pretrained(folder / "theirs")
    (folder / "theirs" / "tokenizer.json").write_text(tokenizer())
    return peer


@pytest.mark.parametrize(
    ("layout", "changed"),
    [*((layout, "weight") for layout in SHAPES), ("bert", "bias"), ("roberta", "bias")],
)
def test_an_output_layer_of_its_own_is_refused(layout: str, changed: str, tmp_path: Path) -> None:
    bare = {"bert": "bert", "roberta": "roberta"}.get(layout, "transformer")
    peer = untied(layout, tmp_path, changed)
    with pytest.raises(InputError, match=rf"{changed}' differs from '.*: model\.{bare}\.save_pretrained") as told:
        load_public(tmp_path / "theirs")
    assert "\n" not in str(told.value)
    getattr(peer, bare).save_pretrained(tmp_path / "bare")  # what the message says
    (tmp_path / "bare" / "tokenizer.json").write_text(tokenizer())
    model, _ = load_public(tmp_path / "bare")
    assert model.head is None
    assert torch.equal(model.net.layers[0].wide.weight, model_of(layout).net.layers[0].wide.weight)


@pytest.mark.parametrize("layout", ["gpt2", "openai-gpt"])
def test_a_decoder_that_lost_its_output_layer_is_known(layout: str, tmp_path: Path) -> None:
    untied(layout, tmp_path, "weight").transformer.save_pretrained(tmp_path / "bare")
    with pytest.raises(
        InputError, match=r"bare: its output layer is missing \('lm_head.weight'; .*; train it on first"
    ):
        check_output_layer(tmp_path / "bare")
    check_output_layer(tmp_path / "ours")
    untied(layout, tmp_path, None)
    check_output_layer(tmp_path / "theirs")  # one of its own, which is the token table


@pytest.mark.parametrize("layout", SHAPES)
def test_an_output_layer_that_is_the_token_table_again_is_read(layout: str, tmp_path: Path) -> None:
    peer = untied(layout, tmp_path, None)
    model, _ = load_public(tmp_path / "theirs")
    ids, segment = inputs(layout)
    with torch.no_grad():
        made = peer(ids, **({"token_type_ids": segment} if layout == "bert" else {}))
        logits = made.prediction_logits if layout == "bert" else made.logits
        assert (model.logits(model.net(ids, segment=segment)) - logits).abs().max() < 1e-4


def test_the_tokenizer_of_an_export_is_one_for_transformers(tmp_path: Path) -> None:
    save_public(model_of("bert"), tmp_path, tokenizer())
    loaded = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.mask_token == "[MASK]"
    assert loaded.pad_token_id == 0
    assert loaded("w3 w5", add_special_tokens=False)["input_ids"] == [8, 10]


class Evil:
    def __reduce__(self):
        return (print, ("this would run",))


def test_a_pickle_that_holds_more_than_tensors_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_public(model_of("bert"), tmp_path, tokenizer())
    (tmp_path / "model.safetensors").unlink()
    torch.save(
        {"bert.pooler.dense.weight": Evil()}, tmp_path / "pytorch_model.bin", pickle_protocol=pickle.DEFAULT_PROTOCOL
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError, match=r"pytorch_model\.bin: refused, it holds pickled Python obj.*safetensors"):
            load_public(tmp_path)
    assert "this would run" not in capsys.readouterr().out


def test_a_checkpoint_of_another_kind_is_named(tmp_path: Path) -> None:
    save_public(model_of("bert"), tmp_path, tokenizer())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "t5"}))
    with pytest.raises(InputError, match="model_type is 't5'; Foretell reads bert, roberta"):
        load_public(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**config, "intermediate_size": 50}))
    with pytest.raises(InputError, match=r"'bert\.encoder\.layer\.0\.intermediate\.dense\.weight' gives \(48, 16\)"):
        load_public(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(InputError, match=r"holds no config\.json"):
        load_public(tmp_path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"num_hidden_layers": 1},
            r"model.safetensors: holds 2 layers, but config.json says 1; the two are of different",
        ),
        ({"num_hidden_layers": 10**9}, r"holds 2 layers, but config.json says 1,000,000,000"),
        ({"intermediate_size": 10**13}, r"'bert\.encoder\.layer\.0\.intermediate\.dense\.weight' gives \(48, 16\)"),
        ({"num_hidden_layers": -1}, "config.json: says that layers = -1"),
        ({"num_attention_heads": 3}, "3 heads do not divide the width 16"),
        ({"hidden_dropout_prob": 7}, "dropout and the epsilon of layer norm are shares below 1"),
        ({"max_position_embeddings": "x"}, "config.json: holds a value of the wrong kind"),
        ({"hidden_act": ["gelu"]}, r"activation '\['gelu'\]'; Foretell has"),
        ({"type_vocab_size": 0}, "config.json: type_vocab_size is 0; expected 1 or more"),
        ({"type_vocab_size": None}, "config.json: holds a value of the wrong kind"),
        ({"vocab_size": 39}, "the tokenizer has 40 tokens, the network 39; give the tokenizer.json"),
    ],
)
def test_an_edited_config_takes_no_memory_and_is_refused(
    tmp_path: Path, values: dict[str, object], message: str
) -> None:
    save_public(model_of("bert"), tmp_path, tokenizer())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | values))
    with pytest.raises(InputError, match=message):
        load_public(tmp_path)


@pytest.mark.parametrize("activation", ["relu", "swish", "gelu_new", None])
def test_another_activation_of_the_first_gpt_is_refused(activation: str | None, tmp_path: Path) -> None:
    save_public(model_of("openai-gpt"), tmp_path / "made", tokenizer())
    config = json.loads((tmp_path / "made" / "config.json").read_text())
    (tmp_path / "made" / "config.json").write_text(json.dumps(config | {"afn": activation}))
    with pytest.raises(
        InputError, match=f"config.json: activation '{activation}'; Foretell has gelu in the openai-gpt"
    ):
        load_public(tmp_path / "made")
    exact = LanguageModel(SHAPES["openai-gpt"].model_copy(update={"activation": "gelu"}), "openai-gpt")
    with pytest.raises(InputError, match="the openai-gpt layout has no place for the activation gelu"):
        save_public(exact, tmp_path / "exact", tokenizer())


def test_a_token_beyond_the_network_is_refused(tmp_path: Path) -> None:
    made = json.loads(tokenizer())
    made["model"]["vocab"]["w34"] = 70_000
    save_public(model_of("gpt2"), tmp_path, json.dumps(made))
    with pytest.raises(InputError, match="the tokenizer has 70,001 tokens, the network 40"):
        load_public(tmp_path)


@pytest.mark.parametrize("layout", SHAPES)
def test_numbers_that_are_none_are_refused(tmp_path: Path, layout: str) -> None:
    model = model_of(layout)
    tensors = public_tensors(model)
    name = next(reversed(tensors))
    for value, message in (
        (torch.full_like(tensors[name], torch.nan), "holds numbers that are not finite"),
        (tensors[name].to(torch.int8), "holds int8, expected float16, bfloat16 or float32"),
    ):
        save_public(model, tmp_path, tokenizer(), tensors={name: value})
        with pytest.raises(InputError, match=rf"model.safetensors: '{re.escape(name)}' {message}"):
            load_public(tmp_path)


@pytest.mark.parametrize("layout", ["bert", "gpt2"])
def test_weights_in_shards_are_read(layout: str, tmp_path: Path) -> None:
    save_public(model_of(layout), tmp_path / "ours", tokenizer())
    folder = tmp_path / "theirs"
    peer_of(layout, tmp_path / "ours").save_pretrained(folder, max_shard_size="8KB")
    (folder / "tokenizer.json").write_text(tokenizer())
    shards = sorted(folder.glob("model-*.safetensors"))
    assert len(shards) > 1
    model, _ = load_public(folder)
    for name, ours in model_of(layout).state_dict().items():
        assert torch.equal(model.state_dict()[name], ours), name
    shards[1].unlink()
    with pytest.raises(
        InputError, match=rf"{shards[1].name}: is missing, one of {len(shards)} shards that model.safet"
    ):
        load_public(folder)
    index = folder / "model.safetensors.index.json"
    for places in ({}, {"a": "../model.safetensors"}, {"a": 3}):
        index.write_text(json.dumps({"weight_map": places}))
        with pytest.raises(InputError, match=r"index\.json: expected a weight_map from tensors to files beside it"):
            load_public(folder)


@pytest.mark.parametrize(
    ("layout", "specials", "named"),
    [
        ("bert", {"cls": 2, "sep": 3, "end": 3}, {"cls_token": "[CLS]", "sep_token": "[SEP]"}),
        ("roberta", {"cls": 2, "sep": 3, "end": 3},
         {"cls_token": "[CLS]", "sep_token": "[SEP]", "bos_token": "[CLS]", "eos_token": "[SEP]"}),
        ("gpt2", {"end": 3}, {"bos_token": "[SEP]", "eos_token": "[SEP]"}),
    ],
)  # fmt: skip
def test_the_tokens_that_begin_and_end_a_text_are_those_of_the_layout(
    layout: str, specials: dict[str, int], named: dict[str, str], tmp_path: Path
) -> None:
    model = model_of(layout)
    model.specials = specials
    save_public(model, tmp_path, tokenizer())
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert {name: token for name, token in config.items() if name.endswith("_token")} == named


def test_the_dropout_of_embeddings_is_kept(tmp_path: Path) -> None:
    save_public(model_of("gpt2"), tmp_path / "ours", tokenizer())
    file = tmp_path / "ours" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"embd_pdrop": 0.3, "resid_pdrop": 0.1}))
    model, text = load_public(tmp_path / "ours")
    assert (model.net.drop.p, model.net.layers[0].drop.p) == (0.3, 0.1)
    save_public(model, tmp_path / "again", text)
    config = json.loads((tmp_path / "again" / "config.json").read_text())
    assert (config["embd_pdrop"], config["resid_pdrop"]) == (0.3, 0.1)
    assert model.shape.model_dump()["embedding_dropout"] == 0.3
    assert "embedding_dropout" not in SHAPES["gpt2"].model_dump(mode="json"), "it is part of the keys of kept answers"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"embd_pdrop": 7}))
    with pytest.raises(InputError, match="dropout and the epsilon of layer norm are shares below 1"):
        load_public(tmp_path / "ours")
