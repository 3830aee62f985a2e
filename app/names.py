"""Names of topics, groups and changelogs."""

from __future__ import annotations


class Names:
    """Topic and group names under the namespace.

    version: of the tables, see app.kafka.tables_version; it ends what only role count reads.
    """

    def __init__(self, namespace: str, version: int = 1) -> None:
        prefix, ending = namespace, f"-v{version}" if version > 1 else ""
        self.events = prefix + "events"
        self.tables_version = prefix + "tables-version"
        self.decisions = prefix + "counter-decisions"
        self.counts = f"{prefix}counts{ending}"
        self.uniques = f"{prefix}uniques{ending}"
        self.rejected = prefix + "events-rejected"
        self.replayed = prefix + "events-replayed"
        self.places = prefix + "import-places"
        self.totals = prefix + "unique-event-topic"
        self.alerts = prefix + "alerts"
        self.count_app = prefix + "event-counter-count"
        self.count_group = self.count_app + ending  # Faust makes it of app and version
        self.store_group = prefix + "event-counter-store"
        self.collect_group = prefix + "event-counter-collect"
        self.archive_group = prefix + "event-counter-archive"
        self.partials_changelog = f"{self.count_group}-partials-changelog"
        self.totals_changelog = f"{self.count_group}-totals-changelog"
        self.judged_changelog = f"{self.count_group}-judged-changelog"
        self.sessions_changelog = f"{self.count_group}-sessions-changelog"
        self.uniques_changelog = f"{self.count_group}-uniques-changelog"
        self.messages_changelog = f"{self.count_group}-messages-changelog"
        self.statistics_changelogs = {
            self.judged_changelog,
            self.sessions_changelog,
            self.uniques_changelog,
            self.alerts,
        }
        self.webhook_group = prefix + "event-counter-webhook"
