"""The verbs on a small folder of real pictures: from images to a report, and every message on the way."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_words import SMALL, losses, refused, write_labels
from PIL import Image

import foretell as package
from foretell import distributed
from foretell.recipe import Recipe
from foretell.run import Run
from foretell.verbs import pretraining

Call = Callable[..., Any]


# pretrain --------------------------------------------------------------------------------------------------


def test_a_run_holds_all_that_is_promised(run: Path) -> None:
    for name in (
        "recipe.toml", "facts.json", "metrics.jsonl", "status.json", "split.json", "encoder/model.safetensors",
        "encoder/config.json", "exhibits/views.png", "exhibits/neighbours.png", "results/map.json",
        "results/comparison.json", "report.html", "report.json", "MODEL_CARD.md",
    ):  # fmt: skip
        assert (run / name).is_file(), name
    facts = json.loads((run / "facts.json").read_text())
    assert facts["data"]["count"] == 200
    assert facts["data"]["kind"] == "class folders"
    assert len(facts["data"]["classes"]) == 4
    assert facts["encoder"]["name"] == "resnet_tiny"
    assert json.loads((run / "status.json").read_text())["state"] == "finished"


def test_the_test_part_is_held_out_of_pretraining(run: Path) -> None:
    parts = json.loads((run / "split.json").read_text())
    assert len(parts["train"]) + len(parts["test"]) == 200
    assert not set(parts["train"]) & set(parts["test"])
    assert len(parts["test"]) == 40
    scores = json.loads((run / "results" / "comparison.json").read_text())
    assert scores["test"]["samples"] == 40
    assert sorted(scores["knn"]) == ["pixels", "pretrained", "random"]


def test_the_resolved_recipe_runs_again_and_is_the_same(foretell: Call, run: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    assert foretell("pretrain", "--recipe", run, "--out", again).status == 0
    assert Recipe.load(again) == Recipe.load(run)
    assert losses(again) == losses(run)
    recipe = Recipe.load(run)
    assert recipe.encoder.stem != "auto"
    assert recipe.objective.model_dump()["views"]["side"] == 28
    assert recipe.objective.model_dump()["views"]["mean"] is not None


def test_python_and_the_command_line_do_the_same(run: Path, pictures: Path, tmp_path: Path) -> None:
    made = package.pretrain(
        pictures,
        out=tmp_path / "python",
        encoder="resnet_tiny",
        batch=32,
        budget="3 steps",
        set={"training.precision": "float32", "training.layout": "contiguous", "training.warmup": 0.0},
    )
    assert made.steps == 3
    assert made.encoder == tmp_path / "python" / "encoder"
    assert Recipe.load(made.run) == Recipe.load(run)
    assert losses(made.run) == losses(run)
    assert (made.encoder / "model.safetensors").read_bytes() == (run / "encoder" / "model.safetensors").read_bytes()
    assert 0 <= made.knn["pretrained"] <= 1


def test_without_labels_every_image_is_used(foretell: Call, flat: Path, tmp_path: Path) -> None:
    said = foretell("pretrain", flat, "--out", tmp_path / "my run", *SMALL)
    assert said.status == 0, said.err
    assert f"next: foretell finetune '{tmp_path / 'my run'}' --labels labels.csv" in said.out
    parts = json.loads((tmp_path / "my run" / "split.json").read_text())
    assert (len(parts["train"]), len(parts["test"])) == (200, 0)


def test_a_small_folder_gets_a_smaller_batch_and_is_told(foretell: Call, pictures: Path, tmp_path: Path) -> None:
    words = [word for word in SMALL if word not in ("--batch", "32")]
    said = foretell("pretrain", pictures, "--out", tmp_path / "run", *words)
    assert said.status == 0, said.err
    assert "batches of 32, since there are 160 images to learn from; --batch changes it" in said.out
    assert Recipe.load(tmp_path / "run").training.batch == 32


def test_the_default_folder_is_named_by_data_objective_and_time(
    foretell: Call, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from foretell.verbs.pretraining import default_folder

    monkeypatch.chdir(tmp_path)
    first = default_folder("/data/my photos/", "simclr")
    assert first.parts[0] == "runs"
    assert first.name.startswith("my-photos-simclr-20")
    first.mkdir(parents=True)
    monkeypatch.setattr(time, "strftime", lambda *_: first.name.removeprefix("my-photos-simclr-"))
    assert default_folder("/data/my photos/", "simclr").name == f"{first.name}-2"
    assert default_folder("@animals", "simclr").name.startswith("animals-simclr-")


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--objective", "simclar"], ["unknown objective 'simclar'; did you mean 'simclr'?"]),
        (["--encoder", "resnet1"], ["unknown encoder 'resnet1'; did you mean 'resnet18'?"]),
        (["--set", "training.epoch=5"], ["unknown key 'training.epoch'; did you mean 'training.epochs'?"]),
        (["--set", "training.schedule=cosin"], ["did you mean 'cosine'?"]),
        (["--recipe", "claimz"], ["unknown recipe 'claimz'; did you mean 'claims'?"]),
        (["--budget", "5 apples"], ["--budget: '5 apples' is not a budget; write it as 5m, 90s, 2h"]),
        (
            ["--budget", "20 steps", "--set", "training.time=20s"],
            ["--budget '20 steps' and --set training.time are two budgets; leave one of them out"],
        ),
        (["--batch", "161"], ["160 images are fewer than a batch of 161"]),
        (["--batch", "1"], ["training.batch = 1: simclr compares the samples of a batch"]),
        (["--device", "gpu"], ["unknown device 'gpu'; expected auto, cpu, cuda or cuda:N"]),
        (["--weights", "/nowhere"], ["/nowhere"]),
    ],
)
def test_wrong_settings_make_no_run(
    foretell: Call, pictures: Path, tmp_path: Path, words: list[str], parts: list[str]
) -> None:
    refused(foretell("pretrain", pictures, "--out", tmp_path / "run", *words), *parts)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("name", "module"), [("tensorboard", "torch.utils.tensorboard"), ("mlflow", "mlflow")])
def test_a_tracker_that_is_missing_makes_no_run(
    foretell: Call, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    said = foretell("pretrain", pictures, "--out", tmp_path / "run", *SMALL, "--set", f"training.{name}=true")
    refused(said, f"training.{name} needs", "pip install 'foretell[track]'")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("given", "every", "count"), [((), 1, 12), (("--set", "training.health_every=5"), 5, 3)])
def test_patience_counts_rounds_in_a_short_run(
    foretell: Call, pictures: Path, tmp_path: Path, given: tuple[str, ...], every: int, count: int
) -> None:
    words = [*SMALL, "--budget", "12 steps", "--set", "training.patience=10"]
    said = foretell("pretrain", pictures, "--out", tmp_path / "run", *words, *given)
    assert said.status == 0, said.err
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    steps = [line["step"] for line in lines if line["kind"] == "monitor" and line["name"] == "knn" and line["step"]]
    assert steps == sorted({*range(every, 13, every), 12})
    assert f"training.patience = 10: {count} rounds of knn in 12 steps" in said.err
    assert ("too few to end the run early" in said.err) == bool(given)
    assert Recipe.load(tmp_path / "run").training.health_every == (5 if given else 100)


def test_a_process_that_ended_is_told_with_how_to_go_on(
    foretell: Call, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*given: Any, **named: Any) -> None:
        raise distributed.ProcessLost("another process has ended at step 3")

    monkeypatch.setattr(pretraining, "fit", lost)
    said = foretell("pretrain", pictures, "--out", tmp_path / "run", *SMALL)
    assert said.status == 1
    told = f"error: another process has ended at step 3; go on with: foretell pretrain --resume {tmp_path / 'run'}"
    assert said.err.splitlines()[-1] == told


def test_data_that_is_not_there(foretell: Call, tmp_path: Path) -> None:
    refused(foretell("pretrain"), "DATA is missing")
    refused(foretell("pretrain", tmp_path / "none"), f"{tmp_path / 'none'}: does not exist")
    (tmp_path / "empty").mkdir()
    refused(foretell("pretrain", tmp_path / "empty"), str(tmp_path / "empty"))
    refused(foretell("pretrain", "@animols"), "did you mean '@animals'?")


def test_a_folder_that_is_not_empty(foretell: Call, pictures: Path, run: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    said = foretell("pretrain", pictures, "--out", tmp_path)
    refused(said, f"{tmp_path}: not empty; choose another --out")
    assert "--resume" not in said.err, "it is no run"
    assert os.listdir(tmp_path) == ["notes.txt"]
    refused(foretell("pretrain", pictures, "--out", run), "choose another --out, or go on with it by --resume")


def test_a_folder_below_a_file(foretell: Call, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    said = foretell("pretrain", pictures, "--out", tmp_path / "file" / "run")
    refused(said, f"{tmp_path / 'file' / 'run'}: cannot make the run folder (Not a directory); choose another --out")


def test_a_run_in_use(foretell: Call, run: Path, pictures: Path) -> None:
    held = Run.resume(run)
    try:
        for words in (["pretrain", pictures, "--out", run], ["pretrain", "--resume", run], ["evaluate", run]):
            refused(foretell(*words), f"{run}: in use by process {os.getpid()}")
    finally:
        held.close()


# after pretraining -----------------------------------------------------------------------------------------


def test_evaluate_measures_beside_its_baselines(foretell: Call, run: Path) -> None:
    said = foretell("evaluate", run, "--trials", 2)
    assert said.status == 0, said.err
    for part in ("nearest neighbours", "linear probe", "retrieval by class", "random features", "raw pixels"):
        assert part in said.out
    scores = json.loads((run / "results" / "comparison.json").read_text())
    assert sorted(scores["linear_probe"]) == ["pixels", "pretrained", "random"]
    assert 0.25 < scores["linear_probe"]["pixels"]["accuracy"] <= 1


def test_finetune_gives_a_classifier_and_a_comparison(foretell: Call, run: Path) -> None:
    from foretell.transfer.images.saved import load_classifier

    said = foretell(
        "finetune", run, "--per-class", "2", "--seeds", 2, "--trials", 1,
        "--set", "transfer.steps=2", "--set", "transfer.curve_points=0",
    )  # fmt: skip
    assert said.status == 0, said.err
    classifier, facts = load_classifier(run / "classifier")
    assert facts["classes"] == classifier.classes
    assert len(classifier.classes) == 4
    comparison = json.loads((run / "results" / "comparison.json").read_text())
    assert {row["arm"] for row in comparison["rows"]} == {"pretrained", "scratch", "probe", "random"}
    assert comparison["verdict"] in said.out
    assert "held out at random by class" in comparison["test"]["split"]


def test_a_classifier_of_other_images_is_not_put_into_the_run(
    foretell: Call, run: Path, pictures: Path, tmp_path: Path
) -> None:
    own, other = tmp_path / "run", tmp_path / "other"
    shutil.copytree(run, own)
    shutil.copytree(pictures, other)
    next(other.glob("*/*.png")).unlink()
    before = {path: path.stat().st_mtime_ns for path in own.rglob("*")}
    quick = ["--no-compare", "--trials", 1, "--set", "transfer.steps=1"]
    refused(foretell("finetune", own, "--data", other, *quick), "name the folder of this one with --out FOLDER")
    said = foretell("finetune", own, "--data", other, "--out", tmp_path / "tuned", *quick)
    assert said.status == 0, said.err
    assert "report:" not in said.out
    assert (tmp_path / "tuned").is_dir()
    assert {path: path.stat().st_mtime_ns for path in own.rglob("*")} == before


def test_scores_of_other_test_images_are_not_mixed(foretell: Call, run: Path, pictures: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    fewer = [
        "--per-class",
        "2",
        "--seeds",
        1,
        "--trials",
        1,
        "--arms",
        "probe,random",
        "--set",
        "transfer.probe_samples=40",
    ]
    assert foretell("evaluate", copy, "--compare", *fewer).status == 0
    place = copy / "results" / "comparison.json"
    before = json.loads(place.read_text())
    assert {"class", "group"} == set(before["retrieval"]["pretrained"])
    assert before["knn"]["pretrained"]["intervals"]["accuracy"]
    names = sorted(str(path.relative_to(pictures)) for path in pictures.glob("*/*.png"))[::2]
    table = write_labels(tmp_path / "half.csv", [(name, name.split("/")[0]) for name in names])
    said = foretell("finetune", copy, "--labels", table, *fewer[:6], "--set", "transfer.steps=1")
    assert said.status == 0, said.err
    after = json.loads(place.read_text())
    assert after["test"]["samples"] < before["test"]["samples"]
    assert after["test"]["samples"] + after["test"]["unlabelled"] == before["test"]["samples"]
    assert "retrieval" not in after
    assert foretell("evaluate", copy, "--trials", 1).status == 0
    last = json.loads(place.read_text())
    assert last["test"] == after["test"]
    assert last["frozen_test"] == {name: before["test"][name] for name in ("samples", "split")}


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--per-class", "0"], "--per-class 0: expected numbers of at least 1"),
        (["--seeds", "0"], "--seeds 0: expected at least 1"),
        (["--trials", "0"], "--trials 0: expected at least 1"),
        (["--jobs", "0"], "--jobs 0: expected how many processes train side by side"),
        (["--set", "transfer.step=3"], "did you mean 'transfer.steps'?"),
    ],
)
def test_wrong_settings_of_a_comparison(foretell: Call, run: Path, words: list[str], part: str) -> None:
    said = foretell("finetune", run, *words)
    refused(said, part)
    assert "fine-tuning on" not in said.out


def test_what_no_comparison_takes_is_refused_before_anything_is_measured(foretell: Call, run: Path) -> None:
    said = foretell("evaluate", run, "--compare", "--jobs", "0")
    refused(said, "--jobs 0: expected how many processes train side by side")
    assert "labels:" not in said.out


def test_an_unknown_arm_is_refused_before_anything_is_measured(foretell: Call, run: Path) -> None:
    said = foretell("evaluate", run, "--compare", "--arms", "pretraned")
    refused(said, "unknown arm 'pretraned'; did you mean 'pretrained'?")
    assert said.out == ""
    for arm in ("scrach", "supervised"):  # a supervised start is given from Python alone
        refused(foretell("evaluate", run, "--compare", "--arms", arm), "Known: pretrained, probe, random, scratch")


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".parquet"])
def test_embed_writes_features_in_the_order_of_the_data(
    foretell: Call, run: Path, pictures: Path, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"features{suffix}"
    assert foretell("embed", run / "encoder", pictures, "--out", out).status == 0
    names = sorted(str(path.relative_to(pictures)) for path in pictures.glob("*/*.png"))
    if suffix == ".npz":
        with np.load(out) as read:
            features, paths, labels = read["features"], read["path"].tolist(), read["label"].tolist()
        assert labels == [name.split("/")[0] for name in paths]
        assert sorted(paths) == names
    elif suffix == ".npy":
        features = np.load(out)
    else:
        import pyarrow.parquet as pq

        table = pq.read_table(out).to_pydict()
        features = np.array(table["features"], np.float32)
        assert sorted(table["path"]) == names
    assert features.shape == (200, json.loads((run / "facts.json").read_text())["encoder"]["dim"])
    assert features.dtype == np.float32


def test_embed_refuses(foretell: Call, run: Path, pictures: Path, tmp_path: Path) -> None:
    refused(foretell("embed", run, "--out", tmp_path / "f.csv"), "unknown suffix '.csv'; expected one of .npz, .npy")
    refused(foretell("embed", run / "encoder"), "is an encoder without a run")
    (tmp_path / "file").write_text("")
    refused(
        foretell("embed", run, "--out", tmp_path / "file" / "f.npz"),
        "cannot be written (it lies below a file); choose another",
    )


def test_a_film_and_one_of_its_frames_are_asked_by_name(
    foretell: Call, run: Path, pictures: Path, tmp_path: Path
) -> None:
    paths = sorted(pictures.glob("*/*.png"))
    for number, name in enumerate(("one.tif", "two.gif")):
        first, *others = [Image.open(path).resize((32, 32)) for path in paths[4 * number : 4 * number + 4]]
        (tmp_path / "films").mkdir(exist_ok=True)
        first.save(tmp_path / "films" / name, save_all=True, append_images=others)
    film, sequences = tmp_path / "films" / "two.gif", ["data.frames=1"]
    (found,) = package.neighbours(run, film, data=film.parent, set=sequences, k=8)
    assert found["query"] == "two.gif[0]"
    assert {one["name"] for one in found["neighbours"]} == {f"one.tif[{i}]" for i in range(4)}
    (same,) = package.neighbours(run, f"{film}[0]", data=film.parent, set=sequences, k=8)
    assert same["neighbours"] == found["neighbours"]
    whole = package.embed(run, film.parent, out=tmp_path / "all.npy", set=sequences)
    frame = package.embed(run, f"{film}[2]", out=tmp_path / "one.npy")
    assert np.allclose(frame, whole[6:7], atol=1e-5)


def test_neighbours_of_a_file_of_the_data_and_of_another(
    foretell: Call, run: Path, pictures: Path, tmp_path: Path
) -> None:
    path = next(iter(sorted(pictures.glob("*/*.png"))))
    copy = tmp_path / "copy.png"
    copy.write_bytes(path.read_bytes())
    found = package.neighbours(run, copy, k=3)
    assert found[0]["query"] == str(copy)
    assert found[0]["neighbours"][0]["name"] == str(path.relative_to(pictures))
    assert found[0]["neighbours"][0]["similarity"] == pytest.approx(1, abs=1e-4)
    own = package.neighbours(run, path, k=2)  # the same file in its place is an image of the data
    assert own[0]["query"] == str(path)
    assert [one["name"] for one in own[0]["neighbours"]] == [one["name"] for one in found[0]["neighbours"][1:]]
    named = foretell("neighbours", run, path.relative_to(pictures), "-k", 3, "--out", tmp_path / "n.png")
    assert named.status == 0, named.err
    assert named.out.count(".png  (") == 3
    assert (tmp_path / "n.png").stat().st_size > 0
    refused(foretell("neighbours", run, "nothing.png"), "nothing.png: neither a file nor an image of")
    (tmp_path / "text.png").write_text("not a picture")
    refused(foretell("neighbours", run, tmp_path / "text.png"), "expected an image file")


def test_export_for_timm_gives_the_same_features(foretell: Call, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "exported"
    assert foretell("export", run, out).status == 0
    assert (out / "model.safetensors").read_bytes() == (run / "encoder" / "model.safetensors").read_bytes()
    refused(foretell("export", run, out), f"{out}: exists already; give a new folder")


def test_check_and_report_and_objectives(foretell: Call, run: Path, pictures: Path) -> None:
    said = foretell("check", pictures)
    assert said.status == 0
    assert "200 images (class folders)" in said.out
    (run / "report.html").unlink()
    assert foretell("report", run).status == 0
    assert (run / "report.html").is_file()
    refused(foretell("report", pictures), "not a run folder")
    said = foretell("objectives")
    assert "simclr\n" in said.out
    assert "autoencoder\n" in said.out
    assert "objective.temperature = 0.1  (a number above 0)" in foretell("objectives", "simclr").out
    refused(foretell("objectives", "simclar"), "did you mean 'simclr'?")


def test_the_demo_goes_the_whole_way_and_goes_on(foretell: Call, pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    few = ["--out", folder, "--per-class", "1", "--seeds", 2, "--trials", 1]
    small = [f"data.source={pictures}", "encoder.name=resnet_tiny", "training.batch=32", "transfer.steps=2"]
    settings = [word for setting in small for word in ("--set", setting)]
    said = foretell("demo", *few, "--budget", "2 steps", *settings)
    assert said.status == 0, said.err
    comparison = json.loads((folder / "results" / "comparison.json").read_text())
    assert {row["arm"] for row in comparison["rows"]} == {"pretrained", "scratch", "probe", "random"}
    assert comparison["verdict"] in said.out
    again = foretell("demo", *few)
    assert again.status == 0, again.err
    assert json.loads((folder / "results" / "comparison.json").read_text())["cost"]["reused"] > 0


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--per-class", "few"], "--per-class few"),
        (["--seeds", "0"], "--seeds 0: expected at least 1"),
        (["--trials", "0"], "--trials 0: expected at least 1"),
        (["--jobs", "0"], "--jobs 0: expected how many processes train side by side"),
        (["-s", "transfer.device=cuda:99"], "cuda:99"),
        (["-s", "data.source=FLAT"], "has no labels of two classes or more to compare by"),
    ],
)
def test_the_demo_refuses_a_comparison_before_it_pretrains(
    foretell: Call, flat: Path, tmp_path: Path, words: list[str], part: str
) -> None:
    words = [word.replace("FLAT", str(flat)) for word in words]
    said = foretell("demo", "--out", tmp_path / "demo", "--budget", "1 step", *words)
    refused(said, part)
    assert said.out == ""
    assert not (tmp_path / "demo").exists()


def test_reproduce_lists_the_claims_and_refuses_an_unknown_one(foretell: Call) -> None:
    said = foretell("reproduce")
    assert said.status == 0
    assert "simclr-label-efficiency" in said.out
    unknown = "unknown claim 'simclr-haed'; did you mean 'simclr-head'?"
    refused(foretell("reproduce", "simclr-haed"), unknown)
    refused(foretell("reproduce", "simclr-head", "simclr-haed"), unknown)
    refused(foretell("reproduce", "simclr-head", "--seeds", "one"), "--seeds one: expected how many, as 3, or which")


def test_the_verbs_return_what_their_docstrings_say() -> None:
    for verb in package.VERBS:
        assert "Returns" in (inspect.getdoc(package._verb(verb)) or "")
