"""``foretell export``: what it says of how images enter, what it leaves alone, and what it leaves out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_words import Said, refused

from foretell.encoders import load_encoder
from foretell.transfer.config import ClassifierConfig
from foretell.transfer.images.finetune import Classifier
from foretell.transfer.images.saved import save_classifier
from foretell.views.config import ViewConfig

Call = Callable[..., Said]


def test_a_file_that_exists_is_left_alone(foretell: Call, run: Path, tmp_path: Path) -> None:
    photo, note = tmp_path / "photo.onnx", tmp_path / "encoder.md"
    for file in (photo, note):
        file.write_text("mine")
    refused(foretell("export", run, photo, "--format", "onnx"), f"{photo}: exists already; give a new file")
    refused(foretell("export", run, tmp_path / "encoder.onnx", "--format", "onnx"), f"{note}: exists already")
    refused(foretell("export", run, tmp_path / "photo.png", "--format", "onnx"), "suffix '.png'; expected .onnx")
    refused(foretell("export", run, tmp_path, "--format", "onnx"), "is a folder; give a file, as encoder.onnx")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"photo.onnx": "mine", "encoder.md": "mine"}


def test_the_output_says_how_an_image_enters(foretell: Call, run: Path, tmp_path: Path) -> None:
    said = foretell("export", run, tmp_path / "timm")
    assert "  of 8 bits: over 255\n" in said.out
    assert (
        "  the shorter side becomes 28 px (bilinear, with antialiasing), and the central 28 x 28 px are kept"
        in said.out
    )
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    said = foretell("export", run, tmp_path / "made" / "encoder.onnx", "--format", "onnx")
    assert said.status == 0, said.err
    assert f"how an image enters it: {tmp_path}/made/encoder.md" in said.out
    assert "  of 8 bits: over 255\n" in said.out
    assert "the shorter side becomes 28 px" in (tmp_path / "made" / "encoder.md").read_text()


def test_a_classifier_is_exported_without_its_head_which_is_said(foretell: Call, run: Path, tmp_path: Path) -> None:
    encoder, facts = load_encoder(run)
    views = ViewConfig(side=facts["side"], mean=facts["mean"], std=facts["std"])
    classifier = Classifier(ClassifierConfig(head="zero"), encoder, None, views, ["cat", "dog"])
    kept = save_classifier(classifier, tmp_path / "classifier", extra={"labels": 7, "pooling": "mean"})
    said = foretell("export", kept, tmp_path / "exported")
    assert said.out.startswith(
        f"the encoder alone is exported: the classifier's head stays in {kept}/head.safetensors\n"
    )
    own = json.loads((tmp_path / "exported" / "config.json").read_text())["foretell"]
    assert "labels" in own
    assert not {"classes", "findings", "pooling"} & own.keys()
    assert "head stays" not in foretell("export", run, tmp_path / "other").out
