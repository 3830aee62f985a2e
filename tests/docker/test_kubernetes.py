"""The manifests: valid by the schemas of Kubernetes, with roles and settings that exist."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import kubernetes_validate
import pytest
import yaml

from app.settings import PREFIX, Role, Settings
from web.http import paths

FOLDER = Path(__file__).parents[2] / "docker/kubernetes"
VERSION = "1.31"
ROLES = [role for role in get_args(Role) if role]


def documents(name: str) -> list[dict[str, Any]]:
    """Return the objects in a manifest."""
    return list(yaml.safe_load_all((FOLDER / name).read_text("utf-8")))


def env_file(name: str) -> dict[str, str]:
    """Return the variables of an env file."""
    lines = (FOLDER / name).read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line)


def worker_of(role: str) -> dict[str, Any]:
    """Return the Deployment or StatefulSet of a role."""
    (found,) = (one for one in documents(f"{role}.yaml") if "template" in one["spec"])
    return found


def containers() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield role, pod spec and container of each worker."""
    for role in ROLES:
        pod = worker_of(role)["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        yield role, pod, container


@pytest.mark.parametrize("role", ROLES)
def test_each_object_is_valid(role: str) -> None:
    found = documents(f"{role}.yaml")
    assert {one["kind"] for one in found} >= {"Service", "PodDisruptionBudget"}
    for one in found:
        kubernetes_validate.validate(one, VERSION, strict=True)


def test_each_role_is_started_and_asked_how_it_is() -> None:
    for role, _, container in containers():
        assert container["args"] == ["worker", "--role", role]
        probes = {name: container[name]["httpGet"]["path"] for name in container if "Probe" in name}
        assert probes == {
            "startupProbe": paths.HEALTH.path,
            "livenessProbe": paths.HEALTH.path,
            "readinessProbe": paths.READY.path,
        }


def test_the_settings_are_ones_that_the_product_knows() -> None:
    given = env_file("settings.env") | env_file("secrets.env.example")
    for _, _, container in containers():
        own = {
            e["name"]: "1.2.3.4" for e in container.get("env", ()) if e["name"].startswith(PREFIX)
        }
        settings = Settings.from_env({**given, **own})
        assert settings.token.get_secret_value()


def test_the_collector_asks_every_count_worker() -> None:
    settings = Settings.from_env(env_file("settings.env"))
    replicas = worker_of("count")["spec"]["replicas"]
    urls = [f"http://count-{n}.count:{settings.worker_port}" for n in range(replicas)]
    assert settings.count_urls.split(",") == urls
    watched = dict(pair.split("=") for pair in settings.watched_workers.split(","))
    assert [url for name, url in watched.items() if name.startswith("count")] == urls
    assert {name.partition("-")[0] for name in watched} == set(ROLES) - {"collect"}


def test_nobody_is_root_and_nothing_reads_a_variable_of_a_service() -> None:
    for _, pod, container in containers():
        assert pod["securityContext"]["runAsNonRoot"]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        # A service named event-counter-… would be a setting that nobody knows.
        assert pod["enableServiceLinks"] is False


def test_names_stay_where_partitions_stay() -> None:
    for role in set(ROLES) - {"collect"}:
        worker = worker_of(role)
        assert worker["kind"] == "StatefulSet"
        env = {e["name"]: e for e in worker["spec"]["template"]["spec"]["containers"][0]["env"]}
        assert env["EVENT_COUNTER_WORKER_NAME"]["value"] == "$(POD)"
        # The name that a pod's own hosts file has: it can be listened on before DNS knows it.
        host = f"$(POD).{role}.$(NAMESPACE).svc.cluster.local"
        assert env["EVENT_COUNTER_WORKER_HOST"]["value"] == host
