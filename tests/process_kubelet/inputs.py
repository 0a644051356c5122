"""What a pod's containers get from the cluster: their volumes and their environment."""

from __future__ import annotations

import base64
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from process_kubelet.api import Api, Object
from process_kubelet.logs import HOST
from process_kubelet.scheduler import quantity


class NotReadyError(Exception):
    """A container cannot start yet; `reason` is what its status says."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Inputs:
    """The inputs of one pod."""

    api: Api
    pod: Object
    folder: Path
    """Where the volumes that live as long as the pod are made."""
    claims: Path
    """Where the folder of each claim of the pod's namespace lies."""

    def volumes(self) -> dict[str, Path]:
        """The folder of each volume, filled.

        Raises:
            NotReadyError: a secret or config map does not exist.
        """
        volumes = {}
        for volume in self.pod["spec"].get("volumes", []):
            if claim := volume.get("persistentVolumeClaim"):
                folder = self.claims / claim["claimName"]
                folder.mkdir(parents=True, exist_ok=True)
            else:
                folder = self.folder / volume["name"]
                self._make(folder, volume)
            volumes[volume["name"]] = folder
            group = self.pod["spec"].get("securityContext", {}).get("fsGroup")
            if group is not None and folder.stat().st_gid != group:
                give_to_group(folder, group)
        return volumes

    def _make(self, folder: Path, volume: Object) -> None:
        if not folder.is_dir():
            folder.mkdir(parents=True)
            folder.chmod(0o777)
            if volume.get("emptyDir", {}).get("medium") == "Memory":
                size = volume["emptyDir"].get("sizeLimit")
                options = "mode=1777" + (f",size={int(quantity(size))}" if size else "")
                command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
                subprocess.run(command, check=True)
        sources = list(volume.get("projected", {}).get("sources", []))
        kinds = ("secret", "configMap", "downwardAPI")
        sources += [{kind: volume[kind]} for kind in kinds if kind in volume]
        for source in sources:
            for path, data in self._files(source).items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(data)

    def _files(self, source: Object) -> dict[str, bytes]:
        """Relative path → content of one source of a volume."""
        [(kind, what)] = source.items()
        if kind == "serviceAccountToken":
            return {what["path"]: self._token(what).encode()}
        if kind == "downwardAPI":
            paths = {item["path"]: item["fieldRef"]["fieldPath"] for item in what["items"]}
            return {path: str(self._field(value)).encode() for path, value in paths.items()}
        name = what.get("name") or what["secretName"]
        data = self._keys("configmaps" if kind == "configMap" else "secrets", name)
        if data is None:
            if what.get("optional"):
                return {}
            raise NotReadyError("ContainerCreating", f'{kind.lower()} "{name}" not found')
        paths = {item["key"]: item["path"] for item in what.get("items", [])}
        return {(paths.get(k) or k): v for k, v in data.items() if not paths or k in paths}

    def _token(self, what: Object) -> str:
        """A token of the pod's ServiceAccount, bound to the pod."""
        meta, account = self.pod["metadata"], self.pod["spec"]["serviceAccountName"]
        owner = {"kind": "Pod", "apiVersion": "v1", "name": meta["name"], "uid": meta["uid"]}
        spec = {
            "audiences": [what["audience"]] if "audience" in what else [],
            "expirationSeconds": what.get("expirationSeconds", 3600),
            "boundObjectRef": owner,
        }
        path = f"/api/v1/namespaces/{meta['namespace']}/serviceaccounts/{account}/token"
        return str(self.api("POST", path, {"spec": spec})["status"]["token"])

    def environment(self, container: Object) -> dict[str, str]:
        """The variables that a container's specification gives it.

        Raises:
            NotReadyError: a secret, config map or key does not exist and is not optional.
        """
        result: dict[str, str] = {}
        kinds = {"secretRef": "secrets", "configMapRef": "configmaps"}
        for source in container.get("envFrom", []):
            for kind in kinds.keys() & source.keys():
                data = self._keys(kinds[kind], source[kind]["name"])
                if data is None and not source[kind].get("optional"):
                    raise _missing(kinds[kind], source[kind]["name"])
                prefix = source.get("prefix", "")
                result |= {prefix + key: value.decode() for key, value in (data or {}).items()}
        for variable in container.get("env", []):
            if "valueFrom" not in variable:
                result[variable["name"]] = expand(variable.get("value", ""), result)
            elif (value := self._value(container, variable["valueFrom"])) is not None:
                result[variable["name"]] = value
        return result

    def _value(self, container: Object, origin: Object) -> str | None:
        [(kind, what)] = origin.items()
        if kind == "fieldRef":
            return str(self._field(what["fieldPath"]))
        if kind == "resourceFieldRef":
            group, _, resource = what["resource"].partition(".")
            divisor = quantity(what.get("divisor", "1")) or 1
            return str(-int(-quantity(container["resources"][group][resource]) // divisor))
        plural = {"secretKeyRef": "secrets", "configMapKeyRef": "configmaps"}[kind]
        data = self._keys(plural, what["name"]) or {}
        if what["key"] in data:
            return data[what["key"]].decode()
        if what.get("optional"):
            return None
        raise _missing(plural, f"{what['name']}, key {what['key']}")

    def _keys(self, plural: str, name: str) -> dict[str, bytes] | None:
        """Key → value of a secret or config map, or None where there is none."""
        namespace = self.pod["metadata"]["namespace"]
        found = self.api.find(f"/api/v1/namespaces/{namespace}/{plural}/{name}")
        if found is None:
            return None
        plain, encoded = found.get("data", {}), found.get("binaryData", {})
        if plural == "secrets":
            plain, encoded = {}, plain
        decoded = {key: base64.b64decode(value) for key, value in encoded.items()}
        return {key: value.encode() for key, value in plain.items()} | decoded

    def _field(self, path: str) -> Any:
        """The value at a path such as `spec.nodeName` or `metadata.labels['app']`."""
        if path in ("status.podIP", "status.hostIP"):
            return HOST
        match = re.fullmatch(r"([\w.]+)(?:\['(.+)'\])?", path)
        assert match, path
        value: Any = self.pod
        for key in [*match[1].split("."), *([match[2]] if match[2] else [])]:
            value = value.get(key, "")
        return value


def _missing(plural: str, name: str) -> NotReadyError:
    message = f"{plural.removesuffix('s')} not found: {name}"
    return NotReadyError("CreateContainerConfigError", message)


def give_to_group(folder: Path, group: int) -> None:
    """What `fsGroup` does to a volume: its group may read and write everything in it."""
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            os.chown(path, -1, group)
            path.chmod(path.stat().st_mode | (0o2770 if path.is_dir() else 0o660))


def expand(text: str, environment: dict[str, str]) -> str:
    """`text` with each $(NAME) replaced that the environment knows; $$ is a plain $."""

    def value(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else environment.get(match[1], match[0])

    return re.sub(r"\$\$|\$\(([-._a-zA-Z0-9]+)\)", value, text)
