"""Fields of pods and of what makes them, so that a misspelt one is told: a server drops it, and the
pod lacks what it says.

Those of Kubernetes 1.25 to 1.37 (`api/openapi-spec` of kubernetes/kubernetes).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from components.core.settings import closest
from pipelines.container_rules import Document, Finding

_SPECS = {
    "Job": "JobSpec",
    "CronJob": "CronJobSpec",
    "Pod": "PodSpec",
    "Deployment": "DeploymentSpec",
    "StatefulSet": "StatefulSetSpec",
    "DaemonSet": "DaemonSetSpec",
    "PersistentVolumeClaim": "PersistentVolumeClaimSpec",
}
"""Kind → what its `spec` is."""


def check_spelling(where: str, kind: str, document: Document) -> Iterator[Finding]:
    """Fields, at any depth, that Kubernetes does not know."""
    yield from _check(where, document.get("metadata"), "ObjectMeta", "metadata")
    if kind in _SPECS:
        yield from _check(where, document.get("spec"), _SPECS[kind], "spec")


def _check(where: str, value: object, model: str, path: str) -> Iterator[Finding]:
    if isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _check(where, inner, model, f"{path}[{number}]")
    if not isinstance(value, Mapping):
        return
    known = FIELDS[model]
    for name, inner in value.items():
        if name not in known:
            text = f"unknown field {str(name)!r}{closest(str(name), known)}"
            yield Finding(f"{where}: {path}", text, f"use {', '.join(known)}")
        elif known[name]:
            yield from _check(where, inner, known[name], f"{path}.{name}")


def _fields(text: str) -> dict[str, str]:
    """Names of fields and, where their own are known too, of what they hold (`name:model`)."""
    parts = (part.partition(":") for part in text.split())
    return {name: model for name, _, model in parts}


_CONTAINER = (
    "args command env:EnvVar envFrom:EnvFromSource image imagePullPolicy lifecycle "
    "livenessProbe:Probe name ports:ContainerPort readinessProbe:Probe resizePolicy "
    "resources:ResourceRequirements restartPolicy restartPolicyRules "
    "securityContext:SecurityContext startupProbe:Probe stdin stdinOnce "
    "terminationMessagePath terminationMessagePolicy tty volumeDevices "
    "volumeMounts:VolumeMount workingDir"
)

_MODELS = {
    "JobSpec": (
        "activeDeadlineSeconds backoffLimit backoffLimitPerIndex completionMode completions "
        "managedBy manualSelector maxFailedIndexes parallelism podFailurePolicy:PodFailurePolicy "
        "podReplacementPolicy scheduling selector successPolicy suspend template:PodTemplateSpec "
        "ttlSecondsAfterFinished"
    ),
    "CronJobSpec": (
        "concurrencyPolicy failedJobsHistoryLimit jobTemplate:JobTemplateSpec schedule "
        "startingDeadlineSeconds successfulJobsHistoryLimit suspend timeZone"
    ),
    "JobTemplateSpec": "metadata:ObjectMeta spec:JobSpec",
    "PodFailurePolicy": "rules:PodFailurePolicyRule",
    "PodFailurePolicyRule": "action onExitCodes onPodConditions",
    "DeploymentSpec": (
        "minReadySeconds paused progressDeadlineSeconds replicas revisionHistoryLimit selector "
        "strategy template:PodTemplateSpec"
    ),
    "StatefulSetSpec": (
        "minReadySeconds ordinals persistentVolumeClaimRetentionPolicy podManagementPolicy "
        "replicas revisionHistoryLimit selector serviceName template:PodTemplateSpec "
        "updateStrategy volumeClaimTemplates"
    ),
    "DaemonSetSpec": (
        "minReadySeconds revisionHistoryLimit selector template:PodTemplateSpec updateStrategy"
    ),
    "PodTemplateSpec": "metadata:ObjectMeta spec:PodSpec",
    "ObjectMeta": (
        "annotations creationTimestamp deletionGracePeriodSeconds deletionTimestamp finalizers "
        "generateName generation labels managedFields name namespace ownerReferences "
        "resourceVersion selfLink uid"
    ),
    "PodSpec": (
        "activeDeadlineSeconds affinity automountServiceAccountToken containers:Container "
        "dnsConfig dnsPolicy enableServiceLinks ephemeralContainers:EphemeralContainer "
        "evictionResponders hostAliases hostIPC hostNetwork hostPID hostUsers hostname "
        "hostnameOverride imagePullSecrets initContainers:Container nodeName nodeSelector os "
        "overhead preemptionPolicy priority priorityClassName readinessGates resourceClaims "
        "resources:ResourceRequirements restartPolicy runtimeClassName schedulerName "
        "schedulingGates schedulingGroup securityContext:PodSecurityContext serviceAccount "
        "serviceAccountName setHostnameAsFQDN shareProcessNamespace subdomain "
        "terminationGracePeriodSeconds tolerations:Toleration topologySpreadConstraints "
        "volumes:Volume workloadRef"
    ),
    "Container": _CONTAINER,
    "EphemeralContainer": f"{_CONTAINER} targetContainerName",
    "PodSecurityContext": (
        "appArmorProfile fsGroup fsGroupChangePolicy runAsGroup runAsNonRoot runAsUser "
        "seLinuxChangePolicy seLinuxOptions seccompProfile supplementalGroups "
        "supplementalGroupsPolicy sysctls windowsOptions"
    ),
    "SecurityContext": (
        "allowPrivilegeEscalation appArmorProfile capabilities privileged procMount "
        "readOnlyRootFilesystem runAsGroup runAsNonRoot runAsUser seLinuxOptions seccompProfile "
        "windowsOptions"
    ),
    "ResourceRequirements": "claims limits requests",
    "EnvVar": "name value valueFrom:EnvVarSource",
    "EnvVarSource": "configMapKeyRef fieldRef fileKeyRef resourceFieldRef secretKeyRef",
    "EnvFromSource": "configMapRef prefix secretRef",
    "VolumeMount": (
        "bindMountOptions mountPath mountPropagation name readOnly recursiveReadOnly subPath "
        "subPathExpr"
    ),
    "Volume": (
        "awsElasticBlockStore azureDisk azureFile cephfs cinder configMap csi downwardAPI "
        "emptyDir:EmptyDirVolumeSource ephemeral fc flexVolume flocker gcePersistentDisk gitRepo "
        "glusterfs hostPath image iscsi name nfs "
        "persistentVolumeClaim:PersistentVolumeClaimVolumeSource photonPersistentDisk "
        "portworxVolume projected quobyte rbd scaleIO secret storageos vsphereVolume"
    ),
    "EmptyDirVolumeSource": "medium mode sizeLimit",
    "PersistentVolumeClaimVolumeSource": "claimName readOnly",
    "Probe": (
        "exec failureThreshold grpc httpGet initialDelaySeconds periodSeconds successThreshold "
        "tcpSocket terminationGracePeriodSeconds timeoutSeconds"
    ),
    "ContainerPort": "containerPort hostIP hostPort name protocol",
    "Toleration": "effect key operator tolerationSeconds value",
    "PersistentVolumeClaimSpec": (
        "accessModes dataSource dataSourceRef resources selector storageClassName "
        "volumeAttributesClassName volumeMode volumeName"
    ),
}
FIELDS = {model: _fields(text) for model, text in _MODELS.items()}
"""Model → its fields → what they hold, '' where it is not looked into."""
