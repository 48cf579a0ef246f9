"""The tables of sentence provenance: rollouts, their sentences under a model, and their labels."""

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
_SENTENCE = integer("sentence", "number of the sentence in the text, marks of reasoning counted")
_CHAR_START = integer("char_start", "its first character in the completion, in code points")
_CHAR_END = integer("char_end", "the character after its last, in code points")
_IS_SPECIAL = boolean("is_special", "a mark of reasoning such as <think>: no statistic counts it")
_ROLLOUTS_OF = text(
    "rollouts_of",
    "whose completions: the distilled model's, or the student's own (the null); 'control': the "
    "distilled model's with an unrelated model in the teacher's place",
    values=("distilled", "student", "control"),
)
_LABELS = ("Shared", "Teacher", "Student", "Boosted")
_BOOSTED = ("boosted_up", "between", "suppressed")

ROLLOUT = Table(
    "rollout",
    "measurement, problem and sample: what a model answered",
    ("measurement_id", "problem_id", "sample"),
    (
        MEASUREMENT_ID,
        _PROBLEM_ID,
        _SAMPLE,
        text("category", "class of the problem in its set"),
        text("problem", "the problem, as it is put into the model's prompt"),
        text("gold", "the right answer; null if the problem has none", null=True),
        text("text", "the completion, without the ending token"),
        integer("n_tokens", "tokens of the completion; null if made elsewhere", null=True),
        text(
            "finish",
            "why it ended: by itself, at the most tokens allowed, at the end of the model's "
            "positions, or unknown as it was imported",
            values=("stop", "length", "context", "imported"),
        ),
        text("answer", "answer read after the reasoning; null where none can be read", null=True),
        boolean(
            "is_correct",
            "the answer equals the right one; null where there is none to compare with",
            null=True,
        ),
        REASON,
    ),
    is_record=True,
)

SENTENCE_SCORE = Table(
    "sentence_score",
    "measurement, rollout and sentence: what one model makes of it",
    ("measurement_id", "problem_id", "sample", "sentence"),
    (
        MEASUREMENT_ID,
        _PROBLEM_ID,
        _SAMPLE,
        _SENTENCE,
        _CHAR_START,
        _CHAR_END,
        _IS_SPECIAL,
        integer("n_tokens", "tokens of this model whose first character lies in it"),
        real("sum_logprob", "nats, given the prompt and all earlier sentences; <= 0", null=True),
        Column("span_tokens", "INTEGER[]", "tokens by span of about four words"),
        Column("span_logprobs", "DOUBLE[]", "nats by span; they sum to sum_logprob", True),
        REASON,
    ),
    is_record=True,
)

PROVENANCE_SENTENCE = Table(
    "provenance_sentence",
    "measurement, rollout and sentence: its probability under three models, and its labels",
    ("measurement_id", "rollouts_of", "problem_id", "sample", "sentence"),
    (
        MEASUREMENT_ID,
        _ROLLOUTS_OF,
        _PROBLEM_ID,
        _SAMPLE,
        _SENTENCE,
        integer("j", "its number from 0, marks not counted; null for a mark", null=True),
        real("rel_pos", "middle of its share of the rollout, 0 to 1; null for a mark", null=True),
        _CHAR_START,
        _CHAR_END,
        _IS_SPECIAL,
        boolean("is_long", "of more than 512 tokens of the student"),
        boolean("is_repeat", "the same as the sentence before it: no statistic counts it"),
        boolean("is_correct", "of the rollout; null where that is not known", null=True),
        integer("n_tokens_teacher", "the teacher's tokens in it"),
        integer("n_tokens_student", "the student's tokens in it"),
        integer("n_tokens_distilled", "the distilled model's tokens in it"),
        real("p_teacher", "geometric mean probability of a token, 0 to 1", null=True),
        real("p_student", "the same under the student", null=True),
        real("p_distilled", "the same under the distilled model", null=True),
        text("label4", "where it comes from, by all three models", null=True, values=_LABELS),
        text("label3", "by teacher and student alone", null=True, values=_LABELS[:3]),
        text("boosted", "which kind of Boosted; null for others", null=True, values=_BOOSTED),
        REASON,
    ),
    is_record=True,
)

PROVENANCE_SHARE = Table(
    "provenance_share",
    "measurement, set of rollouts and label: its share of the sentences that have a label",
    ("measurement_id", "rollouts_of", "label"),
    (
        MEASUREMENT_ID,
        _ROLLOUTS_OF,
        text("label", "a label, or a kind of Boosted", values=(*_LABELS, *_BOOSTED)),
        integer("n_sentences", "sentences with this label"),
        integer("n_all", "sentences with any label"),
        integer("n_questions", "problems they are on: the unit of the bootstrap"),
        real("share", "0 to 1", null=True),
        real("ci_low_share", "2.5 % of 10,000 resamples of the questions", null=True),
        real("ci_high_share", "97.5 %", null=True),
    ),
    is_record=True,
)

PROVENANCE_AREA = Table(
    "provenance_area",
    "measurement, label and kind: how much more of the label right answers have than wrong ones",
    ("measurement_id", "label", "kind"),
    (
        MEASUREMENT_ID,
        text("label", "the label", values=_LABELS),
        text(
            "kind",
            "over all rollouts, or the mean of differences within questions",
            values=("raw", "within"),
        ),
        integer("n_positions", "sentence positions with 50 sentences of right and of wrong ones"),
        integer("n_questions", "problems; for 'within' those with right and wrong rollouts"),
        real("area", "sum over positions of P(label | right) - P(label | wrong)", null=True),
        real("ci_low_area", "2.5 % of 10,000 resamples of the questions", null=True),
        real("ci_high_area", "97.5 %", null=True),
        REASON,
    ),
    is_record=True,
)

PROVENANCE_SUMMARY = Table(
    "provenance_summary",
    "measurement of a teacher, a student and a distilled model: what their sentences say",
    ("measurement_id",),
    (
        MEASUREMENT_ID,
        real("alpha", "probabilities that differ by at most this are alike, 0 to 1"),
        real("beta", "teacher and student must differ by more than this, 0 to 1"),
        text(
            "beta_source",
            "found from the sentences, 0.1 as that failed, or given",
            values=("adaptive", "fallback", "given"),
        ),
        text(
            "length_rule",
            "whose number of tokens a sentence's log probability is divided by",
            values=("student", "own"),
        ),
        integer("n_rollouts", "rollouts of the distilled model"),
        integer("n_correct", "of them, right"),
        integer("n_incorrect", "wrong, or without an answer"),
        integer("n_unchecked", "neither, for want of an answer to compare with"),
        integer("n_empty", "without any sentence"),
        integer("n_sentences", "sentences with a label"),
        integer("n_special", "marks of reasoning"),
        integer("n_repeats", "sentences that repeat the one before"),
        integer("n_unscored", "without a token in some model, or beyond its positions"),
        real("teacher_minus_null", "Teacher share less that on the student's own text", null=True),
        real("ci_low_teacher_minus_null", "2.5 %, paired by question", null=True),
        real("ci_high_teacher_minus_null", "97.5 %", null=True),
        real("teacher_minus_control", "Teacher share less that of a wrong teacher", null=True),
        real("ci_low_teacher_minus_control", "2.5 %, paired by question", null=True),
        real("ci_high_teacher_minus_control", "97.5 %", null=True),
        real("least_kappa", "Cohen's kappa with labels at other thresholds, the least", null=True),
        boolean("is_stable", "least_kappa is at least 0.6", null=True),
        real("own_token_kappa", "with labels by the other length_rule", null=True),
        integer("n_masked", "Teacher or Student of label3, but Shared of label4"),
        text(
            "transfer",
            "whether the teacher's patterns passed to the distilled model",
            values=("TRANSFERS", "DOES NOT TRANSFER", "NOT ENOUGH"),
        ),
        text("transfer_reasons", "the comparisons that decided it, '; ' between them"),
        text(
            "correctness",
            "whether right answers have more Teacher sentences, within questions",
            values=("CORRELATES", "DOES NOT CORRELATE", "NOT ENOUGH"),
        ),
        text("correctness_reasons", "the comparison that decided it"),
    ),
    is_record=True,
)

ATTRIBUTION_CANDIDATE = Table(
    "attribution_candidate",
    "measurement and candidate teacher: what it has in common with the distilled model",
    ("measurement_id", "role"),
    (
        MEASUREMENT_ID,
        text("role", "the candidate's role in the measurement: 'teacher', 'teacher-2', ..."),
        integer("rank", "by share, from 1; null without one", null=True),
        integer("n_questions", "problems on which its or the distilled model's text was read"),
        integer("n_rollouts_distilled", "rollouts of the distilled model"),
        integer("n_rollouts_own", "rollouts of the candidate"),
        integer("n_unscored", "sentences of either that one of the models could not read"),
        real("share", "of what parts both from the base, what is common; 1 is all", null=True),
        real("ci_low_share", "2.5 % of 10,000 resamples of the problems", null=True),
        real("ci_high_share", "97.5 %", null=True),
        real("null_share", "wrong candidates stay below it: the interval is held against it"),
        real("behind_first", "share of the first less its own; null for the first", null=True),
        real("ci_low_behind_first", "2.5 %, paired by problem", null=True),
        real("ci_high_behind_first", "97.5 %", null=True),
        real("share_with_first", "what it has in common with the first in rank", null=True),
        boolean("is_sibling", "would itself be attributed to the first", null=True),
        boolean("is_attributed", "the teacher, or of the family that cannot be told apart"),
        real("gain_distilled", "bits per byte that it explains of the distilled's text", null=True),
        real("ci_low_gain_distilled", "2.5 %", null=True),
        real("ci_high_gain_distilled", "97.5 %", null=True),
        real("learned", "of what it says beyond the base, what the distilled has", null=True),
        real("ci_low_learned", "2.5 %", null=True),
        real("ci_high_learned", "97.5 %", null=True),
        real("alignment", "correlation of both models' shifts from the base, -1 to 1", null=True),
        real("ci_low_alignment", "2.5 %", null=True),
        real("ci_high_alignment", "97.5 %", null=True),
        REASON,
    ),
    is_record=True,
)

ATTRIBUTION = Table(
    "attribution",
    "measurement: the teacher among several candidates, or none of them",
    ("measurement_id",),
    (
        MEASUREMENT_ID,
        text(
            "attribution",
            "whether one candidate, or a family that cannot be told apart, is the teacher",
            values=("ATTRIBUTED", "ATTRIBUTED TO A FAMILY", "NONE OF THESE", "NOT ENOUGH"),
        ),
        text("role", "role of the candidate it is attributed to; null for others", null=True),
        text("attribution_reasons", "the comparisons that decided it, '; ' between them"),
        integer("n_candidates", "candidates ranked"),
        integer("n_questions", "problems"),
        real("own_gain", "bits per byte of its text that it has beyond the base", null=True),
        real("ci_low_own_gain", "2.5 % of 10,000 resamples of the problems", null=True),
        real("ci_high_own_gain", "97.5 %", null=True),
    ),
    is_record=True,
)

TABLES = (
    ROLLOUT,
    SENTENCE_SCORE,
    PROVENANCE_SENTENCE,
    PROVENANCE_SHARE,
    PROVENANCE_AREA,
    PROVENANCE_SUMMARY,
    ATTRIBUTION_CANDIDATE,
    ATTRIBUTION,
)
