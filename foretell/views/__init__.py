"""Random and plain views of image batches, as batched tensor operations on the images' device."""

from foretell.views.augment import augment, render
from foretell.views.config import ViewConfig
from foretell.views.draw import Drawn, draw
from foretell.views.plain import denormalise, plain, plain_view

__all__ = ["Drawn", "ViewConfig", "augment", "denormalise", "draw", "plain", "plain_view", "render"]
