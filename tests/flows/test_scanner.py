"""What a scan finds, keeps and plans, against a fake hub with the zoo's models."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest
from hub_of_zoo import BASE, DIRECT, DISTILLED, fill, watch, write_watchlist

from flows import cli, night_plan, scanner
from flows.scanner import Scanner, open_night
from measure import hub as model_hub
from tests.fake_hub import START, FakeHub, NoWaiting, sha_of
from warehouse import checks
from warehouse.lake import Lake

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # each opens a lake of its own


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The client in this process, waiting for nothing."""
    made = FakeHub()
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.utils._http.time", NoWaiting)
    with made.serve():
        monkeypatch.setenv("HF_ENDPOINT", made.url)
        yield made


@pytest.fixture
def lake(home):
    with Lake.open() as lake:
        yield lake


def quiet(_: str) -> None:
    pass


def scan(lake, watchlist):
    night = open_night(lake, watchlist, "host", "0")
    found = Scanner(lake, watchlist, night).find(quiet)
    return night, found


def states(lake):
    rows = scanner.ledger(lake).select("repo", "state")
    return dict(rows.iter_rows())


def test_every_derivative_comes_to_the_state_that_it_is_in(hub, lake, tmp_path):
    fill(hub)
    watchlist = watch(tmp_path / "w.toml")
    night, found = scan(lake, watchlist)
    assert night == 1 and not found.troubles
    assert states(lake) == {
        DISTILLED: "queued", DIRECT: "queued", "people/copy": "seen", "people/gated": "gated",
        "people/pickles": "no safetensors", "people/escape": "unsupported",
    }  # fmt: skip
    rows = {row["repo"]: row for row in scanner.ledger(lake).iter_rows(named=True)}
    assert rows[DISTILLED]["sha"] == sha_of(f"{DISTILLED} 0")
    assert rows[DISTILLED]["licence"] == "apache-2.0"
    assert rows[DISTILLED]["card_note"].startswith("# A small llama It was distilled")
    assert rows["people/copy"]["reason"] == f"its weights are those of {DIRECT}@" + sha_of(
        f"{DIRECT} 0"
    )
    assert "'../evil.safetensors'" in rows["people/escape"]["reason"]
    claims = lake.query("select teacher, read_in, quote from teacher_claim order by all").rows()
    assert claims == [
        ("DeepSeek-R1", "card", "It was distilled from DeepSeek-R1 on 800 traces."),
        ("DeepSeek-R1", "dataset", "open-r1/OpenR1-Math-220k"),
        ("DeepSeek-R1", "name", "llama-r1-distill"),
    ]  # Claude Monet taught nobody


def test_a_second_scan_finds_nothing_new_and_asks_of_no_repository(hub, lake, tmp_path):
    fill(hub)
    watchlist = watch(tmp_path / "w.toml")
    scan(lake, watchlist)
    hub.asked.clear()
    night, found = scan(lake, watchlist)
    assert night == 2 and not found.new
    assert not hub.paths("/resolve/") and not hub.paths("/api/models/")
    assert lake.query("select count(*) as n from hub_state")["n"].item() == 6


def test_a_commit_that_moved_is_a_row_of_its_own(hub, lake, tmp_path):
    fill(hub)
    watchlist = watch(tmp_path / "w.toml")
    scan(lake, watchlist)
    moved = hub.push(DIRECT, hub.repos["people/gated"].commits[sha_of("people/gated 0")])
    _, found = scan(lake, watchlist)
    assert [(one.model["repo"], one.model["sha"]) for one in found.new] == [(DIRECT, moved)]
    assert scanner.ledger(lake).filter(repo=DIRECT).height == 2


def test_what_is_older_than_the_overlap_is_not_listed_again(hub, lake, tmp_path):
    fill(hub)
    hub.page_size = 1
    watchlist = watch(tmp_path / "w.toml", night="overlap_hours = 24")
    scan(lake, watchlist)
    tags = (f"base_model:finetune:{BASE}",)
    late = START + timedelta(days=300)
    hub.add("people/late", tags=tags, created=late, modified=late)
    scan(lake, watchlist)
    hub.asked.clear()
    scan(lake, watchlist)
    # Day 300 less a day ends at the second page of two orders; other relations have one empty page.
    assert len(hub.paths("filter=base_model%3Afinetune")) == 4
    # Made before the watermark, shown to the hub after: within the overlap it is found.
    hub.add("people/hidden", tags=tags, created=late - timedelta(hours=20), modified=late)
    _, found = scan(lake, watchlist)
    assert [one.model["repo"] for one in found.new] == ["people/hidden"]


def test_a_repository_of_the_future_hides_nobody(hub, lake, tmp_path):
    fill(hub)
    tags = (f"base_model:finetune:{BASE}",)
    future = datetime.now(UTC) + timedelta(days=10_000)
    hub.add("people/future", tags=tags, created=future, modified=future)
    watchlist = watch(tmp_path / "w.toml", night="overlap_hours = 0")
    scan(lake, watchlist)
    now = datetime.now(UTC) + timedelta(minutes=1)
    hub.add("people/today", tags=tags, created=now, modified=now)
    _, found = scan(lake, watchlist)
    assert [one.model["repo"] for one in found.new] == ["people/today"]


def test_a_clock_that_jumps_back_neither_loses_nor_doubles(hub, lake, tmp_path, monkeypatch):
    fill(hub)
    watchlist = watch(tmp_path / "w.toml")
    night, _ = scan(lake, watchlist)
    row = scanner.ledger(lake).filter(repo=DIRECT).row(0, named=True)

    class Past(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2001, 1, 1, tzinfo=tz)

    monkeypatch.setattr(scanner, "datetime", Past)
    assert scanner.change_state(lake, row, night, "failed", "no memory")
    assert states(lake)[DIRECT] == "failed"  # by the number of the change, not by its clock
    number, found = scan(lake, watchlist)
    assert number == 2 and not found.new


def test_of_two_that_change_a_state_at_once_one_does(hub, lake, tmp_path):
    fill(hub)
    night, _ = scan(lake, watch(tmp_path / "w.toml"))
    row = scanner.ledger(lake).filter(repo=DIRECT).row(0, named=True)
    assert scanner.change_state(lake, row, night, "measured")
    assert not scanner.change_state(lake, row, night, "failed", "late")
    assert states(lake)[DIRECT] == "measured"


def test_the_same_scan_started_twice_at_once_keeps_each_once(hub, lake, tmp_path):
    fill(hub)
    watchlist = watch(tmp_path / "w.toml")
    found = []

    def one():
        with Lake.open() as own:
            found.append(scan(own, watchlist))

    threads = [Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(night for night, _ in found) == [1, 2]
    assert lake.query("select count(*) as n from hub_model")["n"].item() == 6
    assert lake.query("select count(*) as n from hub_state")["n"].item() == 6
    assert not checks.run()["duplicate_key"].height


def test_a_scan_killed_between_two_commits_is_taken_up(hub, lake, tmp_path, monkeypatch):
    fill(hub)
    watchlist = watch(tmp_path / "w.toml")
    real = lake.add_rows

    def dies(name, rows):
        if name == "hub_state":
            raise KeyboardInterrupt
        return real(name, rows)

    monkeypatch.setattr(lake, "add_rows", dies)
    with pytest.raises(KeyboardInterrupt):
        scan(lake, watchlist)
    monkeypatch.undo()
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("CICATRIX_HOME", str(tmp_path / "home"))
    _, found = scan(lake, watchlist)
    assert len(found.new) == 6 and len(states(lake)) == 6


def test_a_base_that_cannot_be_listed_leaves_the_others_and_its_watermark(hub, lake, tmp_path):
    fill(hub)
    watchlist = watch(tmp_path / "w.toml", more='[[family]]\nname = "gone"\nbases = ["no/body"]')
    _, found = scan(lake, watchlist)
    assert len(found.new) == 6
    assert len(found.troubles) == 1 and "no/body" in found.troubles[0]
    assert lake.query("select count(*) as n from hub_listing where base = 'no/body'")["n"][0] == 0


def test_one_deleted_between_listing_and_looking_is_a_row_that_says_so(
    hub, lake, tmp_path, monkeypatch
):
    fill(hub)
    real = model_hub.derivatives

    def listed(*given):
        found = list(real(*given))
        hub.repos.pop(DIRECT, None)
        return iter(found)

    monkeypatch.setattr(model_hub, "derivatives", listed)
    scan(lake, watch(tmp_path / "w.toml"))
    row = scanner.ledger(lake).filter(repo=DIRECT).row(0, named=True)
    assert row["state"] == "failed" and "does not exist" in row["reason"]


def test_the_plan_keeps_to_budget_number_and_priority(hub, lake, tmp_path):
    fill(hub)
    size = sum(
        file.size for file in model_hub.repository(DIRECT).model_files()
    )  # all models of the zoo's llama family are of about this size
    gb = 2.5 * size / 1e9
    watchlist = watch(tmp_path / "w.toml")
    tight = watchlist.model_copy(
        update={"night": watchlist.night.model_copy(update={"download_gb": gb})}
    )
    scan(lake, watchlist)
    rows = scanner.ledger(lake).to_dicts()
    plan = night_plan.plan(rows, tight, "cpu")
    # The base comes with the first: two of three fit, the second derivative waits.
    assert len(plan.items) == 1 and len(plan.waiting) == 1
    assert plan.total_bytes() <= 2.5 * size
    whole = night_plan.plan(rows, watchlist, "cpu")
    assert len(whole.items) == 2 and not whole.waiting
    # By hand: 2 seeds of 32 prompts and a rerun each, 40 own texts, curvature; and 40 of the base.
    first, second = whole.items
    assert second.n_passes < first.n_passes  # the base's own passes are counted with the first
    assert f"{first.n_passes + second.n_passes:,} forward passes" in whole.line()


def test_what_failed_too_often_is_not_tried_again(hub, lake, tmp_path):
    fill(hub)
    watchlist = watch(tmp_path / "w.toml", night="attempts = 2")
    night, _ = scan(lake, watchlist)
    for attempt in range(2):
        row = scanner.ledger(lake).filter(repo=DIRECT).row(0, named=True)
        assert DIRECT in {item.row["repo"] for item in plan_of(lake, watchlist)}, attempt
        scanner.change_state(lake, row, night, "failed", "no memory")
    assert {item.row["repo"] for item in plan_of(lake, watchlist)} == {DISTILLED}
    assert scanner.queue_again(lake, [DIRECT], night) == [DIRECT]
    assert len(plan_of(lake, watchlist)) == 2


def plan_of(lake, watchlist):
    return night_plan.plan(scanner.ledger(lake).to_dicts(), watchlist, "cpu").items


def test_a_dry_run_prints_the_plan_and_writes_nothing(hub, home, tmp_path, capsys):
    fill(hub)
    path = write_watchlist(tmp_path / "w.toml")
    assert cli.main(["scan", str(path), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "new on the hub, of 1 bases: 6 (2 queued" in said
    assert "people/pickles: no safetensors" in said
    assert "tonight: 2 to measure" in said and "forward passes" in said
    with Lake.open() as lake:
        assert scanner.ledger(lake).is_empty()
        assert lake.query("select count(*) as n from hub_scan")["n"].item() == 0
    assert not hub.paths(".safetensors")


def test_a_thousand_new_derivatives_in_one_night(hub, lake, tmp_path):
    """Plan and queue on synthetic listings, in pages of a hundred."""
    fill(hub)
    hub.page_size = 100
    folder = next(iter(hub.repos[DIRECT].commits.values()))
    at = START + timedelta(days=250)
    for number in range(1000):
        # The hash of the weights is what the hub says, so that none is another's copy.
        hub.add(
            f"many/m{number:04d}", Path(folder), tags=(f"base_model:finetune:{BASE}",),
            created=at, modified=at + timedelta(seconds=number),
            claims={"model.safetensors": f"{number:064x}"},
        )  # fmt: skip
    watchlist = watch(tmp_path / "w.toml", night="max_models = 50")
    _, found = scan(lake, watchlist)
    assert len(found.new) == 1006
    plan = night_plan.plan(scanner.ledger(lake).to_dicts(), watchlist, "cpu")
    assert len(plan.items) == 50 and len(plan.waiting) == 952
    assert plan.items[0].row["repo"] == "many/m0999"  # the newest
    hub.asked.clear()
    _, again = scan(lake, watchlist)
    assert not again.new
