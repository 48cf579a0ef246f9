"""The real huggingface_hub client against a local server that speaks the endpoints it uses."""

import resource
from datetime import timedelta
from pathlib import Path

import pytest

from measure import hub as model_hub
from measure import sources
from measure.errors import BadInput
from measure.hashing import git_blob_sha1
from tests.fake_hub import START, FakeHub, NoWaiting, sha_of

MAIN, V1 = sha_of("org/tiny 1"), sha_of("org/tiny 0")


@pytest.fixture(scope="module")
def folders(model_folder, tmp_path_factory):
    root = tmp_path_factory.mktemp("hub")
    good, pickles = root / "good", root / "pickles"
    for folder in (good, pickles):
        folder.mkdir()
    for file in model_folder("llama").iterdir():
        (good / file.name).write_bytes(file.read_bytes())
    (good / "modeling_evil.py").write_text("raise SystemExit")
    (good / "pytorch_model.bin").write_bytes(b"pickle")
    (pickles / "config.json").write_text("{}")
    (pickles / "pytorch_model.bin").write_bytes(b"pickle")
    return {"good": good, "pickles": pickles}


@pytest.fixture
def fake(folders):
    made = FakeHub()
    made.add("org/tiny", folders["good"]).branches["v1"] = V1
    made.push("org/tiny", folders["good"])
    made.add("org/pickles", folders["pickles"])
    made.add("org/gated", folders["good"], is_gated=True)
    made.add("org/broken", folders["good"], refuses=501)
    made.add("org/locked", folders["good"], refuses=401)
    with made.serve():
        yield made


@pytest.fixture
def here(fake, tmp_path, monkeypatch):
    """The client in this process: it reads the environment when it is asked."""
    monkeypatch.setenv("HF_ENDPOINT", fake.url)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setattr("huggingface_hub.utils._http.time", NoWaiting)
    return fake


def find(ref, call="find"):
    """What `sources` finds, or the kind of its error and the line it says."""
    try:
        found = getattr(sources, call)(ref)
    except (BadInput, ConnectionError) as error:
        kind = "BadInput" if isinstance(error, BadInput) else "ConnectionError"
        return {"error": kind, "line": str(error)}
    return {name: getattr(found, name) for name in found.__slots__}


def test_a_revision_is_resolved_once_and_only_safe_files_come(here):
    found = find("org/tiny@v1")
    assert found["model_id"] == f"org/tiny@{V1}"
    assert found["kind"] == "hub"
    names = {file.name for file in Path(found["folder"]).iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert not [name for name in names if name.endswith((".py", ".bin"))]
    files = here.paths("/resolve/")
    assert files and all(f"/resolve/{V1}/" in path for path in files)


def test_without_a_revision_the_main_branch_is_resolved(here):
    assert find("org/tiny")["model_id"] == f"org/tiny@{MAIN}"


def test_the_size_is_known_before_anything_is_downloaded(here):
    size = find("org/tiny", call="size_of")
    assert int(size["download_bytes"]) > 10_000
    assert not here.paths("/resolve/")


@pytest.mark.parametrize(
    ("ref", "kind", "said"),
    [
        ("org/nobody", "BadInput", "does not exist at that name and revision"),
        ("org/tiny@v9", "BadInput", "does not exist at that name and revision"),
        ("org/gated", "BadInput", "is gated: accept its terms"),
        ("org/pickles", "BadInput", "holds only pickle checkpoints"),
        ("org/a--b", "BadInput", "is no valid hub id"),
        ("org/broken", "ConnectionError", "the model hub answered 501"),
    ],
)
def test_what_the_hub_refuses_is_one_line(here, ref, kind, said):
    found = find(ref)
    assert found["error"] == kind, found
    assert said in found["line"] and "\n" not in found["line"]


def test_no_network_is_transient(here, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    found = find("org/tiny")
    assert found["error"] == "ConnectionError"
    assert "cannot be reached" in found["line"]


def test_a_listing_is_filtered_sorted_and_paged(here):
    here.page_size = 2
    for day in range(5):
        here.add(
            f"org/d{day}", created=START, modified=START + timedelta(days=day),
            tags=("base_model:finetune:org/tiny",),
        )  # fmt: skip
    here.add("org/other", tags=("base_model:adapter:org/tiny",))
    found = list(model_hub.derivatives("org/tiny", "finetune", "last_modified"))
    assert [one.repo for one in found] == [f"org/d{day}" for day in (4, 3, 2, 1, 0)]
    assert found[0].modified_at == START + timedelta(days=4)
    assert found[0].sha == sha_of("org/d4 0")
    assert len(here.paths("/api/models?")) == 3  # pages of two


def test_no_page_is_asked_for_that_nobody_takes(here):
    here.page_size = 2
    for day in range(5):
        here.add(f"org/d{day}", tags=("base_model:finetune:org/tiny",))
    next(model_hub.derivatives("org/tiny", "finetune", "created_at"))
    assert len(here.paths("/api/models?")) == 1


def test_rate_limits_and_breakdowns_are_waited_for(here):
    here.troubles += [
        ("/api/models/org/tiny", 429, {"Retry-After": "1"}),
        ("/api/models/org/tiny", 503, {}),
    ]
    assert model_hub.commit_of("org/tiny") == MAIN
    assert len(here.paths("/api/models/org/tiny")) == 3


def test_who_is_not_let_in_is_told_so(here):
    with pytest.raises(model_hub.Absent, match="it is private"):
        model_hub.repository("org/locked")
    with pytest.raises(model_hub.Gated, match="accept its terms"):
        model_hub.fetch("org/gated", sha_of("org/gated 0"))


def test_what_a_repository_holds_is_known_without_its_files(here, folders):
    found = model_hub.repository("org/tiny@v1")
    assert found.sha == V1
    by_name = {file.name: file for file in found.files}
    assert by_name["config.json"].git_sha1 == git_blob_sha1(folders["good"] / "config.json")
    assert by_name["model.safetensors"].sha256 is not None
    assert "modeling_evil.py" not in {file.name for file in found.model_files()}
    assert model_hub.read_text("org/tiny@v1", "README.md") == ""
    assert model_hub.read_text("org/tiny@v1", "nothing.txt") is None
    config = model_hub.read_json("org/tiny@v1", "config.json")
    assert config is not None and config["model_type"] == "llama"


def test_an_empty_file_has_gits_own_id(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    # `git hash-object /dev/null`
    assert git_blob_sha1(tmp_path / "empty") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


def test_a_download_that_breaks_goes_on_where_it_stopped(here, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1024)
    here.cuts["model.safetensors"] = 1
    folder = model_hub.fetch("org/tiny", MAIN)
    sources.safetensors_header(folder / "model.safetensors")
    ranges = [r for method, path, r in here.asked if method == "GET" and "model.safe" in path]
    assert ranges[0] is None
    assert ranges[1] is not None and int(ranges[1].removeprefix("bytes=").strip("-")) > 0


def test_a_network_that_stays_away_is_transient_and_leaves_nothing_torn(here):
    here.cuts["model.safetensors"] = 100
    with pytest.raises(ConnectionError):
        model_hub.fetch("org/tiny", MAIN)
    assert not list(model_hub.cache_dir().rglob("model.safetensors"))
    here.cuts.clear()
    folder = model_hub.fetch("org/tiny", MAIN)
    sources.safetensors_header(folder / "model.safetensors")


def test_a_disk_that_fills_up_in_mid_download_is_one_line_and_leaves_nothing_torn(here):
    """No file may grow over 8 kB meanwhile, which a full disk is to whoever writes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
    try:
        with pytest.raises(BadInput, match=r"no room for hub model 'org/tiny'.*free some space"):
            model_hub.fetch("org/tiny", MAIN)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(model_hub.cache_dir().rglob("model.safetensors"))
    sources.safetensors_header(model_hub.fetch("org/tiny", MAIN) / "model.safetensors")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_corrupt_file_behind_a_right_name_is_refused_and_deleted(here, name):
    here.repos["org/tiny"].claims[name] = "0" * (64 if name.endswith("tensors") else 40)
    with pytest.raises(model_hub.Corrupt, match=f"{name}.*its hash differs"):
        model_hub.fetch("org/tiny", MAIN)
    snapshot = next((model_hub.cache_dir()).rglob("snapshots/*"))
    assert not (snapshot / name).exists()
    here.repos["org/tiny"].claims.clear()
    assert (model_hub.fetch("org/tiny", MAIN) / name).is_file()


def test_a_repository_deleted_in_between_is_absent(here):
    found = model_hub.repository("org/tiny")
    del here.repos["org/tiny"]
    with pytest.raises(model_hub.Absent, match="does not exist"):
        model_hub.fetch("org/tiny", found.sha)


def test_a_commit_that_has_moved_on_is_still_the_one_that_comes(here, folders):
    found = model_hub.repository("org/tiny")
    moved = here.push("org/tiny", folders["pickles"])
    assert model_hub.commit_of("org/tiny") == moved != found.sha
    folder = model_hub.fetch("org/tiny", found.sha)
    assert (folder / "model.safetensors").is_file() and folder.name == found.sha


@pytest.mark.parametrize(
    "name", ["../evil.safetensors", "/etc/evil.json", "a/../../evil.json", "..\\evil.json"]
)
def test_a_name_that_leads_outside_is_refused_before_any_file_comes(here, name):
    here.repos["org/tiny"].extra_names = (name,)
    with pytest.raises(BadInput, match="no path may lead outside"):
        model_hub.fetch("org/tiny", MAIN)
    assert not here.paths("/resolve/")


def test_a_cache_over_its_limit_lets_go_of_what_is_not_kept(here, folders):
    here.add("org/other", folders["good"])
    other = sha_of("org/other 0")
    kept, gone = model_hub.fetch("org/tiny", MAIN), model_hub.fetch("org/other", other)
    made = model_hub.merged_dir() / "x"
    made.mkdir(parents=True)
    (made / "model.safetensors").write_bytes(b"0" * 10)
    assert model_hub.evict(10**9, {MAIN}) == []  # within its limit
    assert model_hub.evict(0, {MAIN}) == ["x", f"org/other@{other}"]
    assert kept.is_dir() and not gone.exists() and not made.exists()
    assert (model_hub.fetch("org/other", other) / "config.json").is_file()  # and comes again


def test_a_cache_that_is_not_there_has_nothing_to_let_go_of(here):
    assert model_hub.evict(0, set()) == []
