"""`cicatrix declare`: what a user knows of a model's lineage, kept as theirs beside the zoo's.

It calibrates and is evaluated like the zoo's, and is counted apart. Whose weights a model has is
never decided by it: that is measured.
"""

from dataclasses import dataclass
from typing import Any

from measure import sources
from measure.errors import BadInput
from warehouse.lake import Lake

# Recipes of one name are left out together when one of them is judged: the careful default.
RECIPES = {True: "declared-distilled", False: "declared", None: "declared"}
_NAMED = {"base_id": "base", "teacher_id": "teacher"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What a user says of a model; models as references, None where nothing is said."""

    model: str
    base: str
    is_distilled: bool | None = None
    teacher: str | None = None  # the model whose output it learnt from
    recipe: str | None = None  # how it was made: siblings of one recipe are left out together


def declare(given: Declaration, *, replace: bool) -> list[str]:
    """Keep a declaration, and say in lines what became of it.

    One that adds to an earlier one completes it; one that contradicts it is refused, unless it
    shall replace it whole. Raises BadInput.
    """
    if given.teacher is not None and given.is_distilled is False:
        raise BadInput(
            f"{given.model!r} cannot have the teacher {given.teacher!r} and be not distilled: "
            "leave out `--teacher` or `--not-distilled`"
        )
    model_id, label = _identified(given.model)
    base_id = _identified(given.base)[0]
    teacher_id = None if given.teacher is None else _identified(given.teacher)[0]
    ids = {"base_id": base_id, "teacher_id": teacher_id}
    for role, other_id in ids.items():
        if other_id == model_id:
            raise BadInput(f"{given.model!r} cannot be its own {_NAMED[role]}: give another model")
    says: dict[str, Any] = {
        **ids,
        "is_distilled": True if given.teacher else given.is_distilled,
    }
    with Lake.open() as lake:
        known = _known(lake, model_id)
        if known is not None and known["declared_by"] == "zoo":
            raise BadInput(
                f"{given.model!r} is {known['name']} of the zoo, whose lineage is known: "
                "declare models of your own"
            )
        _refuse_circle(lake, given, model_id, base_id)
        if known is not None and not replace:
            says = _completed(lake, given, known, says)
        recipe = given.recipe or (None if known is None or replace else _own_recipe(known))
        row = {
            "model_id": model_id,
            "name": label,
            "method": recipe or RECIPES[says["is_distilled"]],
            "role": "derivative",
            "seed": None,
            "is_shipped": False,
            "declared_by": "user",
            **says,
        }
        if known is not None and all(known[name] == value for name, value in row.items()):
            return [f"{label} is declared so already"]
        lake.declare(row, instead_of=known["registered_at"] if known else None)
        return [f"declared: {_said(lake, row)}", *_notes(lake, given, row)]


def _identified(ref: str) -> tuple[str, str]:
    """(id, name to show) of a model; a hub model is not downloaded for it."""
    if sources.is_hub(ref):
        model_id = sources.model_id_of(ref)
        return model_id, model_id.partition("@")[0]
    source = sources.find(ref)
    return source.model_id, source.label


def _known(lake: Lake, model_id: str) -> dict[str, Any] | None:
    rows = lake.query("select * from organism where model_id = ?", [model_id])
    return next(rows.iter_rows(named=True), None)


def _refuse_circle(lake: Lake, given: Declaration, model_id: str, base_id: str) -> None:
    """Refuse a base that was itself made from the model, as far as is known."""
    circle = lake.query(
        "with recursive origin as ("
        "select model_id, base_id from organism where model_id = ? union "
        "select organism.model_id, organism.base_id from organism "
        "inner join origin on organism.model_id = origin.base_id"
        ") select organism.name from origin inner join organism using (model_id) "
        "where origin.base_id = ?",
        [base_id, model_id],
    )
    if circle.height:
        raise BadInput(
            f"{given.model!r} cannot be made from {given.base!r}: {circle['name'][0]} is declared "
            "to be made from it; declare that one anew, with `--replace`"
        )


def _completed(
    lake: Lake, given: Declaration, known: dict[str, Any], says: dict[str, Any]
) -> dict[str, Any]:
    """What both declarations say together; BadInput where they contradict each other."""
    merged = {name: known[name] if value is None else value for name, value in says.items()}
    recipe = _own_recipe(known)
    differs = any(known[name] not in (None, value) for name, value in merged.items())
    if differs or (given.recipe and recipe and given.recipe != recipe):
        raise BadInput(
            f"{given.model!r} was declared otherwise on {known['registered_at']:%Y-%m-%d} "
            f"({_said(lake, known)}): `--replace` declares it anew"
        )
    return merged


def _own_recipe(known: dict[str, Any]) -> str | None:
    """The recipe that was given by name."""
    return None if known["method"] in RECIPES.values() else known["method"]


def _said(lake: Lake, row: dict[str, Any]) -> str:
    """A declaration in words."""
    words = {True: "distilled", False: "not distilled", None: "unknown whether distilled"}
    text = f"{row['name']} from {_label(lake, row['base_id'])}, {words[row['is_distilled']]}"
    if row["teacher_id"] is not None:
        text += f" from {_label(lake, row['teacher_id'])}"
    return f"{text}, recipe {row['method']}"


def _label(lake: Lake, model_id: str) -> str:
    found = lake.query("select label from model where model_id = ?", [model_id])
    return found["label"].item() if found.height else model_id


def _notes(lake: Lake, given: Declaration, row: dict[str, Any]) -> list[str]:
    """Whether it calibrates yet, and what the weights say."""
    pair = [row["model_id"], row["base_id"]]
    where = "derivative_id = ? and base_id = ?"
    notes: list[str] = []
    if row["is_distilled"] is None:
        notes.append("it calibrates nothing until `--distilled` or `--not-distilled` is declared")
    elif lake.query(f"select 1 from displacement where {where}", pair).is_empty():
        command = f"`cicatrix measure {given.model} --base {given.base}`"
        notes.append(f"it calibrates once it is measured: {command}")
    weights = lake.query(f"select weight_lineage from lineage where {where}", pair)
    for label in weights["weight_lineage"]:
        if label != "SAME LINEAGE":
            notes.append(f"note: measured, the weights say {label}; no declaration changes that")
    return notes
