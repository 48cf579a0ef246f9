"""A whole night through Prefect, from listing to marts, with the zoo on a fake hub."""

import json
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import torch
from hub_of_zoo import BASE, DIRECT, DISTILLED, fill, write_watchlist
from safetensors.torch import save_file

from measure import zoo
from tests.fake_hub import START, FakeHub, sha_of
from warehouse import checks, read
from warehouse.lake import Lake

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ADAPTER = "people/llama-lora"
MORE = """
[[alert]]
name = "whatever was judged"
labels = ["DISTILLED-LIKE", "INCONCLUSIVE", "UNCALIBRATED", "NOT DISTILLED-LIKE"]
states = ["gated"]
file = "alerts.jsonl"
webhook = "{webhook}"
"""


class Hook(BaseHTTPRequestHandler):
    got: list[dict[str, object]] = []

    def do_POST(self):
        self.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


def write_adapter(folder, *, seed=0):
    """A random LoRA of rank 2 on one matrix of the zoo's llama."""
    folder.mkdir()
    (folder / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 4, "bias": "none"})
    )
    generator = torch.Generator().manual_seed(seed)
    width = json.loads((zoo.member("llama-base").path / "config.json").read_text())["hidden_size"]
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_"
    factors = {
        f"{name}A.weight": torch.randn((2, width), generator=generator) * 0.1,
        f"{name}B.weight": torch.randn((width, 2), generator=generator) * 0.1,
    }
    save_file(factors, folder / "adapter_model.safetensors")
    return folder


def scan(path):
    """The command in a process of its own: Prefect keeps the first server of a process for good."""
    return subprocess.run(
        [sys.executable, "-m", "flows", "scan", str(path)], check=False
    ).returncode


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """One `cicatrix scan` and the same again; what they said and asked."""
    root = tmp_path_factory.mktemp("night")
    hub = FakeHub()
    server = HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with hub.serve(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("CICATRIX_HOME", str(root / "home"))
        for name in ("CICATRIX_CATALOG", "CICATRIX_DATA", "PREFECT_API_URL", "PREFECT_HOME",
                     "HF_HOME", "HF_HUB_CACHE"):  # fmt: skip
            patch.delenv(name, raising=False)
        patch.setenv("HF_ENDPOINT", hub.url)
        Lake.open().close()  # without the zoo's records, which only a lake that is made now takes
        fill(hub)
        hub.add(
            ADAPTER, write_adapter(root / "lora"), tags=(f"base_model:adapter:{BASE}",),
            created=START, modified=START,
        )  # fmt: skip
        broken = root / "broken"
        shutil.copytree(zoo.member("llama-continued").path, broken)
        hub.add(
            "people/corrupt", broken, tags=(f"base_model:merge:{BASE}",),
            claims={"tokenizer.json": "0" * 40}, created=START, modified=START,
        )  # fmt: skip
        more = MORE.format(webhook=f"http://127.0.0.1:{server.server_port}")
        path = write_watchlist(root / "w.toml", more=more, night="attempts = 1")
        codes = [scan(path)]
        n_asked = len(hub.asked)
        codes.append(scan(path))
        yield {"hub": hub, "codes": codes, "root": root, "again": hub.asked[n_asked:]}
    server.shutdown()


def test_every_derivative_ends_in_its_state(night):
    rows = {row["repo"]: row for row in read.mart("night_model").iter_rows(named=True)}
    assert {repo: row["state"] for repo, row in rows.items()} == {
        DISTILLED: "measured", DIRECT: "measured", ADAPTER: "measured",
        "people/copy": "seen", "people/gated": "gated", "people/pickles": "no safetensors",
        "people/escape": "unsupported", "people/corrupt": "failed",
    }  # fmt: skip
    assert "its hash differs" in rows["people/corrupt"]["reason"]
    assert night["codes"] == [1, 0]  # the corrupt one failed; the second night had nothing to do


def test_what_was_measured_has_a_scar_a_verdict_and_a_place(night):
    rows = read.mart("night_model", state="measured").sort("repo")
    assert rows.height == 3
    for row in rows.iter_rows(named=True):
        assert row["label"] in {"UNCALIBRATED", "INCONCLUSIVE"}, row["repo"]  # nothing calibrates
        assert row["n_seeds"] == 2 and row["max_non_max_x_eps"] > 0
        assert row["n_family"] == 2 and 0 <= row["n_quieter"] <= 2
    assert sorted(rows["n_quieter"]) == [0, 1, 2]
    ids = set(rows["model_ref"])
    base = f"{BASE}@{sha_of(f'{BASE} 0')}"
    assert f"{ADAPTER}@{sha_of(f'{ADAPTER} 0')}+{base}" in ids
    assert ids <= set(read.table("model")["model_id"])
    assert not [name for name, found in checks.run().items() if found.height]


def test_the_second_night_measures_nothing_and_downloads_nothing(night):
    assert not [path for _, path, _ in night["again"] if path.endswith(".safetensors")]
    nights = read.mart("night").sort("night")
    assert nights["n_new"].to_list() == [8, 0]
    assert nights["n_measured"].to_list() == [3, 0]
    assert nights["n_failed"].to_list() == [1, 0]
    attempts = read.table("attempt").filter(method="structural")
    assert attempts["measurement_id"].n_unique() == attempts.height == 4  # with the base


def test_only_safe_files_at_their_commit_were_fetched(night):
    fetched = [path for path in night["hub"].paths("/resolve/") if "README" not in path]
    assert fetched
    for path in fetched:
        sha, name = path.split("/resolve/")[1].split("/", 1)
        assert len(sha) == 40 and name.endswith((".safetensors", ".json", "merges.txt")), path


def test_each_alert_was_told_once_with_its_claims_as_claims(night):
    lines = (night["root"] / "alerts.jsonl").read_text().splitlines()
    told = {one["repo"]: one for one in map(json.loads, lines)}
    assert len(lines) == len(Hook.got) == 4  # three judged, one gated; the second night none
    assert told["people/gated"]["state"] == "gated"
    assert "claimed, not measured: taught by DeepSeek-R1" in told[DISTILLED]["text"]
    assert read.mart("night").sort("night")["n_alerts"].to_list() == [4, 0]
