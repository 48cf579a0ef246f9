"""Model organisms: small trained transformers whose lineage is known. See README.md beside this.

    for member in zoo.members(): print(member.name, member.base, member.path)

Importing this reads nothing; no torch is needed to list the members.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
WEIGHTS = HERE / "weights"
UNSHIPPED = HERE / "unshipped"
MANIFEST = HERE / "manifest.toml"


@dataclass(frozen=True, slots=True)
class Member:
    """One model of the zoo, as it was measured when it was built.

    `role` is teacher, base, depth-student or derivative; `method` names the class of its recipe;
    `base` and `teacher` name other members. Losses are in nats per token.
    """

    name: str
    family: str
    role: str
    method: str
    is_distilled: bool  # learnt from a teacher: the ground truth of detection
    is_shipped: bool  # else `cicatrix zoo build` makes its weights
    path: Path
    model_class: str
    base: str | None
    teacher: str | None
    n_params: int
    vocab_size: int
    seed: int
    steps: int
    tokens_trained: int | None
    final_train_loss_nats: float | None
    traces_sampled: int | None
    traces_kept: int | None
    recipe_hash: str
    sha256: str
    # Fractions of `n_per_cell` held-out problems answered right, greedily, by "horizon_condition".
    n_per_cell: int
    accuracy: Mapping[str, float]
    think_frac: float  # of all of them answered after reasoning
    # [mean, low, high] in logits, by task; 95 % over prompts.
    logit_difference: Mapping[str, tuple[float, float, float]]
    # Structural distance from the base by seed (0, 1, 2, 123), in epsilons of 1e-4.
    scar_eps: tuple[float, ...] | None


def _member(row: Mapping[str, Any]) -> Member:
    """Read a row of the manifest; what was not measured has no line there."""

    def grouped(prefix: str) -> dict[str, Any]:
        return {key.removeprefix(prefix): v for key, v in row.items() if key.startswith(prefix)}

    scar = row.get("scar_eps")
    folder = WEIGHTS if row["is_shipped"] else UNSHIPPED
    values: dict[str, Any] = {field: row.get(field) for field in Member.__slots__}
    values["path"] = folder / row["name"]
    values["accuracy"] = grouped("accuracy_")
    differences = grouped("logit_difference_")
    values["logit_difference"] = {task: tuple(found) for task, found in differences.items()}
    values["scar_eps"] = None if scar is None else tuple(scar)
    return Member(**values)


@cache
def members() -> tuple[Member, ...]:
    """Give every member, shipped or not, in building order (a base before its derivatives)."""
    return tuple(_member(row) for row in tomllib.loads(MANIFEST.read_text("utf-8"))["model"])


def shipped() -> tuple[Member, ...]:
    """Give the members whose weights come with the project."""
    return tuple(found for found in members() if found.is_shipped)


def member(name: str) -> Member:
    """Find a member; a name that is not there is an error that lists those that are."""
    for found in members():
        if found.name == name:
            return found
    raise KeyError(f"no member '{name}' in the zoo: `cicatrix zoo list` shows them")


def tree() -> Iterator[str]:
    """Write the members as lines, derivatives under what they were made from."""
    origins = {m.name: m.base or m.teacher for m in members()}
    for root in (m for m in members() if origins[m.name] is None):
        yield _line(root, "")
        children = [m for m in members() if origins[m.name] == root.name]
        for child in children:
            yield _line(child, "`- " if child is children[-1] else "|- ")


def _line(found: Member, branch: str) -> str:
    short, long = found.accuracy["short_clean"], found.accuracy["long_clean"]
    parts = [
        f"{branch + found.name:34}",
        f"{found.method:21}",
        f"{found.n_params / 1e6:.2f} M",
        f"short {short:4.0%}  long {long:4.0%}  reasoned {found.think_frac:4.0%}",
    ]
    if found.scar_eps:
        parts.append(f"scar {min(found.scar_eps):6,.0f}-{max(found.scar_eps):,.0f} eps")
    if found.teacher:
        parts.append(f"from {found.teacher}")
    if not found.is_shipped:
        parts.append("(records only)")
    return "  ".join(parts)
