"""A timm network behind the encoder contract."""

from __future__ import annotations

from typing import Any

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from foretell.encoders.base import Encoder
from foretell.errors import InputError, reason


class TimmEncoder(Encoder):
    """``pooled`` is what the timm network itself returns with ``num_classes=0``.

    ``architecture`` and ``arguments`` are those of ``timm.create_model``: with them plain timm builds the same network
    (with the architectures of ``foretell.encoders`` registered where the stem is the small one).
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        name: str,
        channels: int,
        side: int,
        stem: str,
        architecture: str,
        arguments: dict[str, Any],
        norm: str = "batch",
        patch: int | None = None,
    ) -> None:
        super().__init__(name, 0, channels, side, stem)
        self.net = net
        self.architecture = architecture
        self.arguments = arguments
        self.norm = norm
        self.patch = patch
        self.untrained = True
        self._measure()

    def _measure(self) -> None:
        """Run one blank image through: finds ``dim``, and refuses in words a network that does not fit the side."""
        training = self.net.training
        self.net.eval()
        try:
            with torch.no_grad():
                blank = torch.zeros(1, self.channels, self.side, self.side)
                pooled, features = self.net(blank), self.map(blank)
        except (RuntimeError, AssertionError, ValueError, IndexError, TypeError, AttributeError) as error:
            raise InputError(
                f"encoder '{self.name}' does not take images of {self.side} px with {self.channels} channels "
                f"({reason(error)}); choose another side or another encoder"
            ) from error
        finally:
            self.net.train(training)
        if not isinstance(pooled, Tensor) or pooled.ndim != 2:
            raise InputError(f"encoder '{self.name}' gives no vector an image; choose another timm network")
        self.dim = int(pooled.shape[1])
        self.map_dim = int(features.shape[1])

    def pooled(self, x: Tensor) -> Tensor:
        """(B, dim)."""
        return self.net(x)  # type: ignore[no-any-return]

    def map(self, x: Tensor) -> Tensor:
        """(B, map_dim, h, w); a transformer's class and register tokens are left out."""
        return self._as_map(x, self.net.forward_features(x))  # type: ignore[operator]

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``map`` and ``pooled`` of one pass."""
        features = self.net.forward_features(x)  # type: ignore[operator]
        return self._as_map(x, features), self.net.forward_head(features)  # type: ignore[operator]

    def _as_map(self, x: Tensor, features: object) -> Tensor:
        if not isinstance(features, Tensor) or features.ndim not in (3, 4):
            raise InputError(f"encoder '{self.name}' gives no feature map; choose another timm network")
        if features.ndim == 4:
            channels_last = getattr(self.net, "output_fmt", "NCHW") == "NHWC"
            return features.permute(0, 3, 1, 2) if channels_last else features
        tokens = features[:, self._prefix() :]
        height, width = self._grid(x, tokens.shape[1])
        return tokens.transpose(1, 2).reshape(x.shape[0], -1, height, width)

    def tokens(self, x: Tensor, keep: Tensor | None = None, *, prefix: bool = False) -> Tensor:
        """(B, T, map_dim), positions row by row, without class and register tokens unless ``prefix``.

        ``keep`` (B, K) int64: only those patches are embedded and attended to (with the class token, where there is
        one), so that the cost is that of K tokens (masked autoencoders, arXiv 2111.06377). Raises InputError for
        networks other than timm's VisionTransformer, which take no ``keep``.
        """
        if keep is None and not prefix:
            return self.map(x).flatten(2).transpose(1, 2)
        if keep is None:
            found: Tensor = self.net.forward_features(x)  # type: ignore[operator]
            return found if found.ndim == 3 else found.flatten(2).transpose(1, 2)
        net = self.positions()
        tokens = self._visible(net, x, keep)
        return tokens if prefix else tokens[:, net.num_prefix_tokens :]

    def positions(self) -> VisionTransformer:
        """The network, if a part of its positions can be embedded. Raises InputError for others."""
        if type(self.net) is not VisionTransformer or self.net.pos_embed is None:
            raise InputError(
                f"encoder '{self.name}' cannot embed a part of the positions; choose a vision transformer "
                "(vit_mini, vit_midi, vit_tiny_patch16_224, vit_small_patch16_224, ...)"
            )
        return self.net

    @staticmethod
    def _visible(net: Any, x: Tensor, keep: Tensor) -> Tensor:
        tall, wide = net.patch_embed.patch_size
        height, width = x.shape[-2:]
        x = F.pad(x, (0, -width % wide, 0, -height % tall))
        rows, columns = x.shape[-2] // tall, x.shape[-1] // wide
        patches = x.reshape(x.shape[0], x.shape[1], rows, tall, columns, wide).permute(0, 2, 4, 1, 3, 5)
        which = torch.arange(x.shape[0], device=x.device)[:, None]
        chosen = patches[which, keep // columns, keep % columns].flatten(2)
        weight = net.patch_embed.proj.weight.flatten(1)
        tokens = net.patch_embed.norm(F.linear(chosen, weight, net.patch_embed.proj.bias))
        prefix = [part for part in (net.cls_token, net.reg_token) if part is not None]
        places = net.pos_embed if net.no_embed_class else net.pos_embed[:, net.num_prefix_tokens :]
        tokens = tokens + places[0][keep]
        if prefix:
            first = torch.cat(prefix, dim=1)
            if not net.no_embed_class:
                first = first + net.pos_embed[:, : net.num_prefix_tokens]
            tokens = torch.cat([first.expand(x.shape[0], -1, -1), tokens], dim=1)
        tokens = net.norm_pre(net.pos_drop(tokens))
        return net.norm(net.blocks(tokens))  # type: ignore[no-any-return]

    def _prefix(self) -> int:
        return int(getattr(self.net, "num_prefix_tokens", 0) or 0)

    def _grid(self, x: Tensor, tokens: int) -> tuple[int, int]:
        """Rows and columns of ``tokens`` positions: the aspect of the image."""
        height = max(1, round((tokens * x.shape[-2] / x.shape[-1]) ** 0.5))
        if tokens % height:
            raise InputError(f"encoder '{self.name}': {tokens} tokens do not form a map; choose another timm network")
        return height, tokens // height
