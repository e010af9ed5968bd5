"""Events: snapshot events (https://docs.stripe.com/api/events) and thin ones (https://docs.stripe.com/api/v2/core/events).

Every change makes a snapshot event and, under `v1.` and the same type, a thin one; meter errors are thin only. Both
are kept for 30 days and queued for the destinations that want them.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from stripe_simulator.clock import rfc3339
from stripe_simulator.errors import invalid_parameter, no_such
from stripe_simulator.parameters import Params, boolean, in_range, integer, page_limit, sequence, text
from stripe_simulator.resources import Resource, StripeObject, copied, page, synchronized

if TYPE_CHECKING:
    from stripe_simulator.account import Account

API_VERSION = "2026-10-28.endive"
KEPT_SECONDS = 30 * 86400
_URLS = {
    "subscription": "/v1/subscriptions/",
    "customer": "/v1/customers/",
    "invoice": "/v1/invoices/",
    "checkout.session": "/v1/checkout/sessions/",
    "price": "/v1/prices/",
    "product": "/v1/products/",
    "billing.meter": "/v1/billing/meters/",
    "billing_portal.configuration": "/v1/billing_portal/configurations/",
    "test_helpers.test_clock": "/v1/test_helpers/test_clocks/",
}


@synchronized
class Events(Resource):
    """The account's events: `objects` has the snapshot ones, `thin` the thin ones with their `data`."""

    resource_name = "event"

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self.thin: dict[str, StripeObject] = {}

    def emit(self, type: str, about: StripeObject, before: StripeObject | None = None) -> str:
        """Record that an object changed, as a snapshot of it now, and queue the deliveries.

        `before` is the object as it was; where nothing differs, no event is made and "" is returned. Otherwise the
        snapshot event's identifier is.
        """
        data: StripeObject = {"object": copied(about)}
        if before is not None:
            changed = {name: before.get(name) for name in {**before, **about} if before.get(name) != about.get(name)}
            if not changed:
                return ""
            data["previous_attributes"] = changed
        now = self.account.now()
        event: StripeObject = {
            "id": self.account.new_id("evt", 24),
            "object": "event",
            "api_version": API_VERSION,
            "created": int(now),
            "data": data,
            "livemode": False,
            "pending_webhooks": 0,
            "request": dict(self.account.request),
            "type": type,
        }
        self.objects[event["id"]] = event
        self._tell(event, delivered=True)
        self.account.webhooks.queue(event)
        url = _URLS.get(about["object"])
        related = {"id": about["id"], "type": about["object"], "url": f"{url}{about['id']}"} if url else None
        self.emit_thin(f"v1.{type}", related, None, snapshot_event=event["id"])
        return str(event["id"])

    def emit_thin(
        self,
        type: str,
        related: dict[str, str] | None,
        data: dict[str, Any] | None,
        *,
        snapshot_event: str | None = None,
    ) -> str:
        """Record a thin event and queue its deliveries, which carry no `data`; return its identifier.

        Most have a related object and no data, those of errors without a meter the other way round.
        """
        request = self.account.request
        event: StripeObject = {
            "id": self.account.new_id("evt_test", 32),
            "object": "v2.core.event",
            "context": None,
            "created": rfc3339(self.account.now()),
            "livemode": False,
            "reason": {
                "type": "request",
                "request": {"id": request["id"], "idempotency_key": request["idempotency_key"] or ""},
            }
            if request["id"]
            else None,
            "type": type,
        }
        if related is not None:
            event["related_object"] = related
        self.thin[event["id"]] = {**event, "snapshot_event": snapshot_event, "changes": None}
        if data is not None:
            self.thin[event["id"]]["data"] = data
        self._tell(self.thin[event["id"]], delivered=False)
        self._tell(event, delivered=True)
        self.account.webhooks.queue(event)
        return str(event["id"])

    def _tell(self, event: StripeObject, *, delivered: bool) -> None:
        for observer in self.account.observers:
            observer.emitted(event, delivered=delivered)

    # --- v1

    def retrieve(self, event_id: str) -> StripeObject:
        """Return a snapshot event of the past 30 days, or raise a 404."""
        event = self._find(event_id)
        if event["created"] < self.account.now() - KEPT_SECONDS:
            raise no_such(self.resource_name, event_id)
        return self._shown(event)

    def list(self, params: Params) -> StripeObject:
        """List snapshot events of the past 30 days, newest first.

        Filters are `type` (also `invoice.*`), `types`, `created` and `delivery_success`.

        Raises:
            ApiError: 400 where both `type` and `types` are given.
        """
        event_type, event_types = text(params, "type"), sequence(params, "types")
        if event_type is not None and event_types:
            raise invalid_parameter("types", "You may only specify one of these parameters: type, types.")
        delivered = boolean(params, "delivery_success")
        page_limit(params)
        oldest = self.account.now() - KEPT_SECONDS
        matching = [
            event
            for event in reversed(self.objects.values())
            if event["created"] >= oldest
            and (event_type is None or fnmatchcase(event["type"], event_type))
            and (not event_types or event["type"] in event_types)
            and in_range(params, "created", event["created"])
            and (delivered is None or self.account.webhooks.all_delivered(event["id"]) == delivered)
        ]
        result = page(matching, params, "/v1/events")
        result["data"] = [self._shown(event) for event in result["data"]]
        return result

    def _shown(self, event: StripeObject) -> StripeObject:
        return copied(event) | {"pending_webhooks": self.account.webhooks.pending_count(event["id"])}

    # --- v2

    def retrieve_thin(self, event_id: str) -> StripeObject:
        """Return a thin event of the past 30 days with its `data`, or raise a 404."""
        event = self.thin.get(event_id)
        if event is None or event["created"] < rfc3339(self.account.now() - KEPT_SECONDS):
            raise no_such(self.resource_name, event_id)
        return copied(event)

    def list_thin(self, params: Params) -> StripeObject:
        """List thin events of the past 30 days, newest first, by `types`, `object_id`, `created` where given."""
        event_types, object_id = sequence(params, "types"), text(params, "object_id")
        created = params.get("created") if isinstance(params.get("created"), dict) else {}
        limit = page_limit(params, 20)
        start = integer(params, "page") or 0
        oldest = rfc3339(self.account.now() - KEPT_SECONDS)
        matching = [
            event
            for event in reversed(self.thin.values())
            if event["created"] >= oldest
            and (not event_types or event["type"] in event_types)
            and object_id in (None, event.get("related_object", {}).get("id"))
            and _in_rfc3339_range(created or {}, event["created"])
        ]
        return thin_page(copied(matching), "/v2/core/events", params, start, limit)


def thin_page(items: list[Any], url: str, params: Params, start: int, limit: int) -> StripeObject:
    """Make a v2 list: `data`, and the paths of the next and previous page (https://docs.stripe.com/api-v2-overview)."""

    def link(position: int) -> str:
        pairs: list[tuple[str, Any]] = [("page", position), ("limit", limit)]
        for name, value in params.items():
            if name in ("page", "limit"):
                continue
            if isinstance(value, list):
                pairs += [(f"{name}[{index}]", item) for index, item in enumerate(value)]
            elif isinstance(value, dict):
                pairs += [(f"{name}[{key}]", item) for key, item in value.items()]
            else:
                pairs.append((name, value))
        return f"{url}?{urlencode(pairs)}"

    return {
        "data": items[start : start + limit],
        "next_page_url": link(start + limit) if len(items) > start + limit else None,
        "previous_page_url": link(max(0, start - limit)) if start else None,
    }


def _in_rfc3339_range(limits: dict[str, str], created: str) -> bool:
    moment = created.replace("Z", "+00:00")
    given = {name: value.replace("Z", "+00:00") for name, value in limits.items()}
    return not (
        ("gt" in given and moment <= given["gt"])
        or ("gte" in given and moment < given["gte"])
        or ("lt" in given and moment >= given["lt"])
        or ("lte" in given and moment > given["lte"])
    )
