"""The two webhook destinations, as provisioning has them, and whether what they deliver arrives."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from billing.stripe_gateway.events import list_newest_snapshots, list_newest_thin_events
from billing.stripe_secrets import StripeSecrets
from billing.tables.stripe_events import StripeEventRecord
from billing.webhooks.events import SNAPSHOT_EVENT_TYPES, THIN_EVENT_TYPES
from operations.doctor.findings import Finding, bad, good, named, unknown
from operations.doctor.place import Place
from operations.provisioning.destinations import MADE_BY_HAND, plan_destinations
from operations.provisioning.secrets import StripeSecretDocument
from operations.provisioning.steps import Action, Step

PROVISION = "Run `operate provision --apply`."
# A delivery takes seconds; Stripe repeats one that failed after some minutes.
ON_ITS_WAY = timedelta(minutes=10)


class ReadSecrets:
    """The secrets that were read, in the form of the store that provisioning compares with; it keeps nothing."""

    name = "the secret"

    def __init__(self, secrets: StripeSecrets) -> None:
        self._webhook_secrets = secrets.webhook_secrets

    def load(self) -> str:
        """Return the signing secrets in the store's form."""
        return json.dumps({"api_key": "", "webhook_secrets": self._webhook_secrets})

    def save(self, text: str) -> None:
        """Refuse: whoever examines changes nothing."""
        raise AssertionError("the examination wrote a secret")


def check_destinations(place: Place) -> Iterator[Finding]:
    """Plan the destinations as provisioning does, and carry nothing out."""
    if place.webhook_url is None:
        yield unknown("Webhook destinations", "where they deliver to is not known", "Give --stack or --webhook-url.")
        return
    document = StripeSecretDocument(ReadSecrets(place.secrets))
    for step in plan_destinations(place.gateway, place.webhook_url, document):
        yield from judge_destination(step)


def judge_destination(step: Step) -> Iterator[Finding]:
    """Judge a step of provisioning's plan; nothing of a destination that delivers elsewhere."""
    words = step.subject.split()
    subject, which = " ".join(words[:2]).capitalize(), "".join(f"{word}: " for word in words[2:])
    detail = step.detail.partition(";")[0]
    if step.action is Action.KEEP:
        yield good(subject, f"{which}enabled, all event types, its secret is stored; {detail}")
    elif step.action is Action.CREATE:
        yield bad(subject, f"there is none: {detail.partition(',')[0]}", PROVISION)
    elif step.action is not Action.NOTE:
        yield bad(subject, which + detail, PROVISION)
    elif detail.startswith(MADE_BY_HAND):
        advice = "See the lines of what arrives; or delete it, and provision its successor."
        yield unknown(subject, which + detail, advice)


def check_arrival(place: Place) -> Iterator[Finding]:
    """Look for Stripe's newest events in StripeEventsTable: two calls to Stripe, at most 50 read units."""
    until = place.now - ON_ITS_WAY
    kinds = (
        ("Snapshot events", list_newest_snapshots(place.gateway, SNAPSHOT_EVENT_TYPES, until)),
        ("Thin events", list_newest_thin_events(place.gateway, THIN_EVENT_TYPES, until)),
    )
    for subject, events in kinds:
        ids = [str(event["id"]) for event in events]
        recorded = {record.event_id for record in StripeEventRecord.batch_get(ids)} if ids else set[str]()
        yield judge_arrival(subject, events, recorded)


def judge_arrival(subject: str, events: Sequence[Mapping[str, Any]], recorded: Collection[str]) -> Finding:
    """Judge the newest events, newest first, by those that StripeEventsTable has.

    Older ones may be from before there was a destination. Of thin events Stripe does not say whether it still tries.
    """
    if not events:
        return unknown(subject, "Stripe has none of the past 30 days", "Look again after the first subscription.")
    missing = [event for event in events if event["id"] not in recorded]
    waiting = [str(event["id"]) for event in missing if event.get("pending_webhooks")]
    if waiting:
        advice = "See the log of StripeWebhookFunction (docs/runbook.md); then `operate replay-events`."
        return bad(subject, f"{len(waiting)} did not arrive, and Stripe still tries: {named(waiting)}", advice)
    newest = events[0]
    if newest["id"] not in recorded:
        advice = f"See the lines of the destinations; then `operate replay-events {newest['id']}`."
        return bad(subject, f"the newest, {newest['id']} ({newest['type']}), did not arrive", advice)
    arrived = len(events) - len(missing)
    return good(subject, f"the newest arrived, {newest['id']}; {arrived} of the last {len(events)}")
