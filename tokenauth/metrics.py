"""Events as Prometheus counters. Only this module imports prometheus-client.

    from tokenauth.metrics import export_metrics
    export_metrics(app)

It needs the extra: `pip install 'flask-login-tokenauth[metrics]'`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import events
from .errors import ConfigurationError
from .events import Event

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


def export_metrics(app: object, registry: CollectorRegistry | None = None) -> None:
    """Count an application's events in `tokenauth_events_total`.

    Its labels are `event`, the name of the signal, and `reason`: the reason of the
    event, or the cause where a store failed. Both are of closed sets, so no client can
    make up a series. Users and addresses are in the log only.

    Args:
        app: The application, the sender of the events.
        registry: Where the counter is registered. Defaults to prometheus-client's own,
            which also serves several processes where `PROMETHEUS_MULTIPROC_DIR` is set.

    Raises:
        ConfigurationError: prometheus-client is not installed, or the registry has the
            counter already.
    """
    try:
        from prometheus_client import REGISTRY, Counter
    except ImportError:
        raise ConfigurationError(
            "Metrics need prometheus-client: "
            "pip install 'flask-login-tokenauth[metrics]'."
        ) from None
    try:
        counter = Counter(
            "tokenauth_events",
            "Security decisions of tokenauth.",
            ("event", "reason"),
            registry=REGISTRY if registry is None else registry,
        )
    except ValueError:
        raise ConfigurationError(
            "The registry counts tokenauth's events already: call export_metrics once, "
            "or give each application a registry of its own."
        ) from None

    for signal in events.SIGNALS:
        name = signal.name.replace("-", "_")

        def count(_: object, event: Event, name: str = name) -> None:
            counter.labels(name, event.reason or event.cause or "").inc()

        signal.connect(count, sender=app, weak=False)
