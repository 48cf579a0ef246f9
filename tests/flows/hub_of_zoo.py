"""The zoo's models as repositories of a fake hub, and a watchlist over them."""

from datetime import timedelta
from pathlib import Path

from flows.watchlist import Watchlist, load
from measure import zoo
from tests.fake_hub import START, FakeHub

BASE = "zoo/llama-base"
DISTILLED, DIRECT = "people/llama-r1-distill", "people/llama-sft"
CARD = """---
license: apache-2.0
---
# A small llama

It was distilled from DeepSeek-R1 on 800 traces. It likes Claude Monet.
"""


def fill(hub: FakeHub, modified=START + timedelta(days=200)) -> None:
    """A base, three derivatives, and one of each kind that cannot be measured."""
    said = {"created": modified, "modified": modified}
    folder = {m.name: m.path for m in zoo.shipped()}
    hub.add(BASE, folder["llama-base"])
    hub.add("zoo/qwen2-base", folder["qwen2-base"])
    finetune = (f"base_model:finetune:{BASE}",)
    hub.add(
        DISTILLED, folder["llama-distilled"], tags=finetune, readme=CARD,
        card={"license": "apache-2.0", "datasets": ["open-r1/OpenR1-Math-220k"]}, **said,
    )  # fmt: skip
    hub.add(DIRECT, folder["llama-sft-direct"], tags=finetune, card={"license": "mit"}, **said)
    hub.add("people/copy", folder["llama-sft-direct"], tags=finetune, **said)
    hub.add("people/gated", folder["llama-continued"], tags=finetune, is_gated=True, **said)
    hub.add("people/pickles", Path("/nonexistent"), tags=finetune, **said)
    hub.add(
        "people/escape", folder["llama-continued"], tags=finetune,
        extra_names=("../evil.safetensors",), **said,
    )  # fmt: skip


def write_watchlist(path: Path, more: str = "", night: str = "", limits: str = "") -> Path:
    path.write_text(
        f"""
[night]
download_gb = 0.1
first_days = 100000
{night}

[limits]
max_params_b = 1
max_download_gb = 0.05
{limits}

[measure]
device = "cpu"
seeds = [0, 1]

[[family]]
name = "Llama of the zoo"
bases = ["{BASE}"]
{more}
""",
        encoding="utf-8",
    )
    return path


def watch(path: Path, **parts: str) -> Watchlist:
    return load(write_watchlist(path, **parts))
