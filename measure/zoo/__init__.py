"""Model organisms: small trained transformers whose lineage is known. See manifest.toml, "limits".

    for member in zoo.members(): print(member.name, member.base, member.path)

Importing this reads nothing; no torch is needed to list the members.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_HERE = Path(__file__).parent
WEIGHTS = _HERE / "weights"
MANIFEST = _HERE / "manifest.toml"


@dataclass(frozen=True, slots=True)
class Member:
    """One model of the zoo, as it was measured when it was built.

    `kind` is base, teacher, distilled or sft-direct; `base` and `teacher` name other members.
    Losses are in nats per token; accuracy and `think_frac` are fractions of the `held_out_n`
    held-out problems that it answered greedily.
    """

    name: str
    family: str
    kind: str
    path: Path
    model_class: str
    base: str | None
    teacher: str | None
    n_params: int
    vocab_size: int
    seed: int
    steps: int
    tokens_trained: int
    final_train_loss_nats: float
    held_out_loss_nats: float
    held_out_n: int
    held_out_accuracy: float
    held_out_think_frac: float
    traces_sampled: int
    traces_kept: int
    train_s: float
    recipe_hash: str
    sha256: str

    @property
    def is_distilled(self) -> bool:
        """Whether it learnt from a teacher's traces: the ground truth of detection."""
        return self.kind == "distilled"


@cache
def members() -> tuple[Member, ...]:
    """Give every shipped member, in building order (a base before its derivatives)."""
    rows = tomllib.loads(MANIFEST.read_text("utf-8"))["model"]
    fields = Member.__slots__
    return tuple(
        Member(**{f: row.get(f) for f in fields if f != "path"}, path=WEIGHTS / row["name"])
        for row in rows
    )


def member(name: str) -> Member:
    """Find a member; a name that is not there is an error that lists those that are."""
    for found in members():
        if found.name == name:
            return found
    raise KeyError(f"no member '{name}' in the zoo; it has {', '.join(m.name for m in members())}")
