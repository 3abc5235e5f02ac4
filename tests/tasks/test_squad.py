"""SQuAD files: what is read and written, what is refused, and how answers are scored."""

from __future__ import annotations

import gzip
import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from foretell.errors import InputError
from foretell.tasks.answer_baseline import SlidingWindow
from foretell.tasks.answer_score import AnswerTally, best_threshold, exact, judged, normalised, overlap
from foretell.tasks.squad import Answer, Question, read_squad, squad_text, titled, write_answers

CONTEXT = "Ada Lovelace wrote the first program in 1843. Café Ω opened later."


def asked(**changed: Any) -> dict[str, Any]:
    return {"id": "q1", "question": "Who?", "answers": [{"text": "Ada Lovelace", "answer_start": 0}], **changed}


def file(path: Path, *qas: Any, context: Any = CONTEXT) -> Path:
    path.write_text(json.dumps({"data": [{"title": "Ada", "paragraphs": [{"context": context, "qas": list(qas)}]}]}))
    return path


def test_both_versions_are_read(tmp_path: Path) -> None:
    first = file(tmp_path / "a.json", asked(), asked(id="q2", answers=[{"text": "Café Ω", "answer_start": 46}] * 2))
    found = read_squad(first)
    assert [question.answers for question in found] == [(Answer("Ada Lovelace", 0),), (Answer("Café Ω", 46),) * 2]
    assert found[1].answers[0].end == 52
    assert found[1].gold == ("Café Ω",)
    assert titled(found[0]) == "Ada"
    assert titled(Question("a", "Who?", CONTEXT)) == CONTEXT
    plausible = {"plausible_answers": [{"text": "x", "answer_start": 3}]}
    second = file(
        tmp_path / "b.json", asked(is_impossible=False), asked(id=2, answers=[], is_impossible=True, **plausible)
    )
    found = read_squad(second)
    assert [(question.id, question.impossible, question.gold) for question in found] == [
        ("q1", False, ("Ada Lovelace",)),
        ("2", True, ("",)),
    ]
    with gzip.open(tmp_path / "c.json.gz", "wb") as stream:
        stream.write(second.read_bytes())
    assert read_squad(tmp_path / "c.json.gz") == found


@pytest.mark.parametrize("impossible", [False, True])
def test_what_is_written_is_read_again(tmp_path: Path, impossible: bool) -> None:
    questions = [
        Question("a", "Who?", CONTEXT, (Answer("Ada", 0), Answer("Ada Lovelace", 0)), False, "Ada"),
        Question("b", "When?", CONTEXT, (Answer("1843", 40),), False, "Ada"),
        Question("c", "Where?", "Elsewhere.", () if impossible else (Answer("Elsewhere", 0),), impossible, "Bob"),
    ]
    (tmp_path / "a.json").write_text(squad_text(questions))
    assert read_squad(tmp_path / "a.json") == questions
    made = json.loads((tmp_path / "a.json").read_text())
    assert made["version"] == ("v2.0" if impossible else "1.1")
    assert [len(article["paragraphs"][0]["qas"]) for article in made["data"]] == [2, 1]
    write_answers(tmp_path / "answers.json", {"a": "Ada", "c": ""})
    assert json.loads((tmp_path / "answers.json").read_text()) == {"a": "Ada", "c": ""}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (
            asked(answers=[{"text": "Lovelace", "answer_start": 0}]),
            r"a.json, question 'q1': at offset 0 of the context is 'Ada Love', not the answer 'Lovelace'; it stands at 4: "
            r"set answer_start, in characters from 0",
        ),
        (asked(answers=[{"text": "Lovelace", "answer_start": 900}]), r"at offset 900 of the context is '', not"),
        (asked(answers=[{"text": "later.", "answer_start": -6}]), r"at offset -6 .* it stands at 60"),
        (asked(answers=[{"text": "ada", "answer_start": 0}]), r"the context does not hold it: .* letter for letter"),
        (asked(answers=[{"text": "Ada", "answer_start": "0"}]), r"without a whole number 'answer_start'"),
        (asked(answers=[{"text": " ", "answer_start": 3}]), r"an answer is empty; use \"is_impossible\": true"),
        (asked(answers=[]), r"question 'q1': has no answers; give one, or \"is_impossible\": true"),
        (asked(is_impossible=True), r"is_impossible, yet it has answers; take out the one or the other"),
        (asked(question="  "), r"question 'q1': the question is empty"),
        ({"question": "Who?"}, r"article 'Ada': a question without 'id'"),
        ({"id": "q1", "answers": []}, r"question 'q1': no text 'question'"),
        (["q1"], r"a question without 'id'"),
    ],
)
def test_bad_questions(tmp_path: Path, entry: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_squad(file(tmp_path / "a.json", entry))


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="question 'q1': comes twice"):
        read_squad(file(tmp_path / "a.json", asked(), asked()))
    with pytest.raises(InputError, match="no text 'context'"):
        read_squad(file(tmp_path / "a.json", asked(), context=None))
    with pytest.raises(InputError, match="holds no question"):
        read_squad(file(tmp_path / "a.json"))
    for text, said in (
        ("{", "line 1: not valid JSON"),
        ("[]", "no list 'data'"),
        ('{"data": [{}]}', "no list 'paragraphs'"),
    ):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(InputError, match=said):
            read_squad(tmp_path / "a.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_squad(tmp_path / "none.json")


def test_questions_to_answer_need_no_answers(tmp_path: Path) -> None:
    assert read_squad(file(tmp_path / "a.json", {"id": "q", "question": "Who?"}), answered=False)[0].answers == ()


# scores ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("The  Eiffel-Tower, Paris!", "eiffeltower paris"),
        ("an A. the thesis", "thesis"),
        ("$3.50", "350"),
        ("“Zürich”", "“zürich”"),  # only ASCII punctuation, as the official script
        ("a\tb\nc", "b c"),
        ("The", ""),
    ],
)
def test_normalised_by_hand(text: str, plain: str) -> None:
    assert normalised(text) == plain


def test_scores_worked_by_hand() -> None:
    assert exact("the Tower.", "tower")
    assert not exact("towers", "tower")
    # 2 of 3 words are shared with 2: precision 2/3, recall 1
    assert overlap("big Eiffel Tower", "the Eiffel Tower") == pytest.approx(0.8)
    assert overlap("b b c", "b c c") == pytest.approx(2 / 3)  # bags: one b and one c
    assert overlap("", "") == 1
    assert overlap("", "tower") == overlap("tower", "") == overlap("tower", "house") == 0
    assert judged("Eiffel Tower", ["Paris", "the Eiffel Tower in Paris"]) == (0.0, pytest.approx(2 * 2 / 6))
    assert judged("", [""]) == (1.0, 1.0)
    assert judged("x", [""]) == (0.0, 0.0)
    # of a gold answer that is an article nothing is left: it counts only alone
    assert judged("", ["the", "Rome"]) == (0.0, 0.0)
    assert judged("", ["the"]) == (1.0, 1.0)


def test_sums_of_parts_equal_the_whole() -> None:
    cases = [("Ada", ("Ada",)), ("Ada L", ("Ada",)), ("", ("",)), ("Bob", ("",)), ("", ("Ada",))]
    tally = AnswerTally()
    for answer, gold in cases:
        tally.add(answer, gold)
    assert tally.questions == 5
    assert tally.result() == {
        "exact": pytest.approx(2 / 5),
        "f1": pytest.approx((1 + 2 / 3 + 1) / 5),
        "answerable_f1": pytest.approx((1 + 2 / 3) / 3),
        "impossible_f1": 0.5,
    }
    tally = AnswerTally()
    tally.add("Ada", ("Ada",))
    assert tally.result() == {"exact": 1.0, "f1": 1.0}
    assert math.isnan(AnswerTally().result()["f1"])


def test_the_threshold_is_the_best_of_all() -> None:
    chance = random.Random(3)
    for size in (1, 2, 9, 30):
        for _ in range(20):
            # few different margins: those that are equal must go together
            rows = [(chance.randint(-4, 4) / 2, chance.random(), chance.random() < 0.4) for _ in range(size)]
            rows = [(margin, 0.0 if impossible else score, impossible) for margin, score, impossible in rows]

            def mean(threshold: float, rows: list[tuple[float, float, bool]] = rows) -> float:
                return sum(impossible if margin > threshold else score for margin, score, impossible in rows) / len(
                    rows
                )

            best = max(mean(at / 4) for at in range(-10, 11))
            assert mean(best_threshold(rows)) == pytest.approx(best)


def test_thresholds_at_the_ends() -> None:
    assert best_threshold([(0.0, 0.0, True), (1.0, 0.0, True)]) == -1.0
    assert best_threshold([(0.0, 1.0, False), (1.0, 1.0, False)]) == 2.0
    assert best_threshold([(0.0, 1.0, False), (1.0, 0.0, True)]) == 0.5
    assert best_threshold([]) == best_threshold([(math.inf, 0.0, True)]) == 0.0


# the baseline ---------------------------------------------------------------------------------------------------------


def test_the_run_of_words_that_the_question_stands_round() -> None:
    text = "Rome is old. Ada Lovelace wrote the first program in 1843. Café Ω opened in Rome."
    ask = SlidingWindow([text])
    assert ask("Ada Lovelace wrote the first program in ____.", text)[0] == "1843"
    assert ask("____ wrote the first program in 1843.", text)[0] == "Ada Lovelace"
    assert ask("____ opened in Rome", text)[0] == "Café Ω"
    hindi = "राम ने 1843 में पृथ्वी बेची। सीता घर गई।"
    assert SlidingWindow([hindi])("राम ने 1843 में ____ बेची।", hindi)[0] == "पृथ्वी"
    close, far = ask("Ada Lovelace wrote the first ____ in 1843", text), ask("Who sold ten horses", text)
    assert close[0] == "program"
    assert close[1] > far[1] == 0.0
    for question in ("Who?", "", "wrote", "the first"):
        assert ask(question, text)[0] in text


def test_common_words_are_not_at_the_ends_of_an_answer() -> None:
    texts = [f"Person{at} was the Bank{at} of Town{at} and so on" for at in range(20)]
    ask = SlidingWindow(texts)
    assert ask.common == {"was", "the", "of", "and", "so", "on"}
    assert ask("Person3", texts[3])[0] == "Bank3 of Town3"
    assert not SlidingWindow(texts[:5]).common


def test_a_text_without_candidates() -> None:
    ask = SlidingWindow([])
    assert ask("Who?", "") == ("", 0.0)
    assert ask("Who?", "...") == ("", 0.0)
    assert ask("who", "Who who") == ("", 0.0)
    assert len(ask("q", "w " * 50)[0].split()) == 8
