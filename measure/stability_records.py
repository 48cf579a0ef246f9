"""What is measured of constraint-coupled reasoning: one frozen dataclass a grain.

Each is a proxy of our own definition, see `measure.burden` and `measure.stability`: the source,
arXiv 2603.25022, publishes no numbers.
"""

from dataclasses import dataclass
from typing import Literal

Horizon = Literal["short", "long"]
Condition = Literal["clean", "perturbed"]
TeacherRole = Literal["teacher", "plain-teacher"]
ProfileKind = Literal["capability", "stability", "beside"]
AsymmetryLabel = Literal["ASYMMETRIC", "NOT ASYMMETRIC", "NOT ENOUGH"]
PropositionLabel = Literal["HOLDS", "COUNTER-EXAMPLE", "NOT ENOUGH"]
HypothesisName = Literal["H1", "H2", "H3", "H4", "coupling"]
HypothesisOutcome = Literal["supported", "not supported", "not run", "untestable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StabilityRegion:
    """One row per measurement: where a model's states are on its correct clean runs."""

    n_trajectories: int  # right ones with at least 3 steps
    n_states: int
    layer: int  # from 0: the block after which states are read
    n_axes: int | None  # principal axes kept
    radius: float | None  # 0.99 quantile of the Mahalanobis distance
    center: tuple[float, ...] | None  # mean direction
    axes: tuple[float, ...] | None  # n_axes x d_model, row-major
    variances: tuple[float, ...] | None  # on the axes, shrunk
    reason: str | None  # why there is no region


@dataclass(frozen=True, slots=True, kw_only=True)
class StabilityLimit:
    """One row per measurement and decile: what is usual on a model's correct clean runs."""

    decile: int  # of the trajectory, 0 to 9
    n_steps: int
    reach: int  # deciles on either side taken in for want of steps
    b_limit: float  # 0.95 quantile of the burden, 0 to 2
    load_mean: float
    load_sd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBurden:
    """One row per measurement, rollout and step: from one state to the next."""

    problem_id: str
    sample: int
    t: int  # step, from 0
    n_states: int  # of the trajectory
    decile: int  # floor(10 t / n_states)
    char_start: int  # of the sentence it arrives at, in the completion
    char_end: int
    b: float | None  # 1 - cos, 0 to 2
    b_rel: float | None  # |h' - h| / |h|
    d_entropy_nats: float | None  # rise of the mean next-token entropy, >= 0
    attn_conc: float | None  # mean over heads of the largest weight, 0 to 1
    b_limit: float  # the teacher's
    is_violation: bool | None  # b > b_limit
    path_load: float | None  # sum of b so far
    distance: float | None  # Mahalanobis, of the state it arrives at
    radius: float | None  # of the region after this load
    is_outside: bool | None  # distance > radius
    reason: str | None  # why numbers are null


@dataclass(frozen=True, slots=True, kw_only=True)
class TrajectoryStability:
    """One row per measurement and rollout."""

    problem_id: str
    sample: int
    story: str  # links the variants of one problem
    horizon: Horizon
    condition: Condition
    is_correct: bool | None
    answer: str | None
    n_states: int  # sentences with a token of the model
    mean_b: float | None
    path_load: float | None  # at the end
    n_violations: int | None  # of n_states - 1 steps
    n_outside: int | None
    n_both: int | None  # steps that are violation and outside
    v_rate: float | None
    f_rate: float | None
    reason: str | None  # why numbers are null


@dataclass(frozen=True, slots=True, kw_only=True)
class StabilityProfile:
    """One row per measurement, role and component: of K, of R, or beside them."""

    role: str  # 'teacher', 'student', 'student-2', ... or 'plain-teacher', 'plain-student', ...
    kind: ProfileKind
    component: str
    value: float | None
    ci_low_value: float | None  # 2.5 % of the bootstrap over stories
    ci_high_value: float | None
    null_value: float | None  # of dependence: 95 % of shuffled steps; null for others
    n_problems: int  # stories it is over: the unit of the bootstrap
    n_values: int  # rollouts, pairs of problems, steps or trajectories it is a mean of
    reason: str | None  # why the value is null


@dataclass(frozen=True, slots=True, kw_only=True)
class CouplingPoint:
    """One row per measurement and student: how far it is from its teacher in K and R."""

    role: str
    teacher_role: TeacherRole
    is_output_only: bool  # learnt from what the teacher wrote alone
    n_problems: int
    components: str  # of R that both have, ', ' between them
    delta_k: float | None  # mean absolute difference of K
    ci_low_delta_k: float | None
    ci_high_delta_k: float | None
    delta_k_plus: float | None  # mean of what the teacher has more
    ci_low_delta_k_plus: float | None
    ci_high_delta_k_plus: float | None
    delta_r: float | None
    ci_low_delta_r: float | None
    ci_high_delta_r: float | None
    noise_r: float | None  # 95 % of delta_r between halves of the teacher's problems
    load_ratio: float | None  # mean load per state over the teacher's
    ci_low_load_ratio: float | None
    ci_high_load_ratio: float | None
    envelope_r: float | None  # isotonic upper 90 % envelope of delta_r at its delta_k
    asymmetry: AsymmetryLabel
    asymmetry_reasons: str  # the comparisons that decided, '; ' between them
    has_capability_gap: bool | None
    has_stability_gap: bool | None
    has_hidden_burden: bool | None
    proposition: PropositionLabel
    reason: str | None  # why numbers are null


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """One row per measurement and hypothesis of the theory."""

    hypothesis: HypothesisName
    outcome: HypothesisOutcome
    estimate: float | None  # what has to be above 0; of H3 and H4 below it
    ci_low_estimate: float | None  # 2.5 %
    ci_high_estimate: float | None
    n_problems: int
    n_students: int  # of the teacher
    n_plain_students: int  # of the plain teacher
    reasons: str  # the comparisons that decided, or why it was not run


Conclusion = StabilityProfile | CouplingPoint | Hypothesis
