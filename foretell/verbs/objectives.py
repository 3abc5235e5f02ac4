"""``foretell objectives``: the pretext tasks."""

from __future__ import annotations

from typing import Annotated, Any

from foretell.options import Arg


def objectives(
    name: Annotated[str | None, Arg("one task: its settings too")] = None,
) -> list[dict[str, str]]:
    """List the pretext tasks: what each hides and foretells.

    With a name, list that task's settings, to be given as --set KEY=VALUE or in a recipe.

    Returns one dict a task: name, hides, foretells, needs, good_for, paper. Raises InputError for an unknown name.
    """
    import foretell.objectives as registry

    found = [_described(registry.get(each)) for each in ([name] if name else registry.names())]
    for about in found:
        print(about["name"])
        for key in ("hides", "foretells", "needs", "good_for", "paper"):
            print(f"  {key.replace('_', ' ') + ':':<11} {about[key]}")
    if name:
        _print_settings(name)
    else:
        print("\nSettings of one: foretell objectives NAME")
    return found


def _described(objective: Any) -> dict[str, str]:
    return {key: getattr(objective, key) for key in ("name", "hides", "foretells", "needs", "good_for", "paper")}


def _print_settings(name: str) -> None:
    import textwrap

    from foretell.recipe import Recipe

    print("\nsettings (--set KEY=VALUE):")
    for key, kind, default, text in Recipe.settings_table(name):
        if not key.startswith("objective.") or key == "objective.name":
            continue
        print(f"  {key} = {default or 'auto'}  ({kind})")
        if text:
            print(textwrap.fill(text, 108, initial_indent="      ", subsequent_indent="      "))
