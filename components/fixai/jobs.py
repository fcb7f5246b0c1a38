"""Jobs: what runs once to its end, and again when anything about it changes; and by the clock."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
from pulumi_kubernetes.batch.v1 import CronJob, Job

from components.fixai.pods import Document, Pod, metadata, template

_RETRIES = 6


def job(
    component: pulumi.ComponentResource,
    name: str,
    pod: Pod,
    after: Sequence[pulumi.Resource],
    *,
    seconds: int,
) -> Job:
    """A job that is made anew when its pod would be another one: Kubernetes changes none.

    Args:
        component: whose child it is.
        name: in the program.
        pod: what runs.
        after: what has to be there before.
        seconds: it has failed when it takes longer, with all its attempts.
    """
    return Job(
        f"{name}-job",
        metadata=metadata(pod.name, pod.where.namespace),
        spec=_specification(pod, seconds),
        opts=pulumi.ResourceOptions(
            parent=component, depends_on=list(after), delete_before_replace=True
        ),
    )


def cron_job(  # noqa: PLR0913 - each is one thing to say
    component: pulumi.ComponentResource,
    name: str,
    pod: Pod,
    at: str,
    after: Sequence[pulumi.Resource],
    *,
    seconds: int,
) -> CronJob:
    """A job of each day.

    Args:
        component: whose child it is.
        name: in the program.
        pod: what runs.
        at: `02:30`, UTC.
        after: what has to be there before.
        seconds: as of `job`.
    """
    hour, minute = at.split(":")
    return CronJob(
        f"{name}-cron-job",
        metadata=metadata(pod.name, pod.where.namespace),
        spec={
            "schedule": f"{int(minute)} {int(hour)} * * *",
            "timeZone": "Etc/UTC",
            "concurrencyPolicy": "Forbid",
            # One that was missed, as the cluster was off, is made up for within six hours.
            "startingDeadlineSeconds": 6 * 3600,
            "successfulJobsHistoryLimit": 2,
            "failedJobsHistoryLimit": 2,
            "jobTemplate": {"spec": _specification(pod, seconds)},
        },
        opts=pulumi.ResourceOptions(parent=component, depends_on=list(after)),
    )


def _specification(pod: Pod, seconds: int) -> Document:
    return {
        "backoffLimit": _RETRIES,
        "activeDeadlineSeconds": seconds,
        "template": template(pod),
    }
