"""Jobs held to the rules of shared GPU clusters (PRP/Nautilus) and ours, before they are sent."""

from __future__ import annotations

from collections.abc import Iterable

from pipelines.container_rules import Document, Finding
from pipelines.lint.objects import lint_kubernetes


def check(documents: Iterable[Document]) -> list[Finding]:
    """Every finding in Jobs, CronJobs, Pods, ConfigMaps, Secrets and Lists of them."""
    return lint_kubernetes(list(documents), prp=True)


def errors(findings: Iterable[Finding]) -> list[str]:
    """The findings that forbid a document, as text."""
    return [str(finding) for finding in findings if finding.level == "error"]


def warnings(findings: Iterable[Finding]) -> list[str]:
    """The findings that do not, as text."""
    return [str(finding) for finding in findings if finding.level == "warning"]
