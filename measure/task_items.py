"""The items of the tasks: a clean and a corrupted prompt of one form, an answer and a foil.

    numerals, number-words, months   Ring done in 3. Moon done in 4. Key done in 5. Sun done in 6.
                                     Book done in -> 7, not 6 (the form of Lan et al.)
    indirect-objects                 When Ann and Tom met near the bank, Tom gave the key to -> Ann
    facts                            The capital of France is -> Paris

Corrupted, they have the same words but for what decides the answer: terms drawn anew that stand in
no order (no term right after its predecessor); three other names; another subject of the same
relation. OUR DEFINITION where the papers differ: corrupted terms are written by position, and no
pair of neighbours may count up, not the last one alone. The foil is the last term given, the
giver, or the answer of a subject of the same relation that this set never asks about.

The zoo makes its own items with these generators from its own words (`measure.zoo.tasks`).
"""

import string
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from measure import task_words as words
from measure.errors import BadInput
from measure.zoo.problems import item_rng, pick

N_TERMS = 4  # given; the fifth is asked for
_OTHERS_ONE_IN = 3  # facts of a relation that a set does not ask about
_N_NAMES = 5  # two of a clean prompt, three others of the corrupted one
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Item:
    """Two prompts of one form; after the clean one `answer` is right and `foil` is wrong.

    `roles`: characters [start, end) of the clean prompt by what stands there.
    """

    clean: str
    corrupted: str
    answer: str
    foil: str
    roles: Mapping[str, Span]


def filled(template: str, slots: Mapping[str, str]) -> tuple[str, dict[str, Span]]:
    """The text of a template, and where in it each slot stands."""
    text, spans = "", {}
    for literal, slot, _, _ in string.Formatter().parse(template):
        text += literal
        if slot is not None:
            spans[slot] = (len(text), len(text) + len(slots[slot]))
            text += slots[slot]
    return text, spans


def sequence(
    subjects: Mapping[str, Sequence[str]],
    terms: Sequence[str],
    rng: np.random.Generator,
    first: int | None = None,
) -> Item:
    """Five things in a row, each with the next term; corrupted terms stand in no order.

    `subjects`: five or more by verb; `first`: the index of the first term, drawn if not given.
    """
    verb = pick(rng, tuple(subjects), 1)[0]
    who = pick(rng, subjects[verb], N_TERMS + 1)
    if first is None:
        first = int(rng.integers(len(terms) - N_TERMS))
    broken = rng.integers(len(terms), size=N_TERMS)
    while np.any(np.diff(broken) == 1):
        broken = rng.integers(len(terms), size=N_TERMS)
    told = [f"{{subject_{i}}} {verb} in {{term_{i}}}." for i in range(1, N_TERMS + 1)]
    template = " ".join([*told, f"{{subject_{N_TERMS + 1}}} {verb} in"])

    def prompt(indices: Sequence[int]) -> tuple[str, dict[str, Span]]:
        slots = {f"subject_{i}": name for i, name in enumerate(who, start=1)}
        slots |= {f"term_{i}": terms[index] for i, index in enumerate(indices, start=1)}
        return filled(template, slots)

    clean, roles = prompt(range(first, first + N_TERMS))
    return Item(
        clean=clean,
        corrupted=prompt(broken.tolist())[0],
        answer=f" {terms[first + N_TERMS]}",
        foil=f" {terms[first + N_TERMS - 1]}",
        roles=roles,
    )


def indirect_object(
    templates: Sequence[str],
    names: Sequence[str],
    places: Sequence[str],
    things: Sequence[str],
    rng: np.random.Generator,
) -> Item:
    """Two people, one gives, the other receives; corrupted with three other names."""
    template = pick(rng, templates, 1)[0]
    pair = pick(rng, names, 2)
    giver_is = int(rng.integers(2))
    others = pick(rng, [name for name in names if name not in pair], 3)
    slots = {"place": pick(rng, places, 1)[0], "thing": pick(rng, things, 1)[0]}

    def prompt(name_1: str, name_2: str, giver: str) -> tuple[str, dict[str, Span]]:
        return filled(template, {"name_1": name_1, "name_2": name_2, "giver": giver, **slots})

    clean, roles = prompt(pair[0], pair[1], pair[giver_is])
    return Item(
        clean=clean,
        corrupted=prompt(*others)[0],
        answer=f" {pair[1 - giver_is]}",
        foil=f" {pair[giver_is]}",
        roles=roles,
    )


def sequences(tokenizer: Any, terms: Sequence[str], seed: int, is_masked: bool) -> Iterator[Item]:
    """Sequences without end, of words that the tokenizer cuts alike.

    The first term goes through all there are, innermost: any set is balanced to within one. For a
    mask it is always the first: few masked models count on from elsewhere (methods 4.1).
    """
    subjects = {"done": words.NOUNS, "lost": words.NOUNS, "born": words.NAMES}
    subjects = _subjects_alike(tokenizer, subjects)
    terms = _run_alike(tokenizer, terms)
    n_firsts = 1 if is_masked else len(terms) - N_TERMS
    for index in count():
        rng = item_rng(seed, f"sequence of {terms[0]}", index)
        yield sequence(subjects, terms, rng, first=index % n_firsts)


def indirect_objects(tokenizer: Any, seed: int, is_masked: bool) -> Iterator[Item]:
    """Givings without end, of words that the tokenizer cuts alike."""
    names, places, things = (
        _alike(tokenizer, of_slot, ["the {word} to"])
        for of_slot in (words.NAMES, words.PLACES, words.THINGS)
    )
    if len(names) < _N_NAMES:
        raise BadInput(
            f"indirect objects need {_N_NAMES} names that this tokenizer cuts into equally many "
            f"tokens, and it has {len(names)}: give prompts of your own in a .jsonl file"
        )
    for index in count():
        rng = item_rng(seed, "indirect object", index)
        yield indirect_object(words.GIVING, names, places, things, rng)


def facts(tokenizer: Any, seed: int, is_masked: bool) -> Iterator[Item]:
    """Each fact once, of those that the seed asks about; corrupted and foil from the others."""
    rng = item_rng(seed, "parts of the facts", 0)
    asked: list[tuple[str, str, str]] = []
    others: dict[str, list[tuple[str, str]]] = {}
    for relation, pairs in words.FACTS.items():
        known = [(subject, answer) for subject, answer in (pair.split() for pair in pairs)]
        order = rng.permutation(len(known))
        others[relation] = [known[i] for i in order[: len(known) // _OTHERS_ONE_IN]]
        asked += [(relation, *known[i]) for i in order[len(known) // _OTHERS_ONE_IN :]]
    for index in rng.permutation(len(asked)):
        relation, subject, answer = asked[index]
        unlike = {right: other for other, right in others[relation] if right != answer}
        if len(unlike) < 2:  # a part of the continents may be Europe alone
            continue
        instead, foil = pick(item_rng(seed, "fact", int(index)), list(unlike), 2)
        clean, roles = filled(words.FACT, {"relation": relation, "subject": subject})
        corrupted, _ = filled(words.FACT, {"relation": relation, "subject": unlike[instead]})
        yield Item(clean, corrupted, f" {answer}", f" {foil}", roles)


def touching(offsets: Sequence[Span], span: Span) -> tuple[int, ...]:
    """Positions of the tokens that hold a character of `span`."""
    return tuple(i for i, (start, end) in enumerate(offsets) if start < span[1] and end > span[0])


def _n_tokens(tokenizer: Any, given: Sequence[str], templates: Sequence[str]) -> list[tuple]:
    """Of each word the tokens it is cut into, in each template with its slot `word`."""
    columns: list[list[int]] = []
    for template in templates:
        texts, spans = zip(*(filled(template, {"word": word}) for word in given), strict=True)
        offsets = tokenizer(list(texts), return_offsets_mapping=True)["offset_mapping"]
        columns.append(
            [len(touching(o, span["word"])) for o, span in zip(offsets, spans, strict=True)]
        )
    return list(zip(*columns, strict=True))


def _alike(tokenizer: Any, given: Sequence[str], templates: Sequence[str]) -> tuple[str, ...]:
    """The words that are cut as most of them are; the fewer tokens where two are as common."""
    cuts = _n_tokens(tokenizer, given, templates)
    common = Counter(cuts)
    best = min(common, key=lambda cut: (-common[cut], cut))
    return tuple(word for word, cut in zip(given, cuts, strict=True) if cut == best)


def _subjects_alike(
    tokenizer: Any, subjects: Mapping[str, Sequence[str]]
) -> dict[str, tuple[str, ...]]:
    """Verbs and their subjects, cut alike at the start of a text and within it."""
    verbs = _alike(tokenizer, tuple(subjects), ["Ring {word} in"])
    every = tuple(dict.fromkeys(name for verb in verbs for name in subjects[verb]))
    kept = set(_alike(tokenizer, every, ["{word} done in", "Ring done in three. {word} done"]))
    found = {verb: tuple(name for name in subjects[verb] if name in kept) for verb in verbs}
    enough = {verb: names for verb, names in found.items() if len(names) > N_TERMS}
    if not enough:
        raise BadInput(
            f"sequences need {N_TERMS + 1} subjects that this tokenizer cuts into equally many "
            f"tokens, and it has {max(map(len, found.values()))}: "
            "give prompts of your own in a .jsonl file"
        )
    return enough


def _run_alike(tokenizer: Any, terms: Sequence[str]) -> tuple[str, ...]:
    """The longest run of successive terms that are cut into equally many tokens."""
    cuts = _n_tokens(tokenizer, terms, ["done in {word}."])
    best = (0, 0)
    start = 0
    for end in range(1, len(terms) + 1):
        if cuts[end - 1] != cuts[start]:
            start = end - 1
        best = max(best, (start, end), key=lambda run: run[1] - run[0])
    run = tuple(terms[slice(*best)])
    if len(run) <= N_TERMS:
        raise BadInput(
            f"a sequence needs {N_TERMS + 1} successive terms that this tokenizer cuts into "
            f"equally many tokens, and of {terms[0]!r} to {terms[-1]!r} at most {len(run)} are: "
            "take another task, or give prompts of your own in a .jsonl file"
        )
    return run
