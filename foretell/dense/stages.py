"""The feature maps of an encoder at several resolutions, whatever its architecture."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from foretell.encoders.base import Encoder

MOST = 4  # resolutions: the coarser ones are kept


class Stages(nn.Module):
    """The encoder's last map, and the last one before it at each finer resolution that a convolutional network passes.

    ``channels``: of each map, finest first; a transformer has its last map only. The encoder is not part of the state.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self._encoder = [encoder]  # in a list: its parameters belong to whoever uses this
        self._seen: dict[str, Tensor] = {}
        names, last = self._passed(encoder)
        modules = dict(encoder.named_modules())
        self._names = names
        self._handles = [modules[name].register_forward_hook(self._keeping(name)) for name in names]
        self.channels = [*last, encoder.map_dim]

    def _passed(self, encoder: Encoder) -> tuple[list[str], list[int]]:
        """(modules, their channels) whose output is the last of a resolution finer than the map's."""
        found: dict[int, tuple[str, int]] = {}

        def watching(name: str) -> Any:
            def look(module: nn.Module, given: Any, out: Any) -> None:
                if isinstance(out, Tensor) and out.ndim == 4 and out.shape[2] == out.shape[3]:
                    found[int(out.shape[2])] = (name, int(out.shape[1]))

            return look

        handles = [part.register_forward_hook(watching(name)) for name, part in encoder.named_modules() if name]
        modes = [(part, part.training) for part in encoder.modules()]
        encoder.eval()
        try:
            with torch.no_grad():
                device = next(encoder.parameters()).device
                final = int(
                    encoder.map(torch.zeros(1, encoder.channels, encoder.side, encoder.side, device=device)).shape[2]
                )
        finally:
            for handle in handles:
                handle.remove()
            for part, mode in modes:
                part.training = mode
        finer = sorted((size for size in found if size > final), reverse=True)[-(MOST - 1) :]
        return [found[size][0] for size in finer], [found[size][1] for size in finer]

    def _keeping(self, name: str) -> Any:
        def keep(module: nn.Module, given: Any, out: Tensor) -> None:
            self._seen[name] = out

        return keep

    def forward(self, x: Tensor) -> list[Tensor]:
        """[(B, C, h, w), ...] finest first."""
        self._seen.clear()
        last = self._encoder[0].map(x)
        maps = [self._seen[name] for name in self._names]
        self._seen.clear()
        return [*maps, last]

    def close(self) -> None:
        """Take the hooks off the encoder."""
        for handle in self._handles:
            handle.remove()
