"""Published claims on real data: one file each, one line each here."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING

from foretell.errors import unknown

if TYPE_CHECKING:
    from foretell.claims.base import Claim

_WHERE = {
    "simclr-label-efficiency": "foretell.claims.images.simclr_label_efficiency:SimCLRLabelEfficiency",
    "simclr-head": "foretell.claims.images.simclr_head:SimCLRHead",
    "simclr-temperature": "foretell.claims.images.simclr_temperature:SimCLRTemperature",
    "simclr-colour-shortcut": "foretell.claims.images.simclr_views:SimCLRColourShortcut",
    "simclr-composition": "foretell.claims.images.simclr_views:SimCLRComposition",
    "simclr-training": "foretell.claims.images.simclr_training:SimCLRTraining",
    "simclr-closeness": "foretell.claims.images.simclr_closeness:SimCLRCloseness",
    "autoencoder-copying": "foretell.claims.images.autoencoder_copying:AutoencoderCopying",
    "autoencoder-width": "foretell.claims.images.autoencoder_copying:AutoencoderWidth",
    "autoencoder-denoising": "foretell.claims.images.autoencoder_denoising:AutoencoderDenoising",
    "autoencoder-blind-spot": "foretell.claims.images.autoencoder_blind:AutoencoderBlindSpot",
    "autoencoder-features": "foretell.claims.images.autoencoder_features:AutoencoderFeatures",
    "autoencoder-own-loss": "foretell.claims.images.autoencoder_loss:AutoencoderOwnLoss",
    "patch-aberration": "foretell.claims.images.patch_aberration:PatchAberration",
    "patch-colour": "foretell.claims.images.patch_colour:PatchColour",
    "patch-gap": "foretell.claims.images.patch_gap:PatchGap",
    "patch-layout": "foretell.claims.images.patch_layout:PatchLayout",
    "patch-neighbours": "foretell.claims.images.patch_neighbours:PatchNeighbours",
    "patch-collapse": "foretell.claims.images.patch_collapse:PatchCollapse",
    "patch-swap": "foretell.claims.images.patch_swap:PatchSwap",
    "context-encoder-sharpness": "foretell.claims.images.context_losses:ContextEncoderSharpness",
    "context-encoder-error": "foretell.claims.images.context_losses:ContextEncoderError",
    "context-encoder-loss": "foretell.claims.images.context_losses:ContextEncoderLoss",
    "context-encoder-modes": "foretell.claims.images.context_modes:ContextEncoderModes",
    "context-encoder-context": "foretell.claims.images.context_surroundings:ContextEncoderContext",
    "context-encoder-seam": "foretell.claims.images.context_surroundings:ContextEncoderSeam",
    "context-encoder-conditioned": "foretell.claims.images.context_surroundings:ContextEncoderConditioned",
    "context-encoder-channelwise": "foretell.claims.images.context_layer:ContextEncoderChannelwise",
    "context-encoder-features": "foretell.claims.images.context_features:ContextEncoderFeatures",
    "context-encoder-masks": "foretell.claims.images.context_masks:ContextEncoderMasks",
    "micle-cases": "foretell.claims.medical.micle_cases:MICLeCases",
    "micle-invariance": "foretell.claims.medical.micle_invariance:MICLeInvariance",
    "micle-crossing": "foretell.claims.medical.micle_crossing:MICLeCrossing",
    "micle-shift": "foretell.claims.medical.micle_shift:MICLeShift",
    "micle-pairs": "foretell.claims.medical.micle_pairs:MICLePairs",
    "micle-two-stage": "foretell.claims.medical.micle_two_stage:MICLeTwoStage",
    "micle-two-stage-volumes": "foretell.claims.medical.micle_two_stage:MICLeTwoStageVolumes",
    "micle-natural-start": "foretell.claims.medical.micle_natural_start:MICLeNaturalStart",
    "micle-natural-start-volumes": "foretell.claims.medical.micle_natural_start:MICLeNaturalStartVolumes",
    "micle-blur": "foretell.claims.medical.micle_blur:MICLeBlur",
    "micle-volumes": "foretell.claims.medical.micle_volumes:MICLeVolumes",
    "next-frame-animations": "foretell.claims.frames.next_frame:NextFrameAnimations",
    "next-frame-slices": "foretell.claims.frames.next_frame:NextFrameSlices",
    "next-frame-features": "foretell.claims.frames.next_frame_features:NextFrameFeatures",
    "segmentation-few-labels": "foretell.claims.medical.segmentation_few_labels:SegmentationFewLabels",
    "bert-few-labels": "foretell.claims.text.bert_few_labels:BertFewLabels",
    "bert-next-sentence": "foretell.claims.text.bert_next_sentence:BertNextSentence",
    "gpt-auxiliary": "foretell.claims.text.gpt_auxiliary:GptAuxiliary",
    "gpt-perplexity": "foretell.claims.text.gpt_perplexity:GptPerplexity",
    "gpt-few-labels": "foretell.claims.text.gpt_few_labels:GptFewLabels",
    "bert-both-sides": "foretell.claims.text.bert_both_sides:BertBothSides",
    "bert-mask-mismatch": "foretell.claims.text.bert_mask_mismatch:BertMaskMismatch",
    "bert-nsp-helps-pairs": "foretell.claims.text.bert_nsp_pairs:BertNspHelpsPairs",
    "bert-story": "foretell.claims.text.bert_story:BertStory",
    "bert-segments": "foretell.claims.text.bert_segments:BertSegments",
    "gpt-layers": "foretell.claims.text.gpt_layers:GptLayers",
    "gpt-zero-shot": "foretell.claims.text.gpt_zero_shot:GptZeroShot",
    "bert-masking": "foretell.claims.text.bert_masking:BertMasking",
    "gpt-causal": "foretell.claims.text.gpt_causal:GptCausal",
    "gpt-exact": "foretell.claims.text.gpt_exact:GptExact",
    "word2vec-classes": "foretell.claims.words.word2vec_classes:Word2VecClasses",
    "word2vec-analogy": "foretell.claims.words.word2vec_analogy:Word2VecAnalogy",
    "word2vec-pmi": "foretell.claims.words.word2vec_pmi:Word2VecPmi",
    "word2vec-subsampling": "foretell.claims.words.word2vec_subsampling:Word2VecSubsampling",
    "word2vec-exact": "foretell.claims.words.word2vec_exact:Word2VecExact",
}


def names() -> list[str]:
    """The claims that can be reproduced."""
    return list(_WHERE)


def get(name: str) -> type[Claim]:
    """The class of a claim. Raises InputError with the nearest name when there is none."""
    if name not in _WHERE:
        raise unknown("claim", name, [*_WHERE, "all"])
    found: type[Claim] = resolve_name(_WHERE[name])
    return found
