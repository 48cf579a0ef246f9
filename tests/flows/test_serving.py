"""What is declared for many machines is what one machine serves."""

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_prefect_yaml_declares_what_up_serves(home):
    from flows import serving

    served = {
        (one.flow_name, one.name, *(s.schedule.cron for s in one.schedules))
        for one in serving.deployments()
    }
    declared = set()
    for one in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]:
        module, function = one["entrypoint"].split(":")
        assert (ROOT / module).is_file()
        name = getattr(__import__(f"flows.{Path(module).stem}", fromlist=[function]), function).name
        declared.add((name, one["name"], *(s["cron"] for s in one.get("schedules", ()))))
    assert declared == served
    assert {name for name, *_ in served} == {
        "measure", "scan", "measure-queue", "upkeep", "report", "reconcile",
    }  # fmt: skip


def test_the_kubernetes_example_is_whole():
    kinds = [one["kind"] for one in yaml.safe_load_all((ROOT / "kubernetes.yaml").read_text())]
    assert kinds == ["ConfigMap", "Deployment"]
