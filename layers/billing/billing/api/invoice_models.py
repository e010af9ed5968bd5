"""The models of what is behind an organisation's invoices."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from pydantic import BaseModel, Field

from billing.api.models import TIME
from billing.history import Kind
from billing.invoices.differences import Code
from billing.invoices.explanation import Place
from billing.meters import Formula
from billing.periods import State as PeriodState
from billing.usage.reading import State

InvoiceId = Annotated[
    str, Path(min_length=4, max_length=255, pattern=r"^in_[A-Za-z0-9_]+$", description="The invoice's id at Stripe.")
]
PeriodCursor = Annotated[
    str | None,
    Query(
        pattern=TIME.removesuffix("$") + r" [A-Za-z0-9_]{1,255}$",
        description="`next_cursor` of the page before.",
    ),
]
# Whoever wrote the table may have named it otherwise.
AsWritten = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class InvoiceOfPeriodResponse(BaseModel):
    """One of a period's invoices: Stripe's status, and what its lines bill by meter; once it `is_final`, for good."""

    invoice_id: str
    status: str
    is_final: bool
    quantities: dict[str, int]


class PeriodResponse(BaseModel):
    """A billing period: what one invoice bills, or several that bill parts of it.

    `state`: `open` = no invoice yet; `draft` = there is one, and it still takes usage until `finalizes_at`; `closed` =
    it is final; `not_invoiced` = no invoice bills it. `is_damaged`: not all of it can be read.
    """

    stripe_subscription_id: str
    stripe_customer_id: str
    starts_at: datetime
    ends_at: datetime | None
    is_trial: bool
    state: PeriodState
    is_damaged: bool
    finalizes_at: datetime | None
    invoices: list[InvoiceOfPeriodResponse]


class RemarkResponse(BaseModel):
    """What there is to say about a line, in words for a customer; `number` is how much it is about."""

    code: Code
    number: int | None
    text: str


class MeterOfPeriodResponse(BaseModel):
    """How a meter's line adds up: `counted` + `carried_in` - `on_other_invoices` = `total`, to compare with `invoiced`.

    `agrees` is null where there is nothing to compare; `counted` and `total` are null until the invoice is final.
    """

    counted: int | None
    carried_in: int
    on_other_invoices: int
    total: int | None
    invoiced: int
    agrees: bool | None
    remarks: list[RemarkResponse]


class PeriodWithMetersResponse(PeriodResponse):
    """A billing period with its invoices, and how each meter's line adds up."""

    meters: dict[str, MeterOfPeriodResponse]


class InvoicesResponse(BaseModel):
    """An organisation's billing periods with their invoices, the newest first, page by page."""

    organization_id: str
    periods: list[PeriodWithMetersResponse]
    next_cursor: str | None


class ReasonResponse(BaseModel):
    """A period that lacked something on its invoices, or had too much: `counted` less `invoiced` was carried."""

    starts_at: datetime
    ends_at: datetime | None
    counted: int
    invoiced: int
    invoices: list[str]
    late_hours: list[str]


class LineResponse(BaseModel):
    """A meter's line: `counted` + `carried_in` (for `reasons`) - `on_other_invoices` = `total`.

    Of a `last` meter `counted` is the newest hour's number. `on_other_invoices` is below zero where this invoice bills
    what another period counted. `invoiced` is what the final invoices bill together, `by_invoice` each of them.
    """

    meter: str
    display_name: str
    formula: Formula
    is_sold: bool
    counted: int
    carried_in: int
    on_other_invoices: int
    total: int
    invoiced: int
    by_invoice: dict[str, int]
    agrees: bool | None
    reasons: list[ReasonResponse]
    remarks: list[RemarkResponse]


class HistoryEntryResponse(BaseModel):
    """What was true of an hour from `at` on: `reported` to Stripe, counted `late`, or `carried` into it."""

    at: AsWritten
    kind: Kind
    revision: int
    totals: dict[str, int]


class InvoiceHourResponse(BaseModel):
    """An hour, by meter: what was `counted`, what was `carried` into it, and what of both its line has (`billed`).

    `place`: `here` = on this invoice; `before`, `next` = on that of the period before or after it; `elsewhere` = on
    another customer's. `held` are the meters of which an earlier number holds. By `unchanged_since` the counts were
    what they are; `history` has what was reported, late or carried, oldest first, without the `history_left_out`.
    """

    window_start: AsWritten
    state: State
    reason: str | None
    place: Place
    counted: dict[str, int]
    carried: dict[str, int]
    billed: dict[str, int]
    held: list[str]
    unchanged_since: dict[str, str]
    history: list[HistoryEntryResponse]
    history_left_out: int


class InvoiceResponse(BaseModel):
    """What is behind an invoice as it was `at` a moment: how each line adds up, and a page of the period's hours."""

    organization_id: str
    invoice_id: str
    at: datetime
    period: PeriodResponse
    lines: list[LineResponse]
    hours: list[InvoiceHourResponse]
    next_cursor: str | None
