"""A function's signature as a command line."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest

from foretell import VERBS
from foretell.cli import load
from foretell.errors import InputError
from foretell.options import Arg, Overrides, Where, parameters, parser, read_arguments


def verb(
    data: Annotated[Where, Arg("the data")],
    other: Annotated[Where | None, Arg("more data")] = None,
    *,
    kind: Annotated[Literal["timm", "onnx"], Arg("a kind")] = "timm",
    steps: Annotated[int | None, Arg("how many")] = None,
    rate: Annotated[float, Arg("how fast")] = 0.1,
    per_class: Annotated[str, Arg("numbers", "N,N,...")] = "1,5",
    arms: Annotated[str, Arg("which arms")] = "",
    set: Annotated[Overrides, Arg("settings", "KEY=VALUE", "-s")] = (),
    compare: Annotated[bool, Arg("compare")] = True,
    resume: Annotated[bool, Arg("go on")] = False,
    only_python: Any = None,
) -> None:
    """Do it.

    With 100% of the data.

    Returns nothing.
    """


def test_values_get_the_types_of_the_signature() -> None:
    words = "photos --steps 3 --rate=1e-3 -s a=1 more --set b=-2 --no-compare --resume --per-class 1,2 --kind onnx"
    assert read_arguments("verb", verb, words.split()) == {
        "data": "photos",
        "other": "more",
        "steps": 3,
        "rate": 1e-3,
        "set": ["a=1", "b=-2"],
        "compare": False,
        "resume": True,
        "per_class": "1,2",
        "kind": "onnx",
    }


def test_what_is_not_given_is_left_to_the_function() -> None:
    assert read_arguments("verb", verb, ["photos"]) == {"data": "photos"}


def test_a_value_may_begin_as_a_number_below_0() -> None:
    words = "photos --per-class -1,5 --rate -1e-3 --steps -3 -s -.5=1 --arms=-1,2"
    read = read_arguments("verb", verb, words.split())
    assert (read["per_class"], read["rate"]) == ("-1,5", -1e-3)
    assert (read["steps"], read["set"], read["arms"]) == (-3, ["-.5=1"], "-1,2")
    with pytest.raises(InputError, match="expected one argument"):
        read_arguments("verb", verb, ["photos", "--arms", "-x"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "foretell verb: DATA is missing: the data"),
        ("a b c", "one argument too many: 'c'. See"),
        ("--data a b", "foretell verb: DATA stands by itself, without '--data'"),
        ("a --step 3", "unknown option '--step'; did you mean '--steps'?"),
        ("a --stpes=3", "unknown option '--stpes'; did you mean '--steps'?"),
        ("a -x", "unknown option '-x'"),
        ("a --steps three", "--steps: expected a whole number, not 'three'"),
        ("a --rate fast", "--rate: expected a number, not 'fast'"),
        ("a --kind onxn", "--kind: unknown value 'onxn'; did you mean 'onnx'? Known: timm, onnx"),
        ("a --steps", "--steps"),
    ],
)
def test_wrong_words(words: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_arguments("verb", verb, words.split())
    assert message in str(caught.value)


def test_data_that_is_an_option_is_asked_after() -> None:
    def tuned(run: Annotated[Where, Arg("a run")], *, data: Annotated[Where | None, Arg("data")] = None) -> None: ...

    with pytest.raises(InputError, match=r"too many: 'posts.csv'; did you mean '--data posts.csv'\? See"):
        read_arguments("tuned", tuned, ["run", "posts.csv"])


def test_help_is_the_docstring_and_the_annotations() -> None:
    text = parser("verb", verb).format_help()
    assert "usage: foretell verb DATA [OTHER] [options]" in text
    for part in ("With 100% of the data.", "how fast (default: 0.1)", "(default: yes)", "--no-compare", "KEY=VALUE"):
        assert part in text
    assert "Returns nothing" not in text
    assert "which arms\n" in text, "an empty default is not told"
    assert "only_python" not in text.replace("-", "_")


@pytest.mark.parametrize("name", VERBS)
def test_every_parameter_of_every_verb_is_told(name: str) -> None:
    import inspect

    function = load(name)
    known = {parameter.name: parameter for parameter in parameters(function)}
    assert list(known) == list(inspect.signature(function).parameters)
    assert all(parameter.arg.help for parameter in known.values())
    text = parser(name, function).format_help()
    for parameter in known.values():
        assert (parameter.metavar if parameter.positional else parameter.option) in text
