"""Foretell: self-supervised learning from one's own data.

Every verb of the command line is a function here: ``foretell.pretrain("photos/", budget="5m")``.
They are loaded when first used.
"""

from __future__ import annotations

import functools
import importlib
import sys
from pkgutil import resolve_name
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foretell.verbs.check import check as check
    from foretell.verbs.demo import demo as demo
    from foretell.verbs.embed import embed as embed
    from foretell.verbs.evaluate import evaluate as evaluate
    from foretell.verbs.export import export as export
    from foretell.verbs.fill import fill as fill
    from foretell.verbs.finetune import finetune as finetune
    from foretell.verbs.generate import generate as generate
    from foretell.verbs.inpaint import inpaint as inpaint
    from foretell.verbs.neighbours import neighbours as neighbours
    from foretell.verbs.next_sentence import next_sentence as next_sentence
    from foretell.verbs.objectives import objectives as objectives
    from foretell.verbs.pipeline import pipeline as pipeline
    from foretell.verbs.pretrain import pretrain as pretrain
    from foretell.verbs.report import report as report
    from foretell.verbs.reproduce import reproduce as reproduce

__version__ = "0.1.0"

VERBS = {
    "demo": "foretell.verbs.demo:demo",
    "pretrain": "foretell.verbs.pretrain:pretrain",
    "finetune": "foretell.verbs.finetune:finetune",
    "pipeline": "foretell.verbs.pipeline:pipeline",
    "evaluate": "foretell.verbs.evaluate:evaluate",
    "embed": "foretell.verbs.embed:embed",
    "neighbours": "foretell.verbs.neighbours:neighbours",
    "inpaint": "foretell.verbs.inpaint:inpaint",
    "fill": "foretell.verbs.fill:fill",
    "next-sentence": "foretell.verbs.next_sentence:next_sentence",
    "generate": "foretell.verbs.generate:generate",
    "check": "foretell.verbs.check:check",
    "report": "foretell.verbs.report:report",
    "objectives": "foretell.verbs.objectives:objectives",
    "export": "foretell.verbs.export:export",
    "reproduce": "foretell.verbs.reproduce:reproduce",
}

# a verb of two words is a function with an underscore in Python
_NAMES = {name.replace("-", "_"): name for name in VERBS}

__all__ = ["VERBS", "__version__", *_NAMES]


@functools.cache
def _verb(name: str) -> Any:
    from foretell.calling import checked

    return checked(resolve_name(VERBS[name]))


class _Part(ModuleType):
    """A subpackage with the name of a verb (report, objectives): calling it calls the verb."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return _verb(self.__name__.rpartition(".")[2])(*arguments, **options)


class _Foretell(ModuleType):
    def __setattr__(self, name: str, value: object) -> None:
        # the import system binds foretell.report here, where a person expects the verb of that name
        if name in VERBS and type(value) is ModuleType:
            value.__class__ = _Part
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        if name in ("report", "objectives"):
            return importlib.import_module(f"foretell.{name}")
        if name in _NAMES:
            return _verb(_NAMES[name])
        raise AttributeError(f"module 'foretell' has no attribute '{name}'", name=name, obj=self)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_NAMES})


sys.modules[__name__].__class__ = _Foretell
