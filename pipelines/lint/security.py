"""What a pod may do on its node: nothing that its work does not need (the `restricted` standard of
Kubernetes, and a read-only root file system)."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.container_rules import Document, Finding

_HARMLESS = ("NET_BIND_SERVICE",)
_SECCOMP = ("RuntimeDefault", "Localhost")


def check_pod(where: str, spec: Document) -> Iterator[Finding]:
    """What the pod shares with its node and with the API."""
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(name):
            yield Finding(f"{where}: {name}", "shares the node's own", "leave it out")
    if not isinstance(spec.get("automountServiceAccountToken"), bool):
        text = "is not set: by default every pod gets a token of the API"
        mend = "set false, or true where it talks to the API"
        yield Finding(f"{where}: automountServiceAccountToken", text, mend)
    for volume in spec.get("volumes") or []:
        if "hostPath" in volume:
            text = f"{volume.get('name')} is a folder of the node"
            yield Finding(f"{where}: volumes", text, "use a PersistentVolumeClaim or emptyDir")


def check_container(where: str, container: Document, pod: Document) -> Iterator[Finding]:
    """What the container may do; some of it may be said for the whole pod.

    Args:
        where: path of the container.
        container: its specification.
        pod: securityContext of the pod.
    """
    own = container.get("securityContext") or {}
    where = f"{where}.securityContext"
    if own.get("privileged"):
        yield Finding(f"{where}.privileged", "gives it the whole node", "leave it out")
    if own.get("allowPrivilegeEscalation") is not False:
        text = "is not false: a program may become root"
        yield Finding(f"{where}.allowPrivilegeEscalation", text, "set it to false")
    if own.get("readOnlyRootFilesystem") is not True:
        text = "is not true: what an attacker writes would stay and run"
        mend = "set it to true and mount an emptyDir where it has to write"
        yield Finding(f"{where}.readOnlyRootFilesystem", text, mend)
    capabilities = own.get("capabilities") or {}
    if "ALL" not in (capabilities.get("drop") or []):
        yield Finding(f"{where}.capabilities", "are not dropped", "set drop: [ALL]")
    for name in capabilities.get("add") or []:
        if name not in _HARMLESS:
            yield Finding(f"{where}.capabilities.add", f"{name} is too much", "leave it out")
    if own.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
        text = "is not true: the image decides whether it is root"
        yield Finding(f"{where}.runAsNonRoot", text, "set it to true, for the pod or here")
    if own.get("runAsUser", pod.get("runAsUser")) == 0:
        yield Finding(f"{where}.runAsUser", "is 0, which is root", "use a user such as 1000")
    profile = own.get("seccompProfile") or pod.get("seccompProfile") or {}
    if profile.get("type") not in _SECCOMP:
        text = "is not set: every system call is allowed"
        yield Finding(f"{where}.seccompProfile", text, "set type: RuntimeDefault")
    for port in container.get("ports") or []:
        if port.get("hostPort"):
            text = "takes a port of the node"
            yield Finding(f"{where.removesuffix('.securityContext')}.ports", text, "use a Service")


def check_network_policy(where: str, spec: Document) -> Iterator[Finding]:
    """Rules that say neither who nor which port: they make the policy one in name only."""
    for field, side, whom in (("ingress", "from", "everybody"), ("egress", "to", "everywhere")):
        for number, rule in enumerate(spec.get(field) or []):
            if not rule.get(side) and not rule.get("ports"):
                mend = f"name {side!r} or ports, or leave the rule out to allow none"
                text = f"allows everything, {side} {whom}"
                yield Finding(f"{where}: {field}[{number}]", text, mend, "warning")
