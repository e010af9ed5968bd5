"""An organisation's limits: kept with its record, which a run of metering reads anyway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from billing.errors import NotSubscribedError
from billing.tables.subscriptions import SubscriptionRecord, set_thresholds
from billing.telemetry import logger
from billing.thresholds.limits import checked, from_text, to_text


def thresholds_of(organization_id: str) -> dict[str, list[int]]:
    """Return an organisation's limits by meter; of those that another writer has damaged none is left.

    Raises:
        NotSubscribedError: it has no record.
    """
    record = SubscriptionRecord.of(organization_id, consistent=True)
    if record is None:
        raise NotSubscribedError("The organisation has no subscription, so that nothing is counted for it")
    try:
        return from_text(record.thresholds) if record.thresholds else {}
    except ValueError as error:
        logger.error(str(error), extra={"organization_id": organization_id})
        return {}


def replace_thresholds(organization_id: str, limits: Mapping[str, Sequence[Any]]) -> dict[str, list[int]]:
    """Give an organisation these limits in place of all others, and return them.

    Raises:
        InvalidRequestError: they break a rule; nothing was written.
        NotSubscribedError: it has no record.
    """
    wanted = checked(limits)
    if not set_thresholds(organization_id, to_text(wanted) if wanted else None):
        raise NotSubscribedError("The organisation has no subscription, so that nothing is counted for it")
    return wanted
