"""Nodes without containers: schedules the pods of a real API server and runs them as processes.

Stands in for kube-scheduler, kubelet and container runtime, and does what they do as far as a Job
can tell: fitting, volumes, environment, users, restarts, signals, grace, deadlines, exit codes,
statuses, events and the log endpoint. Left out: probes, hooks, sidecars, `exec`, limits of memory
and CPU, networks (pods share this machine's). Images are not pulled: every container sees this
machine's programs (root.py); one from a registry that ends in `.invalid` cannot be pulled.
"""

from process_kubelet.api import Api, ApiError

__all__ = ["Api", "ApiError"]
