"""Wires the alerts of role count: rules, table, webhook."""

from __future__ import annotations

from typing import Any

import agents.deliver_alerts
from app.alerting.alert_rules import load_rules
from app.alerting.webhook import Webhook
from app.counting.counters import Counters
from app.kafka.clients import KafkaClients
from app.kafka.sure_topic import SureTopic
from app.names import Names
from app.settings import Settings
from app.transport import is_member
from tables.alerts import Alerts
from tables.totals import Totals


def add_alerts(app: Any, settings: Settings, counters: Counters, totals: Totals) -> Alerts | None:
    """Return the table of alerts, which watches the totals; None without statistics.

    Raises SettingsError for a bad rules file.
    """
    rules, topic = load_rules(settings, counters), Names(settings.namespace).alerts
    if not settings.statistics:
        return None
    alerts: Alerts = Alerts.create(
        app,
        "alerts",
        settings.counts_partitions,
        Alerts.__doc__ or "",
        rules=rules,
        counters=counters,
        topic=SureTopic(KafkaClients.of(settings), topic),
        topic_name=topic,
        is_member=lambda gate: is_member(app.consumer, gate),
    )
    totals.watch_with(alerts)
    if url := settings.webhook_url.get_secret_value():
        webhook = Webhook(url, settings.webhook_secret.get_secret_value())
        agents.deliver_alerts.register(app, webhook, settings)
    return alerts
