"""The tables of constraint-coupled reasoning: steps, trajectories, and what they say of a teacher.

Every number is a proxy of the project's own definition: the source publishes none.
"""

from warehouse.declaring import (
    MEASUREMENT_ID,
    REASON,
    Column,
    Table,
    boolean,
    integer,
    real,
    text,
)

_PROBLEM_ID = text("problem_id", "the problem, as its set names it")
_SAMPLE = integer("sample", "number of the sample of that problem, from 0")
_N_STATES = integer("n_states", "sentences with a token of the model, marks of reasoning left out")
_STORIES = "10,000 resamples of the stories"
_ROLE = text("role", "'teacher', 'student', 'student-2', ...; 'plain-...' of the plain teacher")

STABILITY_REGION = Table(
    "stability_region",
    "measurement: where a model's states are on its right answers to clean calibration problems",
    ("measurement_id",),
    (
        MEASUREMENT_ID,
        integer("n_trajectories", "right answers of three sentences or more"),
        integer("n_states", "states the region is fitted to"),
        integer("layer", "from 0: the block after which states are read"),
        integer("n_axes", "principal axes kept, 32 at most", null=True),
        real("radius", "0.99 quantile of the Mahalanobis distance of those states", null=True),
        Column("center", "DOUBLE[]", "mean direction of those states", True),
        Column("axes", "DOUBLE[]", "principal axes one after another, each of d_model", True),
        Column("variances", "DOUBLE[]", "of directions on the axes, shrunk (Ledoit-Wolf)", True),
        REASON,
    ),
    is_record=True,
)

STABILITY_LIMIT = Table(
    "stability_limit",
    "measurement and decile of a trajectory: what is usual on those right answers",
    ("measurement_id", "decile"),
    (
        MEASUREMENT_ID,
        integer("decile", "where the step begins: floor(10 t / n_states), 0 to 9"),
        integer("n_steps", "steps it is of"),
        integer("reach", "deciles on either side that were taken in to have 20 steps"),
        real("b_limit", "0.95 quantile of the burden, 0 to 2: a step above it is a violation"),
        real("load_mean", "mean path load"),
        real("load_sd", "its standard deviation"),
    ),
    is_record=True,
)

STEP_BURDEN = Table(
    "step_burden",
    "measurement, rollout and step: from the state at one sentence to the next",
    ("measurement_id", "problem_id", "sample", "t"),
    (
        MEASUREMENT_ID,
        _PROBLEM_ID,
        _SAMPLE,
        integer("t", "number of the step, from 0"),
        _N_STATES,
        integer("decile", "where the step begins: floor(10 t / n_states), 0 to 9"),
        integer("char_start", "first character of the sentence it arrives at, in code points"),
        integer("char_end", "the character after its last"),
        real("b", "transition burden: 1 - cos of both states, 0 to 2", null=True),
        real("b_rel", "relative jump: length of the difference over that of the first", null=True),
        real("d_entropy_nats", "rise of the mean entropy of the next token, >= 0", null=True),
        real("attn_conc", "largest attention weight, mean over heads, 0 to 1", null=True),
        real("b_limit", "the teacher's limit at that decile"),
        boolean("is_violation", "the burden is above the limit", null=True),
        real("path_load", "sum of the burdens so far; it never falls", null=True),
        real("distance", "Mahalanobis distance of the state it arrives at", null=True),
        real("radius", "of the model's own region after this load; it never grows", null=True),
        boolean("is_outside", "the distance is above the radius", null=True),
        REASON,
    ),
    is_record=True,
)

TRAJECTORY_STABILITY = Table(
    "trajectory_stability",
    "measurement and rollout: what its steps add up to",
    ("measurement_id", "problem_id", "sample"),
    (
        MEASUREMENT_ID,
        _PROBLEM_ID,
        _SAMPLE,
        text("story", "links the variants of one problem: the unit of every interval"),
        text("horizon", "short, or long: twice as many steps or more", values=("short", "long")),
        text("condition", "as it is, or told otherwise", values=("clean", "perturbed")),
        boolean("is_correct", "the answer is right; null where that is not known", null=True),
        text("answer", "answer read after the reasoning; null where none can be read", null=True),
        _N_STATES,
        real("mean_b", "mean burden of its steps", null=True),
        real("path_load", "sum of the burdens at the end", null=True),
        integer("n_violations", "steps above their limit, of n_states - 1", null=True),
        integer("n_outside", "steps that arrive outside the region", null=True),
        integer("n_both", "steps that are both", null=True),
        real("v_rate", "share of steps above their limit, 0 to 1", null=True),
        real("f_rate", "share of steps that arrive outside, 0 to 1", null=True),
        REASON,
    ),
    is_record=True,
)

STABILITY_PROFILE = Table(
    "stability_profile",
    "measurement, role and component: of capability K, of the stability proxies R, or beside them",
    ("measurement_id", "role", "component"),
    (
        MEASUREMENT_ID,
        _ROLE,
        text(
            "kind",
            "what the component is part of",
            values=("capability", "stability", "beside"),
        ),
        text("component", "such as 'short clean' (an accuracy), 'satisfaction', 'mean load'"),
        real("value", "0 to 1; of mean load, burden per sentence", null=True),
        real("ci_low_value", f"2.5 % of {_STORIES}", null=True),
        real("ci_high_value", "97.5 %", null=True),
        real("null_value", "of dependence: 95 % of it when steps are dealt anew", null=True),
        integer("n_problems", "stories it is over"),
        integer("n_values", "rollouts, pairs of problems, steps or trajectories it is of"),
        REASON,
    ),
    is_record=True,
)

COUPLING_POINT = Table(
    "coupling_point",
    "measurement and student: how far it is from its teacher in K and in R",
    ("measurement_id", "role"),
    (
        MEASUREMENT_ID,
        _ROLE,
        text("teacher_role", "its teacher", values=("teacher", "plain-teacher")),
        boolean("is_output_only", "it learnt from what the teacher wrote alone"),
        integer("n_problems", "stories tested"),
        text("components", "of R that both have, ', ' between them"),
        real("delta_k", "mean absolute difference of the components of K, 0 to 1", null=True),
        real("ci_low_delta_k", f"2.5 % of {_STORIES}, paired", null=True),
        real("ci_high_delta_k", "97.5 %", null=True),
        real("delta_k_plus", "mean of what the teacher has more in K", null=True),
        real("ci_low_delta_k_plus", "2.5 %", null=True),
        real("ci_high_delta_k_plus", "97.5 %", null=True),
        real("delta_r", "mean absolute difference of the components of R, 0 to 1", null=True),
        real("ci_low_delta_r", "2.5 %", null=True),
        real("ci_high_delta_r", "97.5 %", null=True),
        real("noise_r", "95 % of delta_r between halves of the teacher's stories", null=True),
        real("load_ratio", "mean load per sentence over the teacher's", null=True),
        real("ci_low_load_ratio", "2.5 %", null=True),
        real("ci_high_load_ratio", "97.5 %", null=True),
        real("envelope_r", "isotonic upper 90 % envelope of delta_r at its delta_k", null=True),
        text(
            "asymmetry",
            "capability travelled and the proxies R did not (Eq. 2)",
            values=("ASYMMETRIC", "NOT ASYMMETRIC", "NOT ENOUGH"),
        ),
        text("asymmetry_reasons", "the comparisons that decided it, '; ' between them"),
        boolean("has_capability_gap", "delta_k_plus is above 0.05", null=True),
        boolean("has_stability_gap", "delta_r is above its noise", null=True),
        boolean("has_hidden_burden", "the load ratio's interval is above 1.1", null=True),
        text(
            "proposition",
            "Proposition 1: one of the three gaps at least; none is a counter-example",
            values=("HOLDS", "COUNTER-EXAMPLE", "NOT ENOUGH"),
        ),
        REASON,
    ),
    is_record=True,
)

HYPOTHESIS = Table(
    "hypothesis",
    "measurement and hypothesis of the theory: whether the students bear it out",
    ("measurement_id", "hypothesis"),
    (
        MEASUREMENT_ID,
        text(
            "hypothesis",
            "of the source, as measure/hypotheses.py tests it; 'coupling' is Eq. 9",
            values=("H1", "H2", "H3", "H4", "coupling"),
        ),
        text(
            "outcome",
            "what the test says; 'untestable': no student is close enough in K",
            values=("supported", "not supported", "not run", "untestable"),
        ),
        real("estimate", "what has to be above 0; of H3 and H4 below it", null=True),
        real("ci_low_estimate", f"2.5 % of {_STORIES}; of coupling, of the students", null=True),
        real("ci_high_estimate", "97.5 %", null=True),
        integer("n_problems", "stories tested"),
        integer("n_students", "students of the teacher"),
        integer("n_plain_students", "students of the plain teacher"),
        text("reasons", "the comparisons that decided, or why it was not run"),
    ),
    is_record=True,
)

TABLES = (
    STABILITY_REGION,
    STABILITY_LIMIT,
    STEP_BURDEN,
    TRAJECTORY_STABILITY,
    STABILITY_PROFILE,
    COUPLING_POINT,
    HYPOTHESIS,
)
