from __future__ import annotations

import torch

from foretell.views.patchify import patchify, unpatchify


def test_patches_are_row_by_row_and_go_back() -> None:
    image = torch.arange(2 * 3 * 6 * 4, dtype=torch.float32).view(2, 3, 6, 4)
    patches = patchify(image, 2)
    assert patches.shape == (2, 6, 12)
    for place in range(6):
        top, left = 2 * (place // 2), 2 * (place % 2)
        expected = image[:, :, top : top + 2, left : left + 2].flatten(1)
        assert torch.equal(patches[:, place], expected)
    assert torch.equal(unpatchify(patches, (3, 2), 2), image)


def test_a_side_that_is_no_multiple_is_filled_with_zeros() -> None:
    image = torch.ones(1, 1, 5, 7)
    back = unpatchify(patchify(image, 4), (2, 2), 4)
    assert back.shape == (1, 1, 8, 8)
    assert torch.equal(back[..., :5, :7], image)
    assert float(back.sum()) == 35
