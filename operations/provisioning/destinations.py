"""The two webhook destinations: snapshots by a v1 endpoint, thin events by a v2 destination.

Stripe shows a signing secret once, when a destination is made. So that a later run can tell whether the functions
have it, the destination's metadata carries the secret's fingerprint; one whose secret was lost is replaced.
https://docs.stripe.com/api/webhook_endpoints, https://docs.stripe.com/api/v2/core/event_destinations
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from billing.errors import BillingError
from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.destinations import Destination, Destinations, SnapshotDestinations, ThinDestinations
from billing.stripe_gateway.objects import MANAGED_BY
from billing.webhooks.events import SNAPSHOT_EVENT_TYPES, THIN_EVENT_TYPES
from operations.provisioning.secrets import StripeSecretDocument, fingerprint
from operations.provisioning.steps import Action, Step

# Between the moment a destination is made and the moment its secret is safe.
UNSTORED = "unstored"
MADE_BY_HAND = "made by hand"


def plan_destinations(
    gateway: StripeGateway, url: str, secrets: StripeSecretDocument, *, rotate: bool = False
) -> Iterator[Step]:
    """Yield the steps after which both destinations deliver to `url` what is handled, signed with stored secrets.

    With `rotate` both are replaced, so that they sign with new secrets.
    """
    stored = secrets.fingerprints()
    kinds = (SnapshotDestinations(gateway, SNAPSHOT_EVENT_TYPES), ThinDestinations(gateway, THIN_EVENT_TYPES))
    for destinations in kinds:
        existing = list(destinations.all())
        ours = [destination for destination in existing if destination.url == url]
        elsewhere = [destination for destination in existing if destination.url != url]
        # Where a replacement was interrupted there are two: the one that needs no replacement stays.
        ours.sort(key=lambda destination: bool(_reason_to_replace(destinations, destination, stored, rotate=False)))
        if ours:
            yield _plan(destinations, ours[0], url, secrets, stored, rotate)
        else:
            detail = f"{url}, {len(destinations.event_types)} event types, its secret into {secrets.name}"
            yield Step(Action.CREATE, destinations.kind, detail, _creating(destinations, url, secrets))
        for destination in ours[1:]:
            yield _surplus(destinations, destination, url)
        for destination in elsewhere:
            if destination.metadata.get("managed_by") == MANAGED_BY:
                detail = f"delivers to {destination.url}: delete it if that stack is gone"
                yield Step(Action.NOTE, f"{destinations.kind} {destination.destination_id}", detail)


def _plan(
    destinations: Destinations,
    existing: Destination,
    url: str,
    secrets: StripeSecretDocument,
    stored: set[str],
    rotate: bool,
) -> Step:
    subject = f"{destinations.kind} {existing.destination_id}"
    reason = _reason_to_replace(destinations, existing, stored, rotate)
    if reason:
        return Step(
            Action.REPLACE,
            subject,
            f"{reason}; afterwards `replay-events` delivers what the old one still had to",
            _replacing(destinations, existing, url, secrets),
        )
    wanted = frozenset(destinations.event_types)
    differences = [f"+{name}" for name in sorted(wanted - existing.event_types)]
    differences += [f"-{name}" for name in sorted(existing.event_types - wanted)]

    def mend() -> None:
        if differences:
            destinations.update(existing.destination_id, enabled_events=list(destinations.event_types))
        if not existing.is_enabled:
            destinations.enable(existing.destination_id)

    if not existing.is_enabled:
        differences.append("enable it")
    if differences:
        return Step(Action.UPDATE, subject, " ".join(differences), mend)
    if "secret_fingerprint" not in existing.metadata:
        return Step(Action.NOTE, subject, f"{MADE_BY_HAND}: whether its signing secret is stored cannot be told")
    return Step(Action.KEEP, subject, url)


def _surplus(destinations: Destinations, existing: Destination, url: str) -> Step:
    subject = f"{destinations.kind} {existing.destination_id}"
    if existing.metadata.get("managed_by") != MANAGED_BY:
        return Step(Action.NOTE, subject, f"{MADE_BY_HAND}, also delivers to {url}: delete it if nobody needs it")
    detail = f"delete it: another one delivers to {url} too"
    return Step(Action.UPDATE, subject, detail, lambda: destinations.delete(existing.destination_id))


def _reason_to_replace(destinations: Destinations, existing: Destination, stored: set[str], rotate: bool) -> str:
    if rotate:
        return "a new signing secret"
    if destinations.api_version is not None and existing.api_version != destinations.api_version:
        return f"API version {existing.api_version or 'of the account'} → {destinations.api_version}"
    signed_with = existing.metadata.get("secret_fingerprint")
    return "its signing secret is not stored" if signed_with is not None and signed_with not in stored else ""


def _creating(destinations: Destinations, url: str, secrets: StripeSecretDocument) -> Callable[[], None]:
    def create() -> None:
        metadata = {"managed_by": MANAGED_BY, "secret_fingerprint": UNSTORED}
        destination_id, secret = destinations.create(url, metadata)
        try:
            secrets.add_webhook_secret(secret)
        except BaseException:
            # Nobody will ever see this secret again: without it every delivery would be refused.
            with contextlib.suppress(BillingError):
                destinations.delete(destination_id)
            raise
        destinations.update(destination_id, metadata={**metadata, "secret_fingerprint": fingerprint(secret)})

    return create


def _replacing(
    destinations: Destinations, existing: Destination, url: str, secrets: StripeSecretDocument
) -> Callable[[], None]:
    create = _creating(destinations, url, secrets)

    def replace() -> None:
        # In this order: for a moment both deliver, and the second delivery of an event is a duplicate.
        create()
        destinations.delete(existing.destination_id)

    return replace
