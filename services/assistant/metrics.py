"""What Prometheus scrapes; no label names a consumer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    generate_latest,
)

VERSION = "1"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 60, 120, 300)
_TOKENS_PER_SECOND = (1, 2, 5, 10, 20, 30, 50, 75, 100, 200, 500)


class Metrics:
    """One registry with everything in it; each program has its own."""

    def __init__(self, name: str) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "assistant_requests",
            "Requests answered; answers that broke off midway count as 502",
            ["route", "status"],
            registry=registry,
        )
        self.seconds = Histogram(
            "assistant_request_seconds",
            "From the request to the end of its answer",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.first_token_seconds = Histogram(
            "assistant_first_token_seconds",
            "From the request to the first token; of an image, to the whole",
            ["route", "model"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.tokens_per_second = Histogram(
            "assistant_tokens_per_second",
            "Speed of generating, as Ollama measured it",
            ["route", "model"],
            buckets=_TOKENS_PER_SECOND,
            registry=registry,
        )
        self.prompt_tokens = Counter(
            "assistant_prompt_tokens", "Tokens read", ["route", "model"], registry=registry
        )
        self.generated_tokens = Counter(
            "assistant_tokens", "Tokens that models wrote", ["route", "model"], registry=registry
        )
        self.truncated = Counter(
            "assistant_truncated_answers",
            "Answers whose end never came or was not waited for",
            ["route"],
            registry=registry,
        )
        self.in_flight = Gauge(
            "assistant_in_flight_requests", "Requests being answered", ["route"], registry=registry
        )
        self.queued = Gauge(
            "assistant_queued_requests",
            "Of them, those that wait for Ollama to begin",
            ["route"],
            registry=registry,
        )
        self.cache = Counter(
            "assistant_cache", "Repeatable requests, by hit or miss", ["result"], registry=registry
        )
        self.lost = Counter(
            "assistant_lost_records",
            "Records that were neither stored nor spooled, or put aside as unusable",
            registry=registry,
        )
        self.without_past = Counter(
            "assistant_answers_without_past",
            "Conversations answered without their earlier messages: cache and database away",
            registry=registry,
        )
        self._up = Gauge(
            "assistant_dependency_up", "1 while it answers", ["dependency"], registry=registry
        )
        self._spool_bytes = Gauge(
            "assistant_spool_bytes", "Bytes not in the database yet", registry=registry
        )
        self._spool_records = Gauge(
            "assistant_spool_messages", "Records not in the database yet", registry=registry
        )
        self._loaded_models = Gauge(
            "assistant_loaded_models", "Models that Ollama has in memory", registry=registry
        )
        self._model_bytes = Gauge(
            "assistant_model_memory_bytes",
            "Memory of a model that Ollama has loaded; of it on the GPU",
            ["model", "memory"],
            registry=registry,
        )
        Info("assistant_build", "What runs here", registry=registry).info(
            {"version": VERSION, "name": name}
        )

    def watch_dependency(self, name: str, up: Callable[[], bool]) -> None:
        """Ask at each scrape whether a dependency is up."""
        self._up.labels(name).set_function(lambda: float(up()))

    def watch_spool(self, size_bytes: Callable[[], int], records: Callable[[], int]) -> None:
        """Ask at each scrape what waits in the spool."""
        self._spool_bytes.set_function(size_bytes)
        self._spool_records.set_function(records)

    def loaded(self, models: Sequence[Mapping[str, Any]]) -> None:
        """Take the models of Ollama's `/api/ps`."""
        self._loaded_models.set(len(models))
        self._model_bytes.clear()
        for model in models:
            name = str(model.get("name", "?"))
            self._model_bytes.labels(name, "all").set(int(model.get("size") or 0))
            self._model_bytes.labels(name, "gpu").set(int(model.get("size_vram") or 0))

    def text(self) -> bytes:
        """In Prometheus' text form."""
        return generate_latest(self._registry)
