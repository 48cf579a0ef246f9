"""What is measured of a crosscoder and its latents: one frozen dataclass a grain."""

from dataclasses import dataclass
from typing import Literal

Category = Literal["self-reflection", "deductive", "alternative", "contrastive"]
Label = Literal[Category, "other"]
LatentClass = Literal["base-only", "shared", "between", "distilled-only"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CrosscoderStep:
    """One row per measurement and told step of training, of that step's own batch."""

    step: int  # from 0
    n_tokens: int  # read so far, this batch included
    loss: float
    sparsity_loss: float  # AuxK or L1 as it stands in the loss
    fvu_base: float  # share of variance unexplained, >= 0
    fvu_distilled: float
    l0: float  # mean number of latents kept on a token
    dead_share: float  # of latents, 0 to 1
    threshold: float  # of f_j w_j at inference, as followed so far
    rate: float  # learning rate
    gradient_norm: float  # before it is clipped to 1


@dataclass(frozen=True, slots=True, kw_only=True)
class CrosscoderSummary:
    """One row per measurement: the trained crosscoder on tokens that it was not trained on."""

    d_model: int
    n_latents: int
    layer: int  # from 0: the block after which activations are read
    scale_base: float  # what activations were multiplied by
    scale_distilled: float
    n_harvested: int  # tokens
    n_trained: int  # tokens read, epochs included
    mixing: float  # share of the training tokens that one shuffle buffer holds
    n_held_out: int  # tokens that FVU and L0 are over
    n_described: int  # tokens that latents, and dead ones, are described over
    fvu_base: float | None
    fvu_distilled: float | None
    l0: float
    dead_share: float
    is_interpretable: bool  # whether its latents may be read at all
    reasons: str  # the gates that decided, '; ' between them


@dataclass(frozen=True, slots=True, kw_only=True)
class Latent:
    """One row per measurement and latent."""

    latent: int  # from 0
    norm_base_l2: float  # of its decoder row, of scaled activations
    norm_distilled_l2: float
    norm_base_l1: float
    norm_distilled_l1: float
    nrn: float | None  # 0 base-only, 0.5 shared, 1 distilled-only
    nrn_l1: float | None
    cosine: float | None  # of its decoder rows in both models
    n_tokens: int  # described over
    n_fired: int
    fire_freq: float  # 0 to 1
    mean_activation: float | None  # over tokens it fires on
    max_activation: float | None
    beta_eps_base: float | None  # latent scaling on the error, see `measure.latents`
    beta_eps_distilled: float | None
    beta_r_base: float | None  # and on the reconstruction
    beta_r_distilled: float | None
    nu_eps: float | None  # base over distilled
    nu_r: float | None
    latent_class: LatentClass | None  # by NRN alone
    is_genuine: bool | None  # of NRN > 0.9: latent scaling bears it out
    category: Label | None  # of its 50 most activating tokens; null: not annotated
    is_dead: bool  # fires on none of the tokens
    reason: str | None  # why numbers are null


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentContext:
    """One row per measurement, latent and rank: a place where it is most active."""

    latent: int
    rank: int  # from 0, most active first
    activation: float
    passage: int  # number of its window in the harvested text
    token: int  # its place among `tokens`
    tokens: tuple[str, ...]  # up to ten on either side, as text
    activations: tuple[float, ...]  # of this latent on each of them


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentCategory:
    """One row per measurement and category: latents of it at both ends of NRN."""

    category: Label
    n_per_end: int  # annotated latents of largest, and of smallest, NRN
    n_top: int
    n_bottom: int
    share_top: float
    ci_low_share_top: float  # Wilson, 95 %
    ci_high_share_top: float
    share_bottom: float
    ci_low_share_bottom: float
    ci_high_share_bottom: float
    difference: float  # top minus bottom
    ci_low_difference: float  # Newcombe, 95 %
    ci_high_difference: float
