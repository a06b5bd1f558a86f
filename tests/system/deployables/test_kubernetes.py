"""The manifests: built by kubectl if installed, valid by Kubernetes' schemas, with consistent references."""

from pathlib import Path

import kubernetes_validate
import pytest

from tests.support.deployables.dockerfile import INGEST, PROCESSOR, Dockerfile
from tests.support.deployables.manifests import (
    FOLDER,
    built,
    container,
    kustomizations,
    one,
    pods,
    read,
    resources,
)

pytestmark = pytest.mark.process

VERSIONS = ("1.33", "1.37")  # the oldest and newest supported
SECRETS = {"headrace-migrate", "headrace-ingest", "headrace-processor", "headrace-scaler"}
FILES = [path for path in sorted(FOLDER.rglob("*.yaml")) if path.name != "kustomization.yaml"]


@pytest.mark.parametrize("path", kustomizations(), ids=lambda path: path.parent.name)
def test_a_kustomizations_references_exist(path: Path) -> None:
    (kustomization,) = read(path)
    known = {(each["kind"], each["metadata"]["name"]) for each in resources(path)}
    for patch in kustomization.get("patches", ()):
        for each in read(path.parent / patch["path"]):
            assert (each["kind"], each["metadata"]["name"]) in known
    for replicas in kustomization.get("replicas", ()):
        assert ("Deployment", replicas["name"]) in known
    if "images" in kustomization:
        used = {container(pod)["image"] for pod in pods(tuple(resources(path))).values()}
        assert {image["name"].rpartition("/")[2] for image in kustomization["images"]} <= used


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_file_is_valid(path: Path, version: str) -> None:
    for manifest in read(path):
        if manifest["apiVersion"].startswith("keda.sh/"):
            continue  # not a Kubernetes type; see test_scaling.py
        if path.parent.parent.name == "overlays" and manifest["kind"] == "Deployment":
            continue  # a patch; validated after the build
        kubernetes_validate.validate(manifest, version, strict=True)


def test_every_built_manifest_is_valid(overlay: str) -> None:
    for manifest in built(overlay):
        if not manifest["apiVersion"].startswith("keda.sh/"):
            kubernetes_validate.validate(manifest, VERSIONS[0], strict=True)


def test_every_pod_is_restricted_and_has_no_token(overlay: str) -> None:
    for name, pod in pods(built(overlay)).items():
        spec, only = pod["spec"], container(pod)
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"], name
        user = f"{spec['securityContext']['runAsUser']}:{spec['securityContext']['runAsGroup']}"
        assert user == Dockerfile(INGEST).only("USER") == Dockerfile(PROCESSOR).only("USER")
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert only["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        for bound in ("requests", "limits"):
            assert {"cpu", "memory"} <= set(only["resources"][bound]), name


def test_every_reference_exists(overlay: str) -> None:
    manifests = built(overlay)
    names = {(each["kind"], each["metadata"]["name"]) for each in manifests}
    for pod in pods(manifests).values():
        sources = [next(iter(source.items())) for source in container(pod)["envFrom"]]
        assert {ref["name"] for kind, ref in sources if kind == "secretRef"} <= SECRETS
        assert {("ConfigMap", ref["name"]) for kind, ref in sources if kind == "configMapRef"} <= names
        if account := pod["spec"].get("serviceAccountName"):
            assert ("ServiceAccount", account) in names
        claims = [
            volume["persistentVolumeClaim"]["claimName"]
            for volume in pod["spec"].get("volumes", ())
            if "persistentVolumeClaim" in volume
        ]
        assert {("PersistentVolumeClaim", claim) for claim in claims} <= names
        volumes = {volume["name"] for volume in pod["spec"].get("volumes", ())}
        assert {mount["name"] for mount in container(pod).get("volumeMounts", ())} == volumes
    for manifest in manifests:
        if "scaleTargetRef" in manifest.get("spec", {}):
            assert ("Deployment", manifest["spec"]["scaleTargetRef"]["name"]) in names


def test_every_selector_matches_a_pod(overlay: str) -> None:
    labels = [pod["metadata"]["labels"] for pod in pods(built(overlay)).values()]
    for manifest in built(overlay):
        selector = manifest.get("spec", {}).get("podSelector") or manifest.get("spec", {}).get("selector") or {}
        wanted = selector.get("matchLabels", selector if manifest["kind"] == "Service" else {})
        if wanted:
            assert any(wanted.items() <= each.items() for each in labels), manifest["metadata"]["name"]


def test_production_scales_both_services_with_disruption_budgets() -> None:
    manifests = built("production")
    scaler = one(manifests, "HorizontalPodAutoscaler", "headrace-ingest")
    assert scaler["spec"]["minReplicas"] >= 2
    assert "replicas" not in one(manifests, "Deployment", "headrace-ingest")["spec"]
    assert "replicas" not in one(manifests, "Deployment", "headrace-processor")["spec"]
    for name in ("headrace-ingest", "headrace-processor"):
        assert one(manifests, "PodDisruptionBudget", name)["spec"]["maxUnavailable"] == 1


def test_network_policies_deny_by_default() -> None:
    policies = {
        each["metadata"]["name"]: each["spec"] for each in built("production") if each["kind"] == "NetworkPolicy"
    }
    deny_all = policies.pop("headrace-nothing")
    assert deny_all["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in deny_all
    assert "egress" not in deny_all
    for pod in pods(built("production")).values():
        assert deny_all["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    let_in = [name for name, spec in policies.items() if "Ingress" in spec["policyTypes"]]
    assert let_in == ["headrace-clients", "headrace-metrics"]
