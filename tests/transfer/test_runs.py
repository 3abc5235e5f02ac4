"""Several runs in one table: the same protocol, paired by seed, or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from foretell.errors import InputError
from foretell.run import Run
from foretell.transfer.runs import compare_runs, table


def made(
    path: Path, lift: float, encoder: str = "resnet_tiny", more: float = 0.0, data: str | None = None, **changes: Any
) -> Path:
    """A run whose comparison has the arms scratch and pretrained, the second higher by ``lift``, give or take ``more``."""
    run = Run.create(path)
    (path / "recipe.toml").write_text("")
    rows = [
        {"arm": arm, "per_class": per_class, "labels": 10 * per_class, "seed": seed,
         "accuracy": 0.3 + 0.1 * per_class + 0.01 * seed + (lift + more * (seed - 1) if arm == "pretrained" else 0)}
        for arm in ("pretrained", "scratch") for per_class in (1, 2) for seed in (0, 1, 2)
    ]  # fmt: skip
    comparison = {
        "metric": "accuracy", "classes": ["a", "b"], "seeds": [0, 1, 2], "trials": 8, "test": {"samples": 50, "split": ""},
        "arms": {"pretrained": {}, "scratch": {}}, "rows": rows, **changes,
    }  # fmt: skip
    run.write_json("facts.json", {"encoder": {"name": encoder}, "data": {"fingerprint": data}})
    run.write_json("results/comparison.json", comparison)
    run.close()
    return path


def test_runs_are_paired_by_seed_with_the_first(tmp_path: Path) -> None:
    one, other = made(tmp_path / "simclr", 0.1), made(tmp_path / "micle", 0.15, "resnet_small", 0.01)
    found = compare_runs([one, other])
    assert len(found["rows"]) == 2 * 2 * 2
    differences = {(row["arm"], row["labels"]): row for row in found["paired"]}
    assert set(differences) == {(arm, labels) for arm in ("pretrained", "scratch") for labels in (10, 20)}
    better = differences["pretrained", 10]
    assert (better["run"], better["against"], better["verdict"]) == ("micle", "simclr", "better")
    assert better["difference"] == pytest.approx(0.05)
    assert differences["scratch", 20]["difference"] == 0
    lines = table(found)
    assert lines[0] == "| run | encoder | arm | 10 labels | 20 labels |"
    assert lines[2] == "| simclr | resnet_tiny | pretrained | 51.0 (48.5 to 53.5) | 61.0 (58.5 to 63.5) |"
    assert lines[4].startswith("| micle | resnet_small | pretrained | 56.0")


def test_an_amount_is_one_column_where_each_seed_draws_another_number_of_labels(tmp_path: Path) -> None:
    # Whole groups were labelled: with every seed the same amounts came to other numbers, and one of these to both.
    drawn = {(1, 0): 17, (1, 1): 16, (1, 2): 41, (None, 0): 41, (None, 1): 39, (None, 2): 43}
    rows = [
        {"arm": arm, "per_class": amount, "labels": labels, "seed": seed, "accuracy": score + 0.01 * seed}
        for arm, score in (("pretrained", 0.5), ("scratch", 0.4)) for (amount, seed), labels in drawn.items()
    ]  # fmt: skip
    found = compare_runs([made(tmp_path / name, 0.1, rows=rows) for name in ("one", "other")])
    assert [(row["per_class"], row["labels"], row["n"]) for row in found["rows"]] == 4 * [(1, 17, 3), (None, 41, 3)]
    assert [(row["per_class"], row["n"]) for row in found["paired"]] == 2 * [(1, 3), (None, 3)]
    assert table(found)[0] == "| run | encoder | arm | 17 labels | 41 labels |"
    assert table(found)[2] == "| one | resnet_tiny | pretrained | 51.0 (48.5 to 53.5) | 51.0 (48.5 to 53.5) |"


def test_runs_of_one_name_are_told_apart_by_the_folders_above(tmp_path: Path) -> None:
    one, other, third = (
        made(tmp_path / name, lift) for name, lift in (("a/run", 0.1), ("b/run", 0.2), ("b/wide", 0.3))
    )
    found = compare_runs([one, other, third])
    assert {row["run"] for row in found["paired"]} == {"b/run", "wide"}
    assert {row["against"] for row in found["paired"]} == {"a/run"}
    shown = [line for line in table(found) if "| pretrained |" in line]
    assert [line.split(" | ")[0] for line in shown] == ["| a/run", "| b/run", "| wide"]
    assert len({line.split(" | ")[3] for line in shown}) == 3
    with pytest.raises(InputError, match="run: is given twice; expected runs that differ"):
        compare_runs([one, other, tmp_path / "b" / ".." / "a" / "run"])


def test_other_data_and_other_settings_are_refused_where_they_are_known(tmp_path: Path) -> None:
    settings = {"pooling": "mean", "steps": 10}
    one = made(tmp_path / "one", 0.1, data="a", settings=settings)
    compare_runs([one, made(tmp_path / "same", 0.2, data="a", settings=settings)])
    compare_runs([one, made(tmp_path / "unknown", 0.2)])
    with pytest.raises(InputError, match=r"differs from that of .* in data; evaluate both with the same data"):
        compare_runs([one, made(tmp_path / "other", 0.2, data="b", settings=settings)])
    with pytest.raises(InputError, match=r" in transfer\.pooling, transfer\.steps; evaluate both .* and settings"):
        compare_runs([one, made(tmp_path / "max", 0.2, data="a", settings={"pooling": "max", "steps": None})])


def test_seeds_that_all_agree_have_no_interval(tmp_path: Path) -> None:
    rows = [
        {"arm": "pretrained", "per_class": 1, "labels": 10, "seed": seed, "accuracy": 1.0} for seed in (0, 1, 2)
    ]  # fmt: skip
    found = compare_runs([made(tmp_path / name, 0.1, rows=rows, arms={"pretrained": {}}) for name in ("one", "other")])
    assert table(found)[2] == "| one | resnet_tiny | pretrained | 100.0 (no spread) |"


def test_what_cannot_be_compared_is_refused_in_words(tmp_path: Path) -> None:
    one = made(tmp_path / "one", 0.1)
    with pytest.raises(InputError, match="two or more, not 1"):
        compare_runs([one])
    with pytest.raises(InputError, match=r"differs from that of .* in seeds, test; evaluate both with the same data"):
        compare_runs([one, made(tmp_path / "other", 0.1, seeds=[0], test={"samples": 51, "split": ""})])
    empty = Run.create(tmp_path / "empty")
    (empty.path / "recipe.toml").write_text("")
    empty.close()
    with pytest.raises(InputError, match="no comparison yet; make one with: foretell evaluate"):
        compare_runs([one, empty.path])
    assert json.loads((one / "results" / "comparison.json").read_text())["metric"] == "accuracy"
