"""The model card and the terminal's summary; the card's Python runs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from made_up_run import make, pictures
from PIL import Image

from foretell.data.store import open_images, read_like
from foretell.encoders import EncoderConfig, build_encoder, load_encoder, save_encoder
from foretell.report import build, lines
from foretell.report.card import model_card, snippet
from foretell.report.gather import gather


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("card") / "animals", exhibits=False)


def test_the_card_is_written_from_the_run(run: Path) -> None:
    build(run)
    card = (run / "MODEL_CARD.md").read_text()
    assert card.startswith("---\nlibrary_name: timm\n")
    for heading in (
        "What it is",
        "Data",
        "What it is worth",
        "Cost",
        "Training",
        "Intended use and limits",
        "How to use it",
    ):
        assert f"\n## {heading}\n" in card
    assert "Pretraining was worth it with 10, 20, 50, 100 and 200 labels" in card
    assert "| Labels | pretrained | from scratch | linear probe | random features |" in card
    assert re.search(r"\| 50 \(5 a class\) \| 80\.0% \(77\.7 to 82\.2\) \| 64\.8%", card)
    assert "- Images: 9,716" in card
    assert "\n- steps: 1,840\n" in card


def test_data_cannot_write_marks_into_the_card(tmp_path: Path) -> None:
    names = ["<img src=x onerror=alert(1)>", "[a](http://b)", "x | y", "**bold**"]
    card = model_card(gather(make(tmp_path / "run", classes=names, exhibits=False)))
    assert "<img" not in card.replace("\\<img", "")
    assert "\\[a\\](http://b)" in card
    assert "x \\| y" in card
    assert "\\*\\*bold\\*\\*" in card


@pytest.mark.parametrize(
    ("channels", "stem"), [(1, "standard"), (3, "standard"), (5, "standard"), (1, "small"), (3, "small")]
)
def test_the_python_of_the_card_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, channels: int, stem: str) -> None:
    run = make(tmp_path / "run", exhibits=False, channels=channels)
    torch.manual_seed(0)
    encoder = build_encoder(EncoderConfig(name="resnet18", stem=stem), channels, 32)  # type: ignore[arg-type]
    save_encoder(encoder.eval(), run / "encoder", mean=[0.5] * channels, std=[0.25] * channels)
    picture = pictures(1, 32, 3)[0].mul(255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(picture).save(run / "picture.png")
    monkeypatch.chdir(run)
    code = re.search(r"```python\n(.*?)```", model_card(gather(run)), re.S)
    assert code is not None
    names: dict[str, object] = {}
    exec(code[1], names)
    embedding = names["embedding"]
    assert isinstance(embedding, torch.Tensor)
    assert embedding.shape == (1, 512)
    if channels == 3:
        with torch.inference_mode():
            x = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
            expected = encoder.pooled((x - 0.5) / 0.25)
        assert torch.allclose(embedding, expected, atol=1e-4)


def test_the_python_of_the_card_reads_16_bits_as_the_run_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make(tmp_path / "run", exhibits=False, channels=1)
    torch.manual_seed(0)
    encoder = build_encoder(EncoderConfig(name="resnet18", stem="small"), 1, 32).eval()
    save_encoder(encoder, run / "encoder", mean=[0.5], std=[0.25], extra={"scale": 16})
    deep = np.random.default_rng(0).integers(0, 4096, (32, 32), dtype=np.uint16)
    (run / "photos").mkdir()
    for name in ("picture.png", "photos/picture.png"):
        Image.fromarray(deep).save(run / name)
    monkeypatch.chdir(run)
    names: dict[str, object] = {}
    exec(snippet(gather(run)), names)
    store = open_images("photos", **read_like(load_encoder("encoder")[1]), cache=tmp_path / "cache")
    assert (store.scale, store.channels) == (16, 1)
    with torch.inference_mode():
        pixels = torch.from_numpy(store.image(0).astype(np.float32) / 65535).permute(2, 0, 1)[None]
        expected = encoder((pixels - 0.5) / 0.25)
    torch.testing.assert_close(names["embedding"], expected, atol=1e-4, rtol=1e-4)


def test_the_terminal_gets_the_same_numbers_in_fifteen_lines(run: Path) -> None:
    told = lines(run).splitlines()
    assert len(told) <= 15
    assert all(len(line) <= 110 for line in told)
    assert told[0] == "What pretraining was worth on animals"
    assert " ".join(told[1:5]).startswith("Pretraining was worth it with 10, 20")
    assert "so there pretraining was not shown to be worth it." in " ".join(told), "the verdict is never cut"
    assert any(
        re.match(r" +50  80\.0% \[77\.7 to 82\.2\] +64\.8% \[63\.0 to 66\.7\] +\+15\.1 better$", line) for line in told
    )
    assert any(line.startswith("Nearest neighbours: 93.8%") for line in told)


@pytest.mark.parametrize("state", ["running", "failed", "stopped"])
def test_the_terminal_names_the_command_that_goes_on(tmp_path: Path, state: str) -> None:
    run = make(tmp_path / "run", state=state, exhibits=False)
    told = lines(run).splitlines()
    assert len(told) <= 15
    assert told[-1] == f"  add it by: foretell pretrain --resume {run}"


def test_the_card_says_measured_only_where_there_is_a_score(run: Path, tmp_path: Path) -> None:
    assert "It was measured on this data alone" in model_card(gather(run))
    bare = model_card(gather(make(tmp_path / "bare", classes=[], exhibits=False)))
    assert "It has not been measured on anything yet: measure it before trusting it." in bare
    assert "It was measured" not in bare
