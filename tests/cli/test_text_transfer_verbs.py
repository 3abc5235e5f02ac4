"""From a run on text and a table of labels to a classifier, a comparison and features, by the verbs a person types."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import optuna
import pytest

import foretell
from foretell.cli import main
from foretell.errors import InputError
from foretell.run import Run
from foretell.transfer.text.saved import load_text
from foretell.verbs import pretraining, text_transfer
from foretell.verbs.common import told_arms
from foretell.verbs.text_transfer import open_labelled

TINY = ["objective.network.layers=1", "objective.network.width=32", "objective.network.heads=2", "objective.length=32"]
TRAINING = ["training.rate=0.003", "training.precision=float32", "training.batch=16", "training.health_every=40"]
QUICK = ["transfer.steps=20", "transfer.curve_points=2", "transfer.text.precision=float32", "transfer.text.batch=8"]
WHO = ["Anna", "Ben", "Clara", "David", "Emma", "Felix"]
DOES = {
    "school": ["learns", "reads", "writes"],
    "kitchen": ["boils", "cooks", "bakes"],
    "garden": ["sings", "digs", "sows"],
}


def told(number: int) -> tuple[str, str]:
    place = list(DOES)[number % 3]
    return (
        f"{WHO[number % 6]} {DOES[place][(number // 3) % 3]} and {DOES[place][(number // 9) % 3]} with {WHO[(number + 2) % 6]}",
        place,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bert and a gpt on unlabelled text, and tables of every task."""
    folder = tmp_path_factory.mktemp("texts")
    rows = [told(number) for number in range(180)]
    (folder / "plain.txt").write_text("\n\n".join(f"In the {place} {text}." for text, place in rows))
    (folder / "topics.csv").write_text("text,label\n" + "".join(f"{text},{place}\n" for text, place in rows[:90]))
    pairs = [(rows[n][0], rows[n + 3 + n % 2][0], "no" if n % 2 else "yes") for n in range(60)]
    (folder / "pairs.csv").write_text("text_a,text_b,label\n" + "".join(f"{a},{b},{label}\n" for a, b, label in pairs))
    choices = [
        {"context": rows[n][0], "choices": [rows[n + 1][0], rows[n + 3][0]][:: 1 if n % 2 else -1], "label": n % 2}
        for n in range(40)
    ]
    (folder / "choices.jsonl").write_text("\n".join(map(json.dumps, choices)))
    for name in ("bert", "gpt"):
        foretell.pretrain(
            folder / "plain.txt",
            objective=name,
            out=folder / name,
            budget="40 steps",
            set=[*TINY, *TRAINING, "data.documents=blank"],  # how this text is read says nothing of a table
        )
    return folder


def copy_of(made: Path, name: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / name, tmp_path / name))


def test_a_second_process_joins_the_searches(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = copy_of(made, "bert", tmp_path)
    arguments = [
        "finetune",
        str(run),
        "--data",
        str(made / "topics.csv"),
        "--per-class",
        "2",
        "--seeds",
        "1",
        "--trials",
        "2",
    ]
    arguments += [word for setting in [*QUICK, "transfer.search.method=random"] for word in ("-s", setting)]
    held = Run.resume(run)
    assert main(arguments) == 0
    assert "taking part in its searches" in capsys.readouterr().out
    assert not (run / "classifier").exists()
    assert not (run / "results" / "comparison.json").exists()
    held.close()
    studies = [
        (study.study_name, study.n_trials) for study in optuna.get_all_study_summaries(f"sqlite:///{run}/search.db")
    ]
    assert [count for _, count in studies] == [2, 2, 2]
    assert main(arguments) == 0
    again = [
        (study.study_name, study.n_trials) for study in optuna.get_all_study_summaries(f"sqlite:///{run}/search.db")
    ]
    assert again == studies
    assert len(json.loads((run / "results" / "finetune.json").read_text())["search"]["trials"]) == 2


@pytest.mark.parametrize("name", ["bert", "gpt"])
def test_finetune_gives_a_classifier_a_report_and_a_comparison_with_tfidf(
    name: str, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copy_of(made, name, tmp_path)
    arguments = ["finetune", str(run), "--data", str(made / "topics.csv"), "--per-class", "2,all", "--seeds", "2"]
    assert main([*arguments, "--trials", "2", *(word for setting in QUICK for word in ("-s", setting))]) == 0
    shown = capsys.readouterr().out
    assert "90 rows, classification" in shown
    assert "fine-tuning on 72 labels of 3 classes" in shown
    kept = json.loads((run / "results" / "comparison.json").read_text())
    assert {row["arm"] for row in kept["rows"]} == {"pretrained", "probe", "scratch", "random", "tfidf"}
    assert kept["verdict"] in shown
    page = (run / "report.html").read_text()
    assert "TF-IDF" in page
    assert "features words" in page
    assert "label-efficiency" in page.lower()
    found = load_text(run / "classifier").predict(["Anna boils and cooks with Ben"])
    assert set(found[0]) == set(DOES)
    assert sum(found[0].values()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("arms", "always", "told_"),
    [
        (None, "TF-IDF", "with training from scratch and with TF-IDF"),
        (["probe", "scratch"], "", "with training from scratch"),
        (["probe", "random"], "", "the arms probe and random"),
        (["probe"], "TF-IDF", "the arm probe beside TF-IDF"),
    ],
)
def test_a_comparison_names_what_it_compares(arms: list[str] | None, always: str, told_: str) -> None:
    assert told_arms(arms, always) == told_


def test_finetune_of_pairs_and_choices(made: Path, tmp_path: Path) -> None:
    run = copy_of(made, "gpt", tmp_path)
    for task, file, texts in (
        ("similarity", "pairs.csv", ("Anna cooks", "Ben boils")),
        (None, "pairs.csv", ("Anna cooks", "Ben boils")),
        (None, "choices.jsonl", ("Anna cooks", "Ben boils", "Ben digs", "Emma reads")),
    ):
        found = foretell.finetune(run, data=made / file, task=task, compare=False, trials=1, set=QUICK)
        assert found.comparison is None
        assert 0 <= found.scores["accuracy"] <= 1
        classifier = load_text(found.model)
        assert classifier.task == (task or ("entailment" if file == "pairs.csv" else "choice"))
        answer = classifier.predict([texts])[0]
        assert list(answer) == (["no", "yes"] if file == "pairs.csv" else list(texts[1:]))
        facts = json.loads((run / "results" / "finetune.json").read_text())
        assert facts["task"] == classifier.task


def test_a_choice_is_cut_in_no_more_than_its_answers(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copy_of(made, "bert", tmp_path)
    rows = [
        {"context": f"Anna cooks {row} " * 9, "choices": ["a", "b", "c"], "label": str(row % 3)} for row in range(20)
    ]
    (tmp_path / "long.jsonl").write_text("\n".join(map(json.dumps, rows)))
    opened = open_labelled(run, tmp_path / "long.jsonl", None, "cpu", ["transfer.text.length=8"])
    opened.close()
    assert "60 sequences longer than 8 tokens and cut (100.0%)" in capsys.readouterr().out


def test_evaluate_says_what_frozen_features_are_worth(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copy_of(made, "bert", tmp_path)
    found = foretell.evaluate(run, made / "topics.csv", trials=3, set=QUICK)
    assert set(found["linear_probe"]) == {"pretrained", "random", "tfidf"}
    assert set(found["knn"]) == {"pretrained", "random"}
    low, high = found["linear_probe"]["tfidf"]["intervals"]["accuracy"]
    assert low <= found["linear_probe"]["tfidf"]["accuracy"] <= high
    assert found["linear_probe"]["tfidf"]["accuracy"] > 0.9
    assert "TF-IDF" in capsys.readouterr().out
    assert "Linear probe" in (run / "report.html").read_text()


def test_a_comparison_does_not_outlast_the_labels_it_is_of(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, table = copy_of(made, "bert", tmp_path), Path(shutil.copy(made / "topics.csv", tmp_path))
    place = run / "results" / "comparison.json"

    def evaluated(file: Path = table) -> dict[str, object]:
        foretell.evaluate(run, file, trials=1, set=QUICK)
        return json.loads(place.read_text())  # type: ignore[no-any-return]

    compared = {**evaluated(), "verdict": "worth it"}
    place.write_text(json.dumps(compared))
    assert evaluated()["verdict"] == "worth it"
    assert evaluated(Path(shutil.copy(table, tmp_path / "by another name.csv")))["verdict"] == "worth it"
    lines = table.read_text().splitlines()
    words, _, label = lines[1].rpartition(",")
    lines[1] = f"{words},{'garden' if label != 'garden' else 'kitchen'}"
    table.write_text("\n".join(lines))
    found = evaluated()
    assert "verdict" not in found
    assert found["labels_fingerprint"] != compared["labels_fingerprint"]


def test_a_folder_in_a_public_layout_needs_no_run(made: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(made / "bert" / "encoder", tmp_path / "checkpoint"))
    found = foretell.finetune(folder, data=made / "topics.csv", compare=False, trials=1, set=QUICK)
    assert found.report is None
    assert found.model == folder / "classifier"
    with pytest.raises(InputError, match="no text of its own; give --data FILE"):
        foretell.evaluate(folder)


def test_embed_writes_a_vector_a_document(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = copy_of(made, "bert", tmp_path)
    features = foretell.embed(run, made / "topics.csv", out=tmp_path / "x.npz")
    kept = np.load(tmp_path / "x.npz")
    assert features.shape == (90, 32)
    assert kept["features"] == pytest.approx(features)
    assert kept["label"][:3].tolist() == list(DOES)
    assert kept["path"][1].endswith("topics.csv, row 2")
    (tmp_path / "named.csv").write_text((made / "topics.csv").read_text().replace("text,", "body,", 1))
    with pytest.raises(InputError, match=r"Then give --set data\.columns\.text=body"):
        foretell.embed(run, tmp_path / "named.csv", out=tmp_path / "y.npz")
    again = foretell.embed(run, tmp_path / "named.csv", out=tmp_path / "y.npz", set=["data.columns.text=body"])
    assert again == pytest.approx(features)
    own = foretell.embed(run)
    assert own.shape == (180, 32)
    assert len(np.load(run / "features.npz")["features"]) == 180
    monkeypatch.chdir(tmp_path)
    foretell.embed(run, made / "topics.csv")
    assert len(np.load(tmp_path / "features.npz")["features"]) == 90
    assert len(np.load(run / "features.npz")["features"]) == 180
    (run / "features.npz").unlink()
    foretell.embed(run, shutil.copy(made / "plain.txt", tmp_path))  # the same text elsewhere is the run's own
    assert (run / "features.npz").is_file()


def test_the_labels_of_the_runs_own_text_keep_its_split(made: Path, tmp_path: Path) -> None:
    run = tmp_path / "labelled"
    foretell.pretrain(made / "topics.csv", objective="bert", out=run, budget="4 steps", set=[*TINY, *TRAINING])
    foretell.evaluate(run, trials=1, set=QUICK)
    kept = json.loads((run / "results" / "evaluation.json").read_text())
    split = json.loads((run / "split.json").read_text())
    assert kept["test"] == {"samples": len(split["test"]), "split": split["how"]}
    foretell.evaluate(run, shutil.copy(made / "topics.csv", tmp_path / "copy.csv"), trials=1, set=QUICK)
    how = json.loads((run / "results" / "evaluation.json").read_text())["test"]["split"]
    assert how.endswith("; pretraining saw these texts too, without labels")


def test_the_runs_own_text_in_another_order_since_is_divided_anew(made: Path, tmp_path: Path) -> None:
    table, run = tmp_path / "topics.csv", tmp_path / "labelled"
    table.write_text((made / "topics.csv").read_text())
    foretell.pretrain(table, objective="bert", out=run, budget="4 steps", set=[*TINY, *TRAINING])
    head, *rows = table.read_text().splitlines()
    table.write_text("\n".join([head, *reversed(rows)]))  # as many documents as before, none of them at its place
    foretell.evaluate(run, trials=1, set=QUICK)
    how = json.loads((run / "results" / "evaluation.json").read_text())["test"]["split"]
    assert "the text is not as it was when pretraining read it" in how


def test_texts_of_a_part_that_is_neither_learnt_nor_tested_change_no_split(made: Path, tmp_path: Path) -> None:
    lines = (made / "topics.csv").read_text().splitlines()
    part = ["train"] * 60 + ["validation"] * 10 + ["test"] * 20
    table = tmp_path / "parts.csv"
    rows = [f"{line},{own}" for line, own in zip(lines[1:], part, strict=True)]
    table.write_text("\n".join([f"{lines[0]},split", *rows]))
    run = tmp_path / "labelled"
    foretell.pretrain(table, objective="bert", out=run, budget="4 steps", set=[*TINY, *TRAINING, "training.batch=8"])
    foretell.evaluate(run, trials=1, set=QUICK)
    kept = json.loads((run / "results" / "evaluation.json").read_text())
    how = "the split column of the data; 10 documents in no part (10 validation)"
    assert kept["test"] == {"samples": 20, "split": how}


@pytest.mark.parametrize(
    ("arguments", "told_"),
    [
        (["--task", "translation"], "unknown task 'translation'"),
        (["--task", "choice"], "no columns 'context' and 'choice_"),
        (["-s", "transfer.text.length=400"], "texts of up to 400 tokens; expected 8 to 32"),
        (["-s", "transfer.text.auxiliary=0.5"], "an encoder sees the words that come next"),
        (["-s", "data.columns.label=topic"], "topics.csv: unknown column 'topic'"),
        (["--data", "PLAIN"], "plain.txt: is text without labels; give a table of texts with them"),
        (["--data", "SPLIT"], "split.csv: column 'split' names test and no train"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], told_: str, made: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    run = copy_of(made, "bert", tmp_path)
    (tmp_path / "split.csv").write_text("text,label,split\n" + "a b,x,test\nc d,y,test\n" * 9)
    given = {"PLAIN": str(made / "plain.txt"), "SPLIT": str(tmp_path / "split.csv")}
    words = [given.get(word, word) for word in arguments]
    assert main(["finetune", str(run), "--data", str(made / "topics.csv"), "--no-compare", *words]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert told_ in error


def test_another_task_with_out_leaves_the_results_of_the_run(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, other = copy_of(made, "bert", tmp_path), tmp_path / "other"
    foretell.finetune(run, data=made / "topics.csv", compare=False, trials=1, set=QUICK)
    files = {name: (run / name).read_bytes() for name in ("results/finetune.json", "report.html")}
    assert json.loads(files["results/finetune.json"])["data"] == str(made / "topics.csv")
    assert "the commonest class alone, " in capsys.readouterr().out
    given = {"per_class": "2", "seeds": 1, "trials": 1, "set": QUICK}
    found = foretell.finetune(run, data=made / "choices.jsonl", out=other, **given)
    assert found.report is None
    assert all((run / name).read_bytes() == content for name, content in files.items())
    assert not (run / "results" / "comparison.json").exists()
    for name in ("finetune", "comparison"):
        assert json.loads((other / f"{name}.json").read_text())["task"] == "choice"
    assert load_text(other).task == "choice"
    assert f"results: kept in {other}; those of the run stay as they are" in capsys.readouterr().out


def test_a_model_that_was_stopped_while_compared_goes_on_in_its_folder(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*arguments: object) -> None:
        raise KeyboardInterrupt

    run = copy_of(made, "bert", tmp_path)
    given = {"trials": 1, "set": [*QUICK, "transfer.steps=2"], "out": tmp_path / "x"}
    with monkeypatch.context() as patch:
        patch.setattr(text_transfer, "_compare", stop)
        with pytest.raises(KeyboardInterrupt):
            foretell.finetune(run, data=made / "topics.csv", **given)
    assert (tmp_path / "x" / "config.json").is_file()
    assert foretell.finetune(run, data=made / "topics.csv", compare=False, **given).scores
    with pytest.raises(InputError, match="not empty; choose another --out"):
        foretell.finetune(run, data=made / "pairs.csv", compare=False, **given)


def test_a_table_of_another_encoding_tells_its_rows_without_text(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, read = tmp_path / "topics.csv", ["data.encoding=latin-1"]
    table.write_bytes(
        ((made / "topics.csv").read_text() + "Gr\u00fc\u00dfe,school\n,school\n,garden\n").encode("latin-1")
    )
    assert pretraining._is_text(str(table), read)
    assert main(["check", str(table), "-s", *read]) == 0
    assert "91 documents" in (shown := capsys.readouterr().out)
    assert "2 rows without text left out" in shown
    open_labelled(copy_of(made, "bert", tmp_path), table, None, "cpu", read).close()
    assert "2 rows without text left out" in capsys.readouterr().out
