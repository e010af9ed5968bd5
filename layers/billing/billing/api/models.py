"""The models of requests and responses, and the rules of their fields."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from aws_lambda_powertools.event_handler.openapi.params import Header, Path
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from billing.access.rule import Reason
from billing.access.rule import State as AccessState
from billing.api.checkout_options import CheckoutFields
from billing.meters import Formula
from billing.organizations import LONGEST_ORGANIZATION_ID, ORGANIZATION_ID
from billing.periods import State as PeriodState
from billing.usage.reading import State

TIME_RULE = 'Must be a time in UTC, in whole seconds, like "2026-11-23T08:00:00Z"'
TIME = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$"

OrganizationId = Annotated[
    str,
    Path(
        min_length=1,
        max_length=LONGEST_ORGANIZATION_ID,
        pattern=ORGANIZATION_ID,
        description="The organisation, by the id under which its usage is recorded.",
    ),
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[!-~]+$",
        description="The same key again within 24 hours gets the same session. Without one, every request opens one.",
    ),
]
Address = Annotated[str, Field(min_length=1, max_length=2000, examples=["https://app.example.com/billing"])]


class _Body(BaseModel):
    """A request's body: JSON types are not converted, and unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class _Stored(BaseModel):
    """A response that takes its fields by name from what the logic returns."""

    model_config = ConfigDict(from_attributes=True)


class CheckoutRequest(CheckoutFields, _Body):
    """A request for a page on which the organisation subscribes."""

    price_ids: Annotated[list[Annotated[str, Field(min_length=1, max_length=255)]], Field(min_length=1, max_length=20)]
    success_url: Address
    cancel_url: Address


class PortalRequest(_Body):
    """A request for a page on which the organisation manages its subscription."""

    return_url: Address


class CancellationRequest(_Body):
    """A request to end the subscription: with its billing period, or at once, with the last invoice.

    `prorate`, at once only: that invoice gives back the unused time of what was paid in advance.
    """

    at: Literal["period_end", "now"]
    prorate: bool | None = None


class CheckoutSessionResponse(_Stored):
    """An open checkout: the address to send the buyer to, and until when it is valid."""

    checkout_session_id: str
    url: str
    expires_at: datetime


class PortalSessionResponse(BaseModel):
    """An open portal: the address to send the customer to."""

    url: str


class SubscriptionResponse(_Stored):
    """A subscription as Stripe had it at `fetched_at`.

    `cancel_at` is when it will end, however that was asked for; `cancel_at_period_end` is only one of the ways.
    """

    organization_id: str
    stripe_customer_id: str | None
    stripe_subscription_id: str
    status: str | None
    price_ids: Annotated[list[str], BeforeValidator(lambda price_ids: list(price_ids or ()))]
    started_at: datetime | None
    current_period_start: datetime | None
    current_period_end: datetime | None
    cancel_at: datetime | None
    cancel_at_period_end: Annotated[bool, BeforeValidator(bool)]
    ended_at: datetime | None
    fetched_at: datetime | None


class AccessResponse(_Stored):
    """Whether the organisation may use the service now, why, since when and until when; null where that is not known.

    `grace`: it may, and should be told what is wrong.
    """

    organization_id: str
    may_use: bool
    access: AccessState
    reason: Reason
    since: datetime | None
    until: datetime | None


class ThresholdsRequest(_Body):
    """The limits of an organisation, by the event name of a meter, each a number a billing period: all that it has."""

    thresholds: dict[str, list[int]]


class ThresholdsResponse(BaseModel):
    """The limits of an organisation, in order."""

    organization_id: str
    thresholds: dict[str, list[int]]


class UsagePeriodResponse(_Stored):
    """The billing period to which an hour belongs; `state` says what has become of its invoice."""

    starts_at: datetime
    ends_at: datetime | None
    state: PeriodState


class UsageHourResponse(_Stored):
    """One hour: what was counted, what Stripe has accepted, and why the hour cannot be billed.

    `not_sold` are the meters that no subscription of the hour sells. `carried` is what earlier periods owe and the hour
    tells Stripe beside its own counts.
    """

    # Text: whoever wrote the item may have named it otherwise.
    window_start: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    state: State
    counted: dict[str, int | float]
    reported: dict[str, int]
    reason: str | None
    reported_at: datetime | None
    not_sold: list[str]
    carried: dict[str, int]
    period: UsagePeriodResponse | None


class UsageTotalResponse(_Stored):
    """A meter's total over the whole range: the hours added up (`sum`), or the last hour's number (`last`).

    `not_sold` is the part of `counted` that no subscription sells, so that no invoice has it.
    """

    formula: Formula
    counted: int | float
    reported: int
    not_sold: int | float


class UsageResponse(BaseModel):
    """A range of hours, page by page; `totals` are those of the whole range, on every page."""

    organization_id: str
    start: datetime
    end: datetime
    totals: dict[str, UsageTotalResponse]
    hours: list[UsageHourResponse]
    next_cursor: str | None


class FieldProblem(BaseModel):
    """A part of the request and what is wrong with it."""

    field: str
    message: str


class Problem(BaseModel):
    """An error of the API: https://www.rfc-editor.org/rfc/rfc9457.

    By its `request_id` the request is found in API Gateway's access log and in the function's.
    """

    title: str
    status: int
    detail: str
    errors: list[FieldProblem] | None = None
    request_id: str | None = None
