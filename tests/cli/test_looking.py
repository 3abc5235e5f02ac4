"""Which test images a classifier is shown with, and what is written of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from foretell.data.images import Images
from foretell.encoders.base import Encoder
from foretell.transfer.config import ClassifierConfig
from foretell.transfer.images.finetune import Classifier
from foretell.transfer.images.labelled import Labelled
from foretell.verbs.looking import SHOWN, chosen, maps
from foretell.views.config import ViewConfig

Call = Callable[..., Any]


class Halves:
    """Six images of 12 px: the first three are bright above, the others below."""

    fingerprint = "halves"

    def read(self, index: np.ndarray) -> Images:
        pixels = torch.zeros(len(index), 1, 12, 12, dtype=torch.uint8)
        for at, row in enumerate(index):
            pixels[at, :, slice(0, 6) if row < 3 else slice(6, 12)] = 200
        sizes = torch.full((len(index), 2), 12)
        rows = torch.from_numpy(np.asarray(index))
        return Images(pixels, sizes, rows, rows)


class Rows(Encoder):
    """Two features: how bright it is above, and below."""

    def __init__(self) -> None:
        super().__init__("rows", 2, 1, 12, "none")
        self.weight = torch.nn.Parameter(torch.ones(2))

    def pooled(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight * torch.stack([x[:, :, :6].mean((1, 2, 3)), x[:, :, 6:].mean((1, 2, 3))], dim=1)


def labelled(codes: list[int], **more: object) -> Labelled:
    return Labelled(Halves(), np.arange(len(codes)), np.array(codes), ["above", "below"], **more)  # type: ignore[arg-type]


def classifier(*, findings: bool = False) -> Classifier:
    views = ViewConfig(side=12, mean=(0.0,), std=(1.0,))
    made = Classifier(ClassifierConfig(head="zero"), Rows(), None, views, ["above", "below"], findings=findings)
    with torch.no_grad():
        made.head.weight.copy_(5 * torch.eye(2))
    return made


def test_half_are_wrong_where_there_are_so_many_and_all_places_are_used() -> None:
    data = labelled([0, 1] * 20)
    known = np.ones(40, dtype=bool)
    for wrong, shown in ((0, 0), (2, 2), (20, 4), (38, 6), (40, 8)):
        right = np.arange(40) >= wrong
        at = chosen(data, right, known)
        assert len(set(at.tolist())) == SHOWN
        assert (~right[at]).sum() == shown, wrong
        assert not right[at][:shown].any(), "wrong ones are first"
    at = chosen(data, np.ones(40, dtype=bool), np.arange(40) < 3)
    assert sorted(at.tolist()) == [0, 1, 2], "only what is known can be right"


def test_the_maps_are_of_the_class_foretold() -> None:
    data = labelled([0, 0, 1, 1, 1, 1])  # the third is bright above and called below
    found = maps(classifier(), data, [f"{row}.png" for row in range(6)], 1.0)
    assert found is not None
    assert found.table[0] == ("Image, from the top", "label", "foretold", "answer")
    first = found.table[1]
    assert first[:2] == ("2.png", "below")
    assert first[2].startswith("above (")
    assert [row[3] for row in found.table[1:]] == ["wrong"] + ["right"] * 5
    gradient = dict(found.panels)["gradient"]
    for row, picture in zip(found.table[1:], gradient, strict=True):
        above = row[0] in ("0.png", "1.png", "2.png")
        assert bool((picture[0, :6] > 0).all()) == above
        assert bool((picture[0, 6:] > 0).all()) != above


def test_a_finding_that_is_not_known_is_no_answer() -> None:
    nothing = np.nan
    targets = [[1, 0], [nothing, 0], [0, nothing], [nothing, 1], [1, nothing], [1, nothing]]
    data = labelled([0] * 6, targets=np.array(targets, np.float32))
    found = maps(classifier(findings=True), data, [f"{row}.png" for row in range(6)], 1.0)
    assert found is not None
    assert found.table[1:] == [
        ("2.png", "above: not there", "above (98%)", "wrong"),
        ("0.png", "above: there", "above (98%)", "right"),
        ("3.png", "below: there", "below (98%)", "right"),
    ]
    blind = labelled([0] * 6, targets=np.full((6, 2), np.nan, np.float32))
    assert maps(classifier(findings=True), blind, ["x.png"] * 6, 1.0) is None


def test_finetune_shows_what_its_classifier_looks_at(foretell: Call, run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    quick = ("--no-compare", "--trials", 1, "--set", "transfer.steps=2")
    said = foretell("finetune", copy, *quick)
    assert said.status == 0, said.err
    assert f"what it looks at: {copy / 'classifier' / 'saliency.png'}" in said.out
    assert (copy / "classifier" / "saliency.png").read_bytes() == (copy / "exhibits" / "saliency.png").read_bytes()
    (told,) = json.loads((copy / "report.json").read_text())["findings"]
    assert len(told["table"]) == 9
    tested = {Path(name).parts[0] for name, *_ in told["table"][1:]}
    assert tested <= set(json.loads((copy / "facts.json").read_text())["data"]["classes"])
    page = (copy / "report.html").read_text()
    assert page.count('id="saliency-picture"') == 1
    assert "What the classifier looks at" in page
    assert foretell("finetune", copy, *quick, "--no-saliency").status == 0
    assert not (copy / "classifier" / "saliency.png").exists()
    assert not (copy / "exhibits" / "saliency.png").exists()
    assert "What the classifier looks at" not in (copy / "report.html").read_text()
