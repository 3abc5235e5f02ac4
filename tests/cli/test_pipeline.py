"""A folder of DICOM and a table of labels to one report, in steps that are kept, used again and gone on with."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from cli_words import refused
from pipeline_words import PLAN, again, made_studies
from safetensors.torch import save_file

from foretell.data.store import open_images
from foretell.errors import InputError
from foretell.run import Run
from foretell.verbs import pipeline_plan, pipelining, pretraining

pytest.importorskip("pydicom")

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_studies(tmp_path_factory.mktemp("studies"))


@pytest.fixture(scope="module")
def done(studies: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished pipeline."""
    from foretell.cli import main

    patch = pytest.MonkeyPatch()
    patch.setenv("FORETELL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    out = tmp_path_factory.mktemp("pipeline")
    (out / "plan.toml").write_text(PLAN)
    assert main(again(out, studies)) == 0
    patch.undo()
    return out


def numbers(done: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((done / "run" / "report.json").read_text())
    return found


def test_one_report_over_all_steps(done: Path) -> None:
    found = numbers(done)
    assert [step["name"] for step in found["steps"]] == ["start", "domain", "cases", "comparison", "classifier"]
    assert all(step["seconds"] > 0 for step in found["steps"][1:])
    (comparison,) = found["comparisons"]
    arms = ["scratch", "domain", "cases", "random", "domain, frozen", "cases, frozen"]
    assert list(comparison["arms"]) == arms  # the start had no weights: that is training from scratch
    assert comparison["arms"]["cases, frozen"]["title"] == "SimCLR + MICLe, frozen"
    for arm in arms:
        own = [row for row in comparison["summary"] if row["arm"] == arm and row["metric"] == comparison["metric"]]
        assert [row["per_class"] for row in own] == [0.4, None], arm
        assert all(row["group_low"] <= row["mean"] <= row["group_high"] for row in own)
    assert {(row["arm"], row["against"]) for row in comparison["paired"]} == {
        ("domain", "scratch"), ("cases", "scratch"), ("cases", "domain"),
    }  # fmt: skip
    assert {row["arm"] for row in comparison["crossing"]} == {"domain", "cases"}
    assert comparison["test"]["groups"] == comparison["test"]["samples"] / 2
    (classifier,) = found["classifiers"]
    low, high = classifier["scores"]["intervals"]["accuracy"]
    assert low <= classifier["scores"]["accuracy"] <= high


def test_the_report_shows_the_four_figures_and_what_they_cost(done: Path) -> None:
    page = (done / "run" / "report.html").read_text()
    for figure in ("main", "shift", "fractions", "crossing"):
        assert f'<svg id="comparison-{figure}"' in page
    for text in (
        "Steps and their cost", "SimCLR + MICLe − domain", "Peak MB", "that training from scratch has with all",
        "give --weights FILE", "Cost beside quality", "that no step saw", "40%", "groups ", "What the classifier looks at",
        "what earlier tries finished counts too",
    ):  # fmt: skip
        assert text in page, text
    for link in re.findall(r'href="([^"#]+)"', page):
        assert (done / "run" / link).is_file()
    costs = {row["arm"]: row for row in numbers(done)["comparisons"][0]["costs"]}
    steps = {step["name"]: step for step in numbers(done)["steps"]}
    assert costs["scratch"]["seconds"] == 0
    assert costs["cases"]["seconds"] == pytest.approx(steps["domain"]["seconds"] + steps["cases"]["seconds"])


def test_no_step_sees_the_other_domain(done: Path) -> None:
    (comparison,) = numbers(done)["comparisons"]
    assert comparison["shift"]["domain"] == "domain=B"
    assert comparison["shift"]["samples"] == 12
    assert comparison["shift"]["seen"] == 0
    assert {row["arm"] for row in comparison["shift"]["drops"]} == set(comparison["arms"])
    assert {row["arm"] for row in comparison["shift"]["gains"]} == {
        "domain",
        "cases",
        "domain, frozen",
        "cases, frozen",
    }
    assert all("group_low" in row["drop"] for row in comparison["shift"]["drops"])
    for step in ("domain", "cases"):
        (folder,) = (done / "run").glob(f"{step}-*")
        kept = json.loads((folder / "split.json").read_text())
        assert not {*range(48, 60)} & {*kept["train"], *kept["test"]}  # files are in the order of their patients
        assert len({*kept["train"], *kept["test"]}) == 48


def test_baselines_are_measured_once_and_stand_in_every_report(done: Path) -> None:
    found = [json.loads(path.read_text()) for path in (done / "run").glob("*/results/comparison.json")]
    assert len(found) == 2
    for one in found:
        assert list(one["arms"]) == ["pretrained", "probe", "scratch", "random"]
    first, second = ([row for row in one["rows"] if row["arm"] == "scratch"] for one in found)
    assert first == second  # with the seconds that they took


def test_no_name_or_identifier_is_written(done: Path) -> None:
    for path in (done / "run").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"Nachname" not in content, path
            assert b"ID-7" not in content, path


def test_each_step_starts_from_the_one_before(done: Path) -> None:
    (domain,) = (done / "run").glob("domain-*")
    (cases,) = (done / "run").glob("cases-*")
    assert f'weights = "{domain}"' in (cases / "recipe.toml").read_text()
    assert "rotation = 45.0" in (cases / "recipe.toml").read_text()  # the views of the recipe hold for both tasks
    assert (cases / "report.html").is_file()


def test_nothing_is_done_twice(done: Path, studies: Path, foretell: Call) -> None:
    files = {path: path.stat().st_mtime_ns for path in (done / "run").glob("*/**/*") if path.is_file()}
    said = foretell(*again(done, studies))
    assert said.status == 0
    assert said.out.count("done before and unchanged") == 5
    assert said.out.count("every group (patient) has one label: transfer.unit=case judges groups") == 1
    (start,) = (done / "run").glob("start-*/start.json")
    changed = {path for path, time in files.items() if path.stat().st_mtime_ns != time} - {start}
    assert not changed


@pytest.mark.parametrize(("step", "lacks"), [("cases", "split.json"), ("classifier", "scores.json")])
def test_a_folder_that_another_process_is_filling_is_left_to_it(
    done: Path, studies: Path, foretell: Call, tmp_path: Path, step: str, lacks: str
) -> None:
    shutil.copytree(done, tmp_path / "made")
    (place,) = (tmp_path / "made" / "run").glob(f"{step}-*")
    (run,) = (tmp_path / "made" / "run").glob("cases-*")
    (place / lacks).unlink()
    if step == "cases":
        (run / "encoder" / "model.safetensors").unlink()
    before = sorted(path for path in place.rglob("*") if path.name != ".lock")
    held = Run.resume(run)
    said = foretell(*again(tmp_path / "made", studies))
    refused(said, f"{run}: in use by process {os.getpid()} on ")
    held.close()
    assert sorted(path for path in place.rglob("*") if path.name != ".lock") == before


def test_a_changed_setting_does_its_step_and_those_after_it_again(done: Path, studies: Path, foretell: Call) -> None:
    before = {path.name for path in (done / "run").iterdir()}
    (done / "plan.toml").write_text(PLAN.replace('"training.steps" = 2', '"training.steps" = 4'))
    said = foretell(*again(done, studies))
    (done / "plan.toml").write_text(PLAN)
    assert said.status == 0
    after = {path.name for path in (done / "run").iterdir()}
    assert before < after  # the folders of before are kept
    assert {name.rpartition("-")[0] for name in after - before} == {"cases", "comparison", "classifier"}
    told = [line.strip() for line in said.out.splitlines() if "done anew" in line]
    assert told == [
        "done anew: training.steps 2 → 4", "done anew: step cases changed", "done anew: the step before it changed",
    ]  # fmt: skip


def test_pretraining_is_used_again_where_nothing_that_it_learns_from_changed(
    done: Path, studies: Path, foretell: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(done, tmp_path / "made")
    (tmp_path / "other.csv").write_bytes((studies.parent / "labels.csv").read_bytes())
    words = again(tmp_path / "made", studies)
    words[words.index("--labels") + 1] = str(tmp_path / "other.csv")
    words += ["--device", "cpu", "-s", "data.workers=1", "-s", "training.threads=1", "-s", "training.health_every=7"]
    said = foretell(*words)
    assert said.status == 0, said.err
    assert said.out.count("done before and unchanged") == 5
    (domain,) = (tmp_path / "made" / "run").glob("domain-*")
    assert f'labels = "{tmp_path / "other.csv"}"' in (domain / "recipe.toml").read_text()
    compared = []

    def stop(step: Any, candidates: Any, settings: Any, *more: Any) -> None:
        compared.extend(settings.values())
        raise KeyboardInterrupt

    monkeypatch.setattr(pipelining, "compare_step", stop)
    said = foretell(*words, "-s", "transfer.metric=auroc")
    assert said.out.count("done before and unchanged") == 3
    assert said.out.rstrip().endswith("done anew: transfer.metric none → auroc")
    assert [(config.metric, config.steps) for config in compared] == [("auroc", 2), ("auroc", 2)]
    weights = tmp_path / "made" / "run" / "steps.json"
    assert json.loads(weights.read_text())[domain.name]["of"]["training.steps"] == 3


def test_folders_by_the_keys_of_earlier_versions_are_found(
    done: Path, studies: Path, foretell: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(done, tmp_path / "made")
    run, former, found = tmp_path / "made" / "run", {}, pipelining.Folders.of

    def of(self: pipelining.Folders, step: str, parts: Any, key: str) -> Any:
        former[step] = key
        return found(self, step, parts, key)

    monkeypatch.setattr(pipelining.Folders, "of", of)
    words = again(tmp_path / "made", studies)
    foretell(*words)
    known = json.loads((run / "steps.json").read_text())
    (run / "steps.json").unlink()
    for step, key in former.items():
        kept = min(
            name
            for name, one in known.items()
            if one["step"] == step and one["key"] == pipelining.key_of(step, one["of"])
        )
        (run / kept).rename(run / f"{step}-{key}")
    said = foretell(*words)
    assert said.out.count("done before and unchanged") == 5
    assert "done anew" not in said.out
    assert foretell(*words).out.count("done before and unchanged") == 5


def test_a_stopped_step_goes_on(
    done: Path, studies: Path, foretell: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from foretell.objectives.simclr import SimCLR

    words = [*again(done, studies)[:-1], str(tmp_path / "run"), "--set", "training.checkpoint_every=1"]
    whole = SimCLR.loss_from

    def stopping(self: SimCLR, *arguments: Any, **options: Any) -> Any:
        stopping.calls += 1  # type: ignore[attr-defined]
        if stopping.calls == 3:  # type: ignore[attr-defined]
            raise KeyboardInterrupt
        return whole(self, *arguments, **options)

    stopping.calls = 0  # type: ignore[attr-defined]
    monkeypatch.setattr(SimCLR, "loss_from", stopping)
    stopped = foretell(*words)
    assert stopped.status == 130
    assert f"what is done is kept in {tmp_path / 'run'}; the same foretell pipeline command goes on" in stopped.err
    assert "--resume" not in stopped.err
    monkeypatch.undo()
    (domain,) = (tmp_path / "run").glob("domain-*")
    assert not (domain / "encoder").exists()
    monkeypatch.setenv("FORETELL_CACHE", str(tmp_path / "cache"))
    said = foretell(*words)
    assert said.status == 0, said.err
    assert "going on" in said.out
    assert len(list((tmp_path / "run").glob("domain-*"))) == 1


def test_the_time_of_a_comparison_counts_fits_of_earlier_tries_once(
    done: Path, studies: Path, foretell: Call, tmp_path: Path
) -> None:
    """All fits are kept, and took ten seconds each; a second comparison of the same arms counts none of them again."""
    out = tmp_path / "made"
    shutil.copytree(done, out)
    weights = ("cases", "domain", "classifier")
    kept = [json.loads(line) for line in (out / "run" / "fits.jsonl").read_text().splitlines()]
    (out / "run" / "fits.jsonl").write_text("".join(json.dumps({**fit, "seconds": 10.0}) + "\n" for fit in kept))
    for folder in (out / "run").iterdir():
        if folder.is_dir() and not folder.name.startswith(weights):
            shutil.rmtree(folder)
    again_at = PLAN[PLAN.index('[[step]]\nname = "comparison"') : PLAN.index('[[step]]\nname = "classifier"')]
    (out / "plan.toml").write_text(
        PLAN + again_at.replace('"comparison"', '"second"').replace("seeds = 2", "seeds = 1")
    )
    said = foretell(*again(out, studies))
    assert said.status == 0, said.err
    steps = {step["name"]: step for step in numbers(out)["steps"]}
    named = set(json.loads((Path(steps["comparison"]["folder"]) / "comparison.json").read_text())["took"])
    assert named <= {fit["key"] for fit in kept}
    assert 10 * len(named) <= steps["comparison"]["seconds"] < 10 * len(named) + 10
    assert steps["second"]["seconds"] < 10


def test_branches_of_two_widths_stand_beside_a_start(done: Path, studies: Path, foretell: Call, tmp_path: Path) -> None:
    """The weights of an earlier run as a start, a branch behind it, one without it, and a wider encoder."""

    def pretrain(name: str, more: str, encoder: str = "resnet_tiny") -> str:
        return f'''
[[step]]
name = "{name}"
kind = "pretrain"
recipe = "xray"
{more}
[step.set]
"encoder.name" = "{encoder}"
"training.steps" = 1
'''

    shared = PLAN[: PLAN.index("[[step]]")].replace('"encoder.name" = "resnet_tiny"\n', "")
    start = '[[step]]\nname = "natural"\nkind = "start"\nneeded = true\n'
    compare = (
        '[[step]]\nname = "comparison"\nkind = "compare"\nof = ["natural", "alone", "both", "wide"]\n'
        'per_class = "all"\nseeds = 1\ntrials = 1\n'
    )
    steps = [pretrain("alone", ""), pretrain("both", 'after = "natural"'), pretrain("wide", "", "resnet_small")]
    (tmp_path / "plan.toml").write_text("\n".join([shared, start, *steps, compare]))
    words = [
        "pipeline",
        tmp_path / "plan.toml",
        studies,
        "--labels",
        studies.parent / "labels.csv",
        "--out",
        tmp_path / "run",
    ]
    refused(foretell(*words), "step natural needs weights", "--weights FILE")
    other = tmp_path / "other.safetensors"
    save_file({"conv.weight": torch.zeros(8, 3, 3, 3)}, other)
    refused(foretell(*words, "--weights", other), "other.safetensors: does not fit encoder 'resnet_tiny'")
    assert not list((tmp_path / "run").glob("alone-*"))  # which comes before the step that begins at the weights
    (weights,) = (done / "run").glob("domain-*")
    said = foretell(*words, "--weights", weights)
    assert said.status == 0, said.err
    (comparison,) = json.loads((tmp_path / "run" / "report.json").read_text())["comparisons"]
    tuned = [arm for arm, about in comparison["arms"].items() if not about["frozen"]]
    assert tuned == ["scratch, resnet_tiny", "scratch, resnet_small", "natural", "alone", "both", "wide"]
    assert {(row["arm"], row["against"]) for row in comparison["paired"]} == {
        ("natural", "scratch, resnet_tiny"), ("alone", "scratch, resnet_tiny"), ("alone", "natural"),
        ("both", "scratch, resnet_tiny"), ("both", "natural"), ("both", "alone"), ("wide", "scratch, resnet_small"),
    }  # fmt: skip
    assert "equals natural" not in said.out
    page = (tmp_path / "run" / "report.html").read_text()
    for text in (
        "give --shift COLUMN=VALUE",
        "give several amounts",
        "One seed leaves",
        "from scratch, resnet_small",
        "domain",
    ):
        assert text in page, text
    assert "give --weights FILE" not in page
    (both,) = (tmp_path / "run").glob("both-*")
    assert f'weights = "{weights}"' in (both / "recipe.toml").read_text()


def test_a_first_step_on_other_images(studies: Path, pictures: Path, foretell: Call, tmp_path: Path) -> None:
    """Self-supervised on colour pictures first, then on the domain; the domain's labels are not looked for there."""
    plan = PLAN.replace('kind = "start"', 'kind = "pretrain"\nrecipe = "xray"\n[step.set]\n"training.steps" = 1')
    plan = plan.replace('"training.steps" = 1', f'"training.steps" = 1\n"data.source" = "{pictures}"', 1)
    plan = plan.replace("seeds = 2", "seeds = 1").replace("40%,all", "all")
    (tmp_path / "plan.toml").write_text(plan[: plan.index('[[step]]\nname = "classifier"')])
    labels = studies.parent / "labels.csv"
    said = foretell("pipeline", tmp_path / "plan.toml", studies, "--labels", labels, "--out", tmp_path / "run")
    assert said.status == 0, said.err
    (comparison,) = json.loads((tmp_path / "run" / "report.json").read_text())["comparisons"]
    assert [arm for arm, about in comparison["arms"].items() if not about["frozen"]] == [
        "scratch",
        "start",
        "domain",
        "cases",
    ]


def test_a_step_that_could_not_begin_is_refused_before_the_first_is_trained(
    done: Path, studies: Path, foretell: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(plan: str, *more: str) -> Any:
        (tmp_path / "plan.toml").write_text(plan)
        return foretell(*again(tmp_path, studies), *more)

    cases = '"objective.name" = "micle"'
    refused(
        said(PLAN, "-s", "training.batch=32"),
        "step cases: 20 cases are fewer than a batch of 32; set training.batch to 20 or less",
        "for this step alone stands under its [step.set]",
    )
    refused(said(PLAN, "-s", "training.chunk=2"), "step domain: training.chunk = 2: batch norm sees only")
    refused(
        said(PLAN.replace(cases, f'{cases}\n"encoder.name" = "resnet_small"')),
        "step cases: the encoder of step domain: ", "encoder 'resnet_small'",
    )  # fmt: skip
    refused(
        said(PLAN.replace(cases, f'{cases}\n"data.split_seed" = 1')),
        "step cases: is trained or tested on other images than step domain; give both steps the same data.split",
    )
    refused(said(PLAN, "-s", "transfer.device=cuda:99"), "cuda:99")
    refused(said(PLAN + '[step.set]\n"transfer.step" = 3\n'), "did you mean 'transfer.steps'?")
    alone = PLAN[: PLAN.index('[[step]]\nname = "comparison"')] + PLAN[PLAN.index('[[step]]\nname = "classifier"') :]
    (tmp_path / "plan.toml").write_text(alone)
    refused(foretell("pipeline", tmp_path / "plan.toml", studies, "--out", tmp_path / "run"), "two classes or more")
    assert not (tmp_path / "run").exists()
    # what the refusal names: with a batch of its own the step before is used again as it is
    shutil.copytree(done / "run", tmp_path / "run")

    def stop(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pretraining, "start", stop)
    ended = said(PLAN.replace(cases, f'{cases}\n"training.batch" = 4'))
    assert ended.status == 130
    assert ended.out.count("done before and unchanged") == 2
    assert "step 3 of 5, cases" in ended.out


def test_pretraining_takes_findings_without_a_class_and_domains_of_the_header(
    studies: Path, foretell: Call, tmp_path: Path
) -> None:
    rows = [f"ID-{patient},{patient % 2},{'test' if patient > 20 else 'train'}" for patient in range(30)]
    (tmp_path / "findings.csv").write_text("\n".join(["PatientID,bright,split", *rows]) + "\n")
    told = foretell(
        "pretrain", studies, "--labels", tmp_path / "findings.csv", "--out", tmp_path / "run", "--encoder", "resnet_tiny",
        *("--batch", 8, "--budget", "1 step", "-s", "transfer.findings=bright", "-s", "data.columns.domain=study"),
    )  # fmt: skip
    assert told.status == 0, told.err
    assert "42 images to learn from" in told.out


def test_findings_alone_make_a_test_part(studies: Path, foretell: Call, tmp_path: Path) -> None:
    rows = [f"ID-{patient},{patient % 2},{int(patient % 5 == 0)}" for patient in range(30)]
    (tmp_path / "findings.csv").write_text("\n".join(["PatientID,bright,rare", *rows]) + "\n")
    words = [studies, "--labels", tmp_path / "findings.csv", "--out", tmp_path / "run", "--encoder", "resnet_tiny"]
    words += ["--batch", 8, "--budget", "1 step", "-s", "transfer.findings=bright,rare"]
    told = foretell("pretrain", *words)
    assert told.status == 0, told.err
    kept = json.loads((tmp_path / "run" / "split.json").read_text())
    assert "held out at random by the rarest finding, groups kept whole" in kept["how"]
    store, test = open_images(studies), set(kept["test"])
    groups = store.table.column("group")
    assert test
    assert not {groups[row] for row in test} & {groups[row] for row in kept["train"]}
    told = foretell("evaluate", tmp_path / "run")
    assert told.status == 0, told.err
    refused(
        foretell("evaluate", tmp_path / "run", "-s", "transfer.findings=brigt"), "column of transfer.findings", "brigt"
    )


@pytest.mark.parametrize("name", ["medical", "medical_starts", "medical_widths"])
def test_the_packaged_pipelines_are_valid(name: str) -> None:
    plan = pipeline_plan.read_plan(name)
    (compared,) = (step for step in plan.step if step.kind == "compare")
    assert all(plan.chain(step)[-1].title for step in compared.of)
    assert compared.per_class == "10%,30%,50%,70%,all"
    if name == "medical_starts":
        with pytest.raises(InputError, match="needs weights"):
            pipeline_plan.check_weights(plan, name)
        assert [step.name for step in plan.chain("natural-domain-cases")] == [
            "natural",
            "natural-domain",
            "natural-domain-cases",
        ]
