"""What a command compares with what: models by reference and role, and in which order."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields

from measure import sources, zoo
from measure.zoo import Member

ROLES = ("base", "reference", "shared_comparator", "teacher")


# A base of another family and about the same size, for each family that the zoo calibrates.
_STRANGERS = {"llama": "qwen2-base", "qwen2": "mistral-base", "mistral": "llama-base"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A model to measure and what to compare it with, each a reference as the user gives it."""

    model: str
    base: str | None = None
    reference: str | None = None
    shared_comparator: str | None = None
    teacher: str | None = None

    def others(self) -> dict[str, str]:
        """Role -> reference, of the roles that were given."""
        given = {field.name: getattr(self, field.name) for field in fields(self)[1:]}
        return {role: ref for role, ref in given.items() if ref is not None}


def in_order(targets: Sequence[Target]) -> list[str]:
    """Every model once, bases first: their greedy texts are what the others are scored on."""
    bases = [target.base for target in targets if target.base is not None]
    rest = [ref for target in targets for ref in (target.model, *target.others().values())]
    return list(dict.fromkeys([*bases, *rest]))


def bases_read_by(ref: str, targets: Sequence[Target]) -> Iterator[str]:
    """The bases on whose text a model is scored: those of the triangles it stands in."""
    found = (
        target.base
        for target in targets
        if target.base is not None and ref in (target.model, *target.others().values())
    )
    yield from dict.fromkeys(found)


def member_targets(members: Sequence[Member]) -> list[Target]:
    """Every derivative among `members` in its triangle: base, stranger, comparator, teacher."""
    return [
        Target(
            model=zoo_ref(member.name),
            base=zoo_ref(member.base),
            reference=zoo_ref(_STRANGERS.get(member.family, "llama-base")),
            shared_comparator=zoo_ref("gemma2-base" if member.family == "gpt2" else "gpt2-base"),
            teacher=zoo_ref(member.teacher) if member.teacher else None,
        )
        for member in members
        if member.base is not None
    ]


def demo_targets() -> list[Target]:
    """Of each calibrated family one derivative that is distilled and one that is not."""
    methods = ("distilled", "sft-direct")
    return member_targets(
        [m for m in zoo.shipped() if m.family in _STRANGERS and m.method in methods]
    )


def zoo_ref(name: str) -> str:
    """The reference of a zoo member, as `cicatrix measure` takes it."""
    return sources.ZOO_PREFIX + name


def organism(ref: str, model_id: Callable[[str], str]) -> dict[str, object]:
    """The known lineage of a zoo member, as the lake keeps it; ids as `model_id` gives them."""
    member = zoo.member(ref.removeprefix(sources.ZOO_PREFIX))
    ids = {
        f"{role}_id": model_id(zoo_ref(name)) if name else None
        for role, name in (("base", member.base), ("teacher", member.teacher))
    }
    return {
        "model_id": model_id(ref),
        "name": member.name,
        "method": member.method,
        "role": member.role,
        "is_distilled": member.is_distilled,
        "seed": member.seed,
        "is_shipped": member.is_shipped,
        "declared_by": "zoo",
        **ids,
    }
