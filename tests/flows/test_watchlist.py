"""A watchlist is checked whole, with one clear line per mistake."""

import pytest
from hub_of_zoo import BASE, watch, write_watchlist

from flows.watchlist import load
from measure.errors import BadInput


def mistakes(tmp_path, **parts) -> list[str]:
    with pytest.raises(BadInput) as caught:
        load(write_watchlist(tmp_path / "w.toml", **parts))
    head, *lines = str(caught.value).splitlines()
    assert f"has {len(lines)} mistake" in head
    return [line.strip() for line in lines]


def test_a_good_one_is_read_with_its_units(tmp_path):
    found = watch(tmp_path / "w.toml", more="priority = 3", limits='licences = ["mit"]')
    assert found.family[0].bases == (BASE,) and found.family[0].priority == 3
    assert found.byte_budget == 100_000_000
    limits = found.limits_of_models()
    assert (limits.max_params, limits.max_download_bytes) == (10**9, 50_000_000)
    assert limits.licences == ("mit",) and found.measure.seeds == (0, 1)
    assert len(found.sha256) == 64


def test_what_no_night_could_download_is_too_large(tmp_path):
    found = watch(tmp_path / "w.toml")
    night = found.night.model_copy(update={"download_gb": 0.01})
    small = found.model_copy(update={"night": night})
    assert small.limits_of_models().max_download_bytes == 10_000_000


def test_each_mistake_has_a_line_that_says_where_and_what(tmp_path):
    lines = mistakes(
        tmp_path,
        night="max_model = 3\nattempts = 0",
        limits='licences = "mit"',
        more="""relations = ["finetune", "merged"]
[[family]]
bases = ["not a repo"]
[[alert]]
name = "a"
families = ["Qwen"]
webhook = "ftp://x"
""",
    )
    text = "\n".join(lines)
    assert "night.max_model: is no key of a watchlist: correct or remove it" in lines
    assert "night.attempts: 0 cannot be: input should be greater than or equal to 1" in lines
    assert "limits.licences: 'mit' cannot be" in text
    assert "family[1].relations[2]: 'merged' cannot be" in text
    assert "family[2].name: is missing: give it" in lines
    assert "family[2].bases[1]: 'not a repo' is not a hub id such as 'org/name'" in text
    assert "alert[1].webhook: 'ftp://x' is not an address" in text
    assert "alert[1].families: 'Qwen' is no family of this watchlist" in lines
    assert "alert[1]: says neither labels nor states: it would tell nothing" in lines
    assert len(lines) == 9


def test_names_and_bases_given_twice_are_told(tmp_path):
    lines = mistakes(tmp_path, more=f'[[family]]\nname = "Llama of the zoo"\nbases = ["{BASE}@v1"]')
    assert lines == [
        "family: 'Llama of the zoo' is named twice: give each name once",
        f"family: base {BASE!r} is watched twice: once is enough",
    ]


def test_what_is_no_file_or_no_toml_is_told(tmp_path):
    with pytest.raises(BadInput, match="cannot be read .*the README has an example"):
        load(tmp_path / "none.toml")
    (tmp_path / "w.toml").write_text("[night\n")
    with pytest.raises(BadInput, match="is no TOML"):
        load(tmp_path / "w.toml")
