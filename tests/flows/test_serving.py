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
    """What its parts name of each other is there; `kubectl` is not here to ask."""
    settings, worker = yaml.safe_load_all((ROOT / "kubernetes.yaml").read_text())
    assert (settings["kind"], settings["apiVersion"]) == ("ConfigMap", "v1")
    assert all(isinstance(value, str) for value in settings["data"].values())
    assert (worker["kind"], worker["apiVersion"]) == ("Deployment", "apps/v1")
    spec, pod = worker["spec"], worker["spec"]["template"]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"].items() <= labels.items()
    (container,) = pod["containers"]
    named = {next(iter(one)): next(iter(one.values()))["name"] for one in container["envFrom"]}
    assert named["configMapRef"] == settings["metadata"]["name"]
    mounted = {one["name"] for one in container["volumeMounts"]}
    assert mounted == {one["name"] for one in pod["volumes"]}
    pool = container["command"][container["command"].index("--pool") + 1]
    declared = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    assert {one["work_pool"]["name"] for one in declared["deployments"]} == {pool}
