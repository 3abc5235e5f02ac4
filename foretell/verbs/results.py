"""Where what is found on labelled data is kept: in the run, or beside a model of other data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foretell.run import Run, json_text, write_aside
from foretell.verbs.progress import say


@dataclass(kw_only=True)
class Results:
    """``run``: what results go into, None where there is none. ``joins``: another process holds it, and this one takes
    part in its searches. ``beside``: the folder of a model of other data, which then holds the results.
    """

    run: Run | None
    joins: bool = False
    beside: Path | None = None

    def write(self, name: str, value: dict[str, Any]) -> None:
        """Keep the results ``name`` in the run, or beside the model of other data."""
        if self.beside is not None:
            write_aside(self.beside / f"{name}.json", json_text(value))
        elif self.run is not None:
            self.run.write_json(f"results/{name}.json", value)

    def report(self) -> Path | None:
        """The page of the run, built anew; None where it has nothing of these results."""
        if self.beside is not None:
            say(f"results: kept in {self.beside}; those of the run stay as they are")
            return None
        if self.run is None:
            return None
        from foretell.report import build

        page = build(self.run.path)
        say(f"report: {page}")
        return page

    def close(self) -> None:
        """Give the run free."""
        if self.run is not None:
            self.run.close()
