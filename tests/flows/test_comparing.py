"""Weight lineage over all pairs: each once, resumed, counted against what is known."""

import json
import shutil

import polars as pl
import pytest
import torch
from making import model, organism
from safetensors.torch import load_file, save_file

from flows import cli, comparing, confusion, ledger
from measure import lineage, sources
from warehouse import checks, read
from warehouse.lake import Lake

pytestmark = pytest.mark.slow  # models run: minutes in all


def quiet(_):
    pass


@pytest.fixture
def members(model_folder, tmp_path):
    """A base, a noised copy of it, one of another seed and one of another width."""
    base = model_folder("llama", 0)
    copy = shutil.copytree(base, tmp_path / "copy")
    weights = load_file(copy / "model.safetensors")
    noise = torch.Generator().manual_seed(0)
    noised = {n: w + 0.05 * torch.randn(w.shape, generator=noise) for n, w in weights.items()}
    save_file(noised, copy / "model.safetensors", metadata={"format": "pt"})
    folders = (base, copy, model_folder("llama", 1), model_folder("llama", 0, hidden_size=32))
    return [sources.find(str(folder)) for folder in folders]


def register(lake, members):
    base, copy, stranger, wide = (member.model_id for member in members)
    lake.add_models([model(member.model_id, label=member.label) for member in members])
    lake.add_organisms(
        [
            organism(copy, base_id=base),
            *(organism(one, base_id=None) for one in (base, stranger, wide)),
        ]
    )


@pytest.fixture
def lake(home, members):
    with Lake.open() as lake:
        register(lake, members)
        yield lake


def answers(members):
    labels = {member.model_id: index for index, member in enumerate(members)}
    found = read.mart("lineage_known")
    return {
        (labels[row["derivative_id"]], labels[row["base_id"]]): (row["relation"], row["answer"])
        for row in found.iter_rows(named=True)
    }


def test_every_pair_is_compared_once_and_known_for_what_it_is(lake, members):
    assert comparing.compare_all(lake, members, 1, quiet) == 4 * 3
    found = answers(members)
    assert len(found) == read.table("weight_lineage_pair").height == 12
    assert found[1, 0] == ("derivative", "SAME LINEAGE")
    assert found[0, 1] == ("base", "SAME LINEAGE")
    for pair in ((0, 2), (2, 0), (1, 2), (2, 1)):
        assert found[pair] == ("independent", "INDEPENDENT")
    for pair in ((3, 0), (0, 3), (3, 1), (1, 3), (3, 2), (2, 3)):
        assert found[pair] == ("independent", "NOT COMPARABLE")
    assert read.table("weight_lineage").is_empty()
    assert comparing.compare_all(lake, members, 1, quiet) == 0
    assert read.table("unit").height == 12
    assert (read.table("unit")["duration_s"] > 0).all()
    assert {name: bad.height for name, bad in checks.run().items() if bad.height} == {}


def test_it_goes_on_where_it_was_stopped(lake, members, monkeypatch):
    commit, n_commits = comparing._commit, []

    def stopped(*arguments):
        if len(n_commits) == 2:
            raise KeyboardInterrupt
        n_commits.append(1)
        commit(*arguments)

    monkeypatch.setattr(comparing, "_commit", stopped)
    with pytest.raises(KeyboardInterrupt):
        comparing.compare_all(lake, members, 1, quiet)
    assert len(answers(members)) == 2 * 3
    monkeypatch.setattr(comparing, "_commit", commit)
    assert comparing.compare_all(lake, members, 1, quiet) == 2 * 3
    assert len(answers(members)) == read.table("unit").height == 12
    assert read.table("measurement_model").height == 24


def test_a_pair_that_was_measured_whole_is_not_measured_again(lake, members):
    """And one that was measured alone is measured whole by who asks for it."""
    copy, base = members[1], members[0]
    whole = lineage.plan(copy.model_id, base.model_id)

    def make():
        return lineage.measure_pair(copy, base)

    assert ledger.measure_at_once(lake, whole, make, ref="copy")
    assert comparing.compare_all(lake, members[:2], 1, quiet) == 1  # the other order
    assert comparing.compare_all(lake, members[:3], 1, quiet) == 4
    assert not ledger.measure_at_once(lake, whole, make, ref="copy")
    other = lineage.plan(base.model_id, copy.model_id)
    assert ledger.measure_at_once(lake, other, lambda: lineage.measure_pair(base, copy), ref="b")
    assert len(answers(members)) == 6
    assert {name: bad.height for name, bad in checks.run().items() if bad.height} == {}


@pytest.mark.slow
def test_several_processes_say_the_same(lake, members):
    comparing.compare_all(lake, members, 2, quiet)
    found = answers(members)
    rows = {
        (one.label, other.label): lineage.measure_pair(one, other)[0]
        for one in members
        for other in members
        if one != other
    }
    assert len(found) == len(rows) == 12
    table = read.mart("lineage_known")
    for row in table.iter_rows(named=True):
        pair = rows[row["derivative"], row["base"]]
        assert (row["answer"], row["answer_reasons"]) == (pair.lineage_label, pair.label_reasons)


def test_weights_of_which_nothing_is_known_are_refused_in_one_line(
    home, members, monkeypatch, capsys
):
    monkeypatch.setattr(comparing, "take_records", quiet)
    monkeypatch.setattr(comparing, "at_hand", lambda: members)
    assert cli.main(["evaluate", "--lineage", "--jobs", "1"]) == cli.BAD_USAGE
    error = capsys.readouterr().err
    assert "are not those of the zoo's records" in error and error.count("\n") == 1
    assert cli.main(["evaluate", "--lineage", "--jobs", "0"]) == cli.BAD_USAGE
    assert capsys.readouterr().err == "error: --jobs 0 is under 1: give such as `--jobs 2`\n"


# What is counted.


def test_the_command_counts_answers_and_errors(home, members, monkeypatch, capsys):
    with Lake.open() as lake:
        register(lake, members)
    monkeypatch.setattr(comparing, "at_hand", lambda: members)
    assert cli.main(["evaluate", "--lineage", "--jobs", "1", "--json"]) == 0
    said = capsys.readouterr()
    assert said.err.startswith("12 pairs to compare")
    found = json.loads(said.out)["lineage"]
    assert found["with_weights"] == [member.label for member in members]
    assert (found["n_models"], found["n_pairs"]) == (153, 153 * 152)
    assert (found["n_compared"], found["n_without_weights"]) == (12, 153 * 152 - 12)
    rows = {row["relation"]: row for row in found["rows"]}
    assert rows.keys() == {"derivative", "base", "all related", "independent"}
    strangers = rows["independent"]
    assert strangers["n_answers"] == {
        "SAME LINEAGE": 0, "INDEPENDENT": 4, "PARTIAL": 0, "NOT COMPARABLE": 6, "INCONCLUSIVE": 0,
    }  # fmt: skip
    assert (strangers["right"]["k"], strangers["right"]["n"]) == (4, 4)
    assert strangers["wrong"]["ci_high"] == pytest.approx(3.8415 / (4 + 3.8415), rel=1e-4)
    assert (rows["all related"]["n_pairs"], rows["all related"]["right"]["value"]) == (2, 1)
    # Two origins have something to compare; the third has another width.
    assert (found["wrong_origins"]["k"], found["wrong_origins"]["n"]) == (0, 1)
    assert found["wrong"] == []
    assert cli.main(["evaluate", "--lineage"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 100
    for word in ("23,244 are not, for want of weights", "Inde-", "all related", "4 of the zoo's"):
        assert word in " ".join(shown.split()), word


def _pairs(lake, labels):
    """Pairs of planted models by name, with the answer that their weights gave."""
    for derivative, base, label in labels:
        plan = lineage.plan(derivative, base, is_pair_alone=True)
        pair = lineage.WeightLineagePair(
            lineage_label=label, label_reasons="as planted", n_layers=2, n_base_layers=2,
            n_layers_related=0, reason=None,
        )  # fmt: skip
        comparing._commit(lake, [(plan, pair, 1.0)])


def test_errors_are_counted_by_hand(home):
    """a, b from A; A, B and C are origins; S has layers of T. u is what its user says: of A."""
    made = {"A": None, "B": None, "C": None, "T": None, "a": "A", "b": "A"}
    with Lake.open() as lake:
        names = (*made, "S", "u")
        lake.add_models([model(name, label=name) for name in names])
        lake.add_organisms([organism(name, base_id=base) for name, base in made.items()])
        student = {"base_id": None, "teacher_id": "T", "role": "depth-student"}
        own = {"base_id": "A", "declared_by": "user", "seed": None}
        lake.add_organisms([organism("S", **student), organism("u", **own)])
        _pairs(
            lake,
            [
                ("a", "A", "SAME LINEAGE"), ("A", "a", "INDEPENDENT"), ("a", "b", "PARTIAL"),
                ("b", "a", "SAME LINEAGE"), ("S", "T", "SAME LINEAGE"), ("T", "S", "PARTIAL"),
                ("A", "B", "INDEPENDENT"), ("B", "A", "PARTIAL"), ("a", "B", "INCONCLUSIVE"),
                ("B", "C", "INDEPENDENT"), ("C", "A", "NOT COMPARABLE"),
                ("u", "A", "INDEPENDENT"),
            ],
        )  # fmt: skip
        found = confusion.lineages(lake, 7, ["A"])
    rows = {(row.known_by, row.relation): row for row in found.rows}

    def counted(*key):
        row = rows[key]
        return row.n_pairs, (row.right.k, row.right.n), (row.wrong.k, row.wrong.n)

    assert counted("zoo", "derivative") == (1, (1, 1), (0, 1))
    assert counted("zoo", "base") == (1, (0, 1), (1, 1))
    # Partial of siblings is no error, and not right either.
    assert counted("zoo", "sibling") == (2, (1, 2), (0, 2))
    assert counted("zoo", "depth student") == (2, (1, 2), (0, 2))
    assert counted("zoo", "all related") == (6, (3, 6), (1, 6))
    assert counted("zoo", "independent") == (5, (2, 4), (1, 4))
    # What a user says is apart, and in no sum of the zoo's.
    assert counted("user", "derivative") == (1, (0, 1), (1, 1))
    assert set(rows) == {
        *(("zoo", name) for name in (*confusion.RELATIONS, "all related")), ("user", "derivative"),
    }  # fmt: skip
    # A and B, B and C have something to compare; A and B a wrong pair among their lines.
    assert (found.wrong_origins.k, found.wrong_origins.n) == (1, 2)
    assert (found.n_compared, found.n_without_weights) == (11, 7 * 6 - 11)
    told = {(one["derivative"], one["base"], one["answer"]) for one in found.wrong}
    assert told == {
        ("A", "a", "INDEPENDENT"), ("B", "A", "PARTIAL"), ("u", "A", "INDEPENDENT"),
    }  # fmt: skip
    shares = pl.DataFrame([one.wrong for one in found.rows])
    assert (shares["ci_low"] <= shares["value"]).all()


def test_nothing_compared_has_no_share(home):
    with Lake.open() as lake:
        found = confusion.lineages(lake, 153, [])
    assert found.rows == () and found.wrong == ()
    assert (found.wrong_origins.value, found.wrong_origins.ci_low) == (None, None)
