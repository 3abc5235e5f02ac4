"""Published claims on real data: one file each, one line each here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from foretell.errors import unknown

if TYPE_CHECKING:
    from foretell.claims.base import Claim

_WHERE = {
    "simclr-label-efficiency": "foretell.claims.simclr_label_efficiency:SimCLRLabelEfficiency",
    "simclr-head": "foretell.claims.simclr_head:SimCLRHead",
    "simclr-temperature": "foretell.claims.simclr_temperature:SimCLRTemperature",
    "simclr-colour-shortcut": "foretell.claims.simclr_views:SimCLRColourShortcut",
    "simclr-composition": "foretell.claims.simclr_views:SimCLRComposition",
    "simclr-training": "foretell.claims.simclr_training:SimCLRTraining",
    "simclr-closeness": "foretell.claims.simclr_closeness:SimCLRCloseness",
    "autoencoder-copying": "foretell.claims.autoencoder_copying:AutoencoderCopying",
    "autoencoder-width": "foretell.claims.autoencoder_copying:AutoencoderWidth",
    "autoencoder-denoising": "foretell.claims.autoencoder_denoising:AutoencoderDenoising",
    "autoencoder-blind-spot": "foretell.claims.autoencoder_blind:AutoencoderBlindSpot",
    "autoencoder-features": "foretell.claims.autoencoder_features:AutoencoderFeatures",
    "autoencoder-own-loss": "foretell.claims.autoencoder_loss:AutoencoderOwnLoss",
    "patch-aberration": "foretell.claims.patch_aberration:PatchAberration",
    "patch-colour": "foretell.claims.patch_colour:PatchColour",
    "patch-gap": "foretell.claims.patch_gap:PatchGap",
    "patch-layout": "foretell.claims.patch_layout:PatchLayout",
    "patch-neighbours": "foretell.claims.patch_neighbours:PatchNeighbours",
    "patch-collapse": "foretell.claims.patch_collapse:PatchCollapse",
    "patch-swap": "foretell.claims.patch_swap:PatchSwap",
    "context-encoder-sharpness": "foretell.claims.context_losses:ContextEncoderSharpness",
    "context-encoder-error": "foretell.claims.context_losses:ContextEncoderError",
    "context-encoder-loss": "foretell.claims.context_losses:ContextEncoderLoss",
    "context-encoder-modes": "foretell.claims.context_modes:ContextEncoderModes",
    "context-encoder-context": "foretell.claims.context_surroundings:ContextEncoderContext",
    "context-encoder-seam": "foretell.claims.context_surroundings:ContextEncoderSeam",
    "context-encoder-conditioned": "foretell.claims.context_surroundings:ContextEncoderConditioned",
    "context-encoder-channelwise": "foretell.claims.context_layer:ContextEncoderChannelwise",
    "context-encoder-features": "foretell.claims.context_features:ContextEncoderFeatures",
    "context-encoder-masks": "foretell.claims.context_masks:ContextEncoderMasks",
    "micle-cases": "foretell.claims.micle_cases:MICLeCases",
    "micle-invariance": "foretell.claims.micle_invariance:MICLeInvariance",
    "micle-crossing": "foretell.claims.micle_crossing:MICLeCrossing",
    "micle-shift": "foretell.claims.micle_shift:MICLeShift",
    "micle-pairs": "foretell.claims.micle_pairs:MICLePairs",
    "micle-two-stage": "foretell.claims.micle_two_stage:MICLeTwoStage",
    "micle-two-stage-volumes": "foretell.claims.micle_two_stage:MICLeTwoStageVolumes",
    "micle-natural-start": "foretell.claims.micle_natural_start:MICLeNaturalStart",
    "micle-natural-start-volumes": "foretell.claims.micle_natural_start:MICLeNaturalStartVolumes",
    "micle-blur": "foretell.claims.micle_blur:MICLeBlur",
    "micle-volumes": "foretell.claims.micle_volumes:MICLeVolumes",
    "next-frame-animations": "foretell.claims.next_frame:NextFrameAnimations",
    "next-frame-slices": "foretell.claims.next_frame:NextFrameSlices",
    "next-frame-features": "foretell.claims.next_frame_features:NextFrameFeatures",
    "segmentation-few-labels": "foretell.claims.segmentation_few_labels:SegmentationFewLabels",
    "bert-few-labels": "foretell.claims.bert_few_labels:BertFewLabels",
    "bert-next-sentence": "foretell.claims.bert_next_sentence:BertNextSentence",
    "gpt-auxiliary": "foretell.claims.gpt_auxiliary:GptAuxiliary",
    "gpt-perplexity": "foretell.claims.gpt_perplexity:GptPerplexity",
    "gpt-few-labels": "foretell.claims.gpt_few_labels:GptFewLabels",
    "bert-both-sides": "foretell.claims.bert_both_sides:BertBothSides",
    "bert-mask-mismatch": "foretell.claims.bert_mask_mismatch:BertMaskMismatch",
    "bert-nsp-helps-pairs": "foretell.claims.bert_nsp_pairs:BertNspHelpsPairs",
    "bert-story": "foretell.claims.bert_story:BertStory",
    "bert-segments": "foretell.claims.bert_segments:BertSegments",
    "gpt-layers": "foretell.claims.gpt_layers:GptLayers",
    "gpt-zero-shot": "foretell.claims.gpt_zero_shot:GptZeroShot",
    "bert-masking": "foretell.claims.bert_masking:BertMasking",
    "gpt-causal": "foretell.claims.gpt_causal:GptCausal",
    "gpt-exact": "foretell.claims.gpt_exact:GptExact",
    "word2vec-classes": "foretell.claims.word2vec_classes:Word2VecClasses",
    "word2vec-analogy": "foretell.claims.word2vec_analogy:Word2VecAnalogy",
    "word2vec-pmi": "foretell.claims.word2vec_pmi:Word2VecPmi",
    "word2vec-subsampling": "foretell.claims.word2vec_subsampling:Word2VecSubsampling",
    "word2vec-exact": "foretell.claims.word2vec_exact:Word2VecExact",
}


def names() -> list[str]:
    """The claims that can be reproduced."""
    return list(_WHERE)


def get(name: str) -> type[Claim]:
    """The class of a claim. Raises InputError with the nearest name when there is none."""
    if name not in _WHERE:
        raise unknown("claim", name, [*_WHERE, "all"])
    module, _, attribute = _WHERE[name].partition(":")
    found: type[Claim] = getattr(import_module(module), attribute)
    return found
