"""The pages that a person opens in a browser: checkout, customer portal, invoice."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import TYPE_CHECKING

from stripe_simulator.errors import ApiError
from stripe_simulator.protocol import HttpResponse

if TYPE_CHECKING:
    from stripe_simulator.account import Account


def _checkout(account: Account, method: str, session_id: str) -> HttpResponse:
    """Show a session with a button that pays it, or pay it and go on to its `success_url`."""
    if method == "POST":
        session = account.checkout_sessions.complete(session_id)
        target = (session["success_url"] or "/").replace("{CHECKOUT_SESSION_ID}", session_id)
        return HttpResponse(303, b"", {"Location": target})
    session = account.checkout_sessions.retrieve(session_id)
    button = '<form method="post"><button>Pay</button></form>' if session["status"] == "open" else ""
    return _html(200, f"<h1>Checkout</h1><p>{html.escape(session_id)} is {session['status']}.</p>{button}")


def _portal(account: Account, method: str, session_id: str) -> HttpResponse:
    customer = account.portal_sessions.retrieve(session_id)["customer"]
    return _html(200, f"<h1>Customer portal</h1><p>Of {customer}, at the simulated Stripe.</p>")


def _invoice(account: Account, method: str, invoice_id: str) -> HttpResponse:
    invoice = account.invoices.retrieve(invoice_id)
    lines = "".join(
        f"<li>{html.escape(line['description'])}: {line['amount']}</li>" for line in invoice["lines"]["data"]
    )
    total = f"{invoice['status']}, {invoice['total']} {invoice['currency']} in the smallest unit"
    return _html(200, f"<h1>Invoice {invoice['number']}</h1><p>{total}</p><ul>{lines}</ul>")


def _or_error(page: Callable[[Account, str, str], HttpResponse]) -> Callable[[Account, str, str], HttpResponse]:
    def show(account: Account, method: str, object_id: str) -> HttpResponse:
        try:
            return page(account, method, object_id)
        except ApiError as exc:
            return _html(exc.status, f"<p>{html.escape(exc.message)}</p>")

    return show


def _html(status: int, body: str) -> HttpResponse:
    page = f'<!doctype html><html lang="en"><title>Simulated Stripe</title><body>{body}</body></html>'
    return HttpResponse(status, page.encode(), {"Content-Type": "text/html; charset=utf-8"})


PAGES = {"checkout": _or_error(_checkout), "portal": _or_error(_portal), "invoices": _or_error(_invoice)}
"""The pages by the first part of their path: `/_simulator/checkout/{id}` and so on."""
