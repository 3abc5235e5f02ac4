"""A text model for the verbs: of a run, or of any folder in a public layout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer

from foretell.data.text.tokenizer import read_tokenizer, specials_of
from foretell.encoders.language import LanguageModel
from foretell.encoders.public import load_public
from foretell.errors import InputError
from foretell.recipe import Recipe
from foretell.run import Run
from foretell.verbs import kinds
from foretell.verbs.progress import say


@dataclass
class TextModel:
    """``model`` in evaluation mode with its ``tokenizer``; ``specials``: role -> id of the special tokens.

    ``path``: what was given; ``folder``: that of the checkpoint.
    """

    model: LanguageModel
    tokenizer: Tokenizer
    specials: dict[str, int]
    path: Path
    folder: Path

    def need(self, *roles: str) -> list[int]:
        """The ids of special tokens. Raises InputError where the tokenizer lacks one."""
        for role in roles:
            if role not in self.specials:
                raise InputError(f"{self.path}: its tokenizer has no {role} token, which this needs")
        return [self.specials[role] for role in roles]

    def tell_unknown(self, text: str) -> None:
        """Say what of ``text`` the tokenizer does not know, where there is such: the model does not see what it is."""
        unknown = self.specials.get("unk")
        encoded = self.tokenizer.encode(text, add_special_tokens=False)
        spans = [span for span, token in zip(encoded.offsets, encoded.ids, strict=True) if token == unknown]
        parts = dict.fromkeys(text[start:end].strip() for start, end in spans)
        if parts:
            say(f"not in the vocabulary, so that the model does not see it: {', '.join(parts)}")

    def states(self, ids: list[int], segment: list[int] | None = None) -> torch.Tensor:
        """(T, width) states of one text. Raises InputError when it is longer than the positions."""
        device = next(self.model.parameters()).device
        given = None if segment is None else torch.tensor([segment], device=device)
        with torch.no_grad():
            found: torch.Tensor = self.model.net(torch.tensor([ids], device=device), segment=given)
        return found[0]


def read_text(path: Path) -> TextModel:
    """Raises InputError for a folder that holds no text model, and a run that is not finished or is of images."""
    folder = path
    if (path / "recipe.toml").is_file():
        kinds.check_kind(path, Recipe.load(path / "recipe.toml"), "text")
        folder = path / "encoder"
        if not (folder / "model.safetensors").is_file():
            raise kinds.no_encoder(Run.read(path))
    model, text = load_public(folder)
    tokenizer = read_tokenizer(text, str(folder / "tokenizer.json"))
    return TextModel(model.requires_grad_(False), tokenizer, specials_of(tokenizer), path, folder)
