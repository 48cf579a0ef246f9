"""The workbench answers selects, within its limits, and gives up in one line."""

import os
import threading
import time
from dataclasses import replace

import polars as pl
import pytest
from making import add_structural

from warehouse import fences, read, workbench
from warehouse.lake import Lake, LakeError, Location
from warehouse.workbench import Limits, Question

ANSWERS = {
    "select count(*) as n, min(label) as label from structural_tau, lake.main.model": [(120, "M")],
    "select * from (values (2, 'b'), (1, 'a'), (3, 'c')) as t(n, x) order by n": [
        (1, "a"),
        (2, "b"),
        (3, "c"),
    ],
    "pivot (select site, seed from structural_tau) on site in ('A', 'B') using count(*)": [
        (0, 60, 60)
    ],
    "select count(*) as n from structural_tau at (version => 1)": [(0,)],
    # What Arrow, polars or CSV does not carry comes as DuckDB writes it.
    "select interval 36 hours as i, {'a': 1} as s, map {'k': [2]} as m, 'infinity'::date as d, "
    "row(1, 'x') as r, 'ab'::blob as b, '101'::bit as t": [
        ("36:00:00", "{'a': 1}", "{k=[2]}", "infinity", "(1, x)", "ab", "101")
    ],
    "select 1 as a, 2 as a, interval 1 day as a": [(1, 2, "1 day")],
    "select interval 1 day as i, timestamp '-infinity' as t, 1::variant as v": [
        ("1 day", "-infinity", "1")
    ],
    "select null as x, [1, null] as l, date '9999-12-31' = max(d) as last from "
    "(select date '9999-12-31' as d)": [(None, [1, None], True)],
}


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    place = Location.from_env({"CICATRIX_HOME": str(tmp_path_factory.mktemp("home"))})
    with Lake.open(place) as lake:
        add_structural(lake, "m", {0: [0.5] * 120})  # more than is inlined: a Parquet file
    return place


@pytest.mark.parametrize(("sql", "rows"), ANSWERS.items())
def test_it_answers(filled, sql, rows):
    answer = workbench.query(sql, filled)
    assert answer.frame.rows() == rows
    assert not answer.is_cut and answer.missing == ()


def test_show_and_describe_work(filled):
    assert "structural_scar" in workbench.query("show tables", filled).frame["name"].to_list()
    assert workbench.query("summarize model", filled).frame.height == 13


def test_the_row_cap_cuts_and_says_so(filled):
    three = replace(Limits(), rows=3)
    ordered = "select range as n from range({}) order by n desc"
    cut = workbench.query(ordered.format(5), filled, three)
    assert (cut.frame["n"].to_list(), cut.is_cut) == ([4, 3, 2], True)
    whole = workbench.query(ordered.format(3), filled, three)
    assert (whole.frame["n"].to_list(), whole.is_cut) == ([2, 1, 0], False)
    none = workbench.query("from structural_scar limit 0", filled, three)
    assert (none.frame.height, none.frame.width > 10, none.is_cut) == (0, True, False)


def test_an_answer_that_is_too_large_is_refused(filled):
    small = replace(Limits(), result_bytes=1_000_000)
    with pytest.raises(LakeError, match="takes 4 MB and may take 1 MB; ask for fewer"):
        workbench.query("select repeat('x', 1000000) from range(4)", filled, small)


def test_a_plan_is_shown_and_nothing_is_run(filled):
    endless = "select count(*) from structural_tau a, range(1000000000000) b"
    plan = workbench.query(endless, filled, is_plan=True)
    steps = plan.frame["plan"].to_list()
    assert not steps[0].startswith(" ") and steps[1].startswith("  ")
    assert any("DUCKLAKE_SCAN" in step and "Table structural_tau" in step for step in steps)
    assert max(map(len, steps)) <= 160
    assert plan.duration_s < 10
    with pytest.raises(LakeError, match="another kind of statement"):
        workbench.query("delete from model", filled, is_plan=True)


def test_the_hint_is_kept_and_the_message_is_one_line(filled):
    for sql, hint in {
        "select labl from model": "Candidate bindings",
        "select label frm model": "syntax error",
        "select label::integer from model": "Could not convert",
    }.items():
        with pytest.raises(LakeError, match=hint) as caught:
            workbench.query(sql, filled)
        assert "\n" not in str(caught.value) and str(caught.value).startswith("the workbench: ")


def test_a_python_variable_does_not_stand_in_for_a_table(filled):
    secret = pl.DataFrame({"a": [1]})
    assert secret.height
    with pytest.raises(LakeError, match="no table or mart 'secret'"):
        workbench.query("from secret", filled)


def test_a_long_statement_is_stopped(filled):
    start = time.monotonic()
    with pytest.raises(LakeError, match=r"took longer than 0\.5 s"):
        workbench.query(
            "select count(*) from range(1000000) a, range(1000000) b",
            filled,
            replace(Limits(), wall_s=0.5),
        )
    assert time.monotonic() - start < 20


def test_a_statement_can_be_cancelled(filled):
    question = Question("select count(*) from range(1000000) a, range(1000000) b", filled)
    time.sleep(1)
    assert not question.is_done and question.elapsed_s >= 1
    question.cancel()
    with pytest.raises(LakeError, match="was cancelled"):
        question.answer()
    assert question.is_done and question.elapsed_s < 15
    question.cancel()  # again, and of one that is over: nothing happens


def test_no_more_than_two_run_at_once_and_the_next_waits_its_turn(filled, monkeypatch):
    running, most, lock = 0, 0, threading.Lock()
    exchange = Question._exchange

    def counted(self, process, missing):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        try:
            return exchange(self, process, missing)
        finally:
            with lock:
                running -= 1

    monkeypatch.setattr(Question, "_exchange", counted)
    questions = [Question(f"select {i} as i", filled) for i in range(5)]
    assert [question.answer().frame.item() for question in questions] == list(range(5))
    assert 1 <= most <= workbench.AT_ONCE


def test_one_that_waits_too_long_for_its_turn_gives_up(filled, monkeypatch):
    monkeypatch.setattr(workbench, "_turns", threading.BoundedSemaphore(1))
    workbench._turns.acquire()
    with pytest.raises(LakeError, match="other statements are running"):
        workbench.query("select 1", filled, replace(Limits(), wall_s=0.3))
    waiting = Question("select 1", filled)
    waiting.cancel()
    with pytest.raises(LakeError, match="was cancelled"):
        waiting.answer()


def test_a_process_stands_by_and_sees_what_was_committed_since(location, tmp_path):
    with Lake.open(location) as lake:
        workbench.stand_by(location)
        kept = workbench._ready._process
        workbench.stand_by(location)
        assert workbench._ready._process is kept, "one is enough"
        add_structural(lake, "m", {0: [0.5] * 120})
        assert workbench.query("select count(*) from structural_tau", location).frame.item() == 120
        assert kept.poll() is not None, "a process answers one statement"
        # One that died is replaced, and so is one of a lake that is another by now.
        workbench.stand_by(location)
        workbench._ready._process.kill()
        assert workbench.query("select 1 as a", location).frame.item() == 1
    workbench.stand_by(location)
    elsewhere = Location.from_env({"CICATRIX_HOME": str(tmp_path / "elsewhere")})
    assert workbench.query("select count(*) from model", elsewhere).frame.item() == 0


def test_a_process_that_nobody_asks_ends(location, monkeypatch):
    Lake.open(location).close()
    monkeypatch.setattr(workbench, "STAND_BY_S", 0.2)
    workbench.stand_by(location)
    kept = workbench._ready._process
    assert kept.wait(20) is not None
    assert workbench._ready._process is None


def test_an_absent_lake_answers_with_no_rows(location):
    assert workbench.query("from structural_scar", location).frame.is_empty()
    missing = replace(location, is_configured=True)
    with pytest.raises(LakeError, match="where there is no lake"):
        workbench.query("from structural_scar", missing)


def test_it_answers_while_others_write(location):
    """The catalog is read without a lock and without its shared memory: never half a commit."""
    with Lake.open(location) as lake:
        seen = []
        for number in range(4):
            add_structural(
                lake, f"m{number}", {0: [0.5] * 120, 1: [0.5] * 40}, measurement_id=f"s{number}"
            )
            sql = "select count(*) from structural_tau"
            seen.append(workbench.query(sql, location).frame.item())
    assert seen == [160, 320, 480, 640]


NO_LANDLOCK = """
import sys
from warehouse import fences, sandbox
fences.read_only = lambda *_: [fences.NO_LANDLOCK]
sys.exit(sandbox.main())
"""


def test_where_the_kernel_has_no_landlock_it_says_so(filled, monkeypatch):
    command = (workbench._COMMAND[0], "-P", "-c", NO_LANDLOCK)
    monkeypatch.setattr(workbench, "_COMMAND", command)
    for end in ("-shm", "-wal"):
        if os.path.exists(filled.catalog + end):
            os.remove(filled.catalog + end)
    answer = workbench.query("select count(*) from structural_tau", filled)
    assert answer.frame.item() == 120
    assert answer.missing == (fences.NO_LANDLOCK,)


def test_others_read_and_write_while_a_statement_runs(location):
    with Lake.open(location) as lake:
        add_structural(lake, "m", {0: [0.5] * 120})
        question = Question(
            "select sum(a.tau + b.range) from structural_tau a, range(100000000000) b",
            location,
            replace(Limits(), wall_s=60),
        )
        time.sleep(2)
        slowest = 0.0
        for number in range(3):
            start = time.monotonic()
            add_structural(lake, f"n{number}", {0: [0.1] * 5}, measurement_id=f"n{number}")
            assert read.table("structural_tau", location, seed=0).height == 120 + 5 * (number + 1)
            slowest = max(slowest, time.monotonic() - start)
        assert not question.is_done, "it ran all the while"
        question.cancel()
    assert slowest < 10
