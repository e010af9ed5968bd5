"""Several at work on an organisation's periods at once: what the search of `programs/invoice_model` found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from programs.invoice_model.state import READINGS
from tests.invoices.weekly import Weekly
from tests.support.interleaving import Interleaving, Process

if TYPE_CHECKING:
    from programs.local.stack import Stack

WRITE, TRANSACTION, READ, ASK = "dynamodb:UpdateItem", "dynamodb:TransactWriteItems", "dynamodb:GetItem", "stripe"


@pytest.fixture
def weekly(stack: Stack) -> Weekly:
    """Return an organisation of whose first period 5 readings are invoiced, and 2 sent in the second."""
    weekly = Weekly(stack)
    weekly.count(0, 5)
    weekly.settle()
    weekly.end(0)
    weekly.count(1, 2)
    weekly.settle()
    weekly.finalize(0)
    return weekly


@pytest.fixture
def interleaving(weekly: Weekly, monkeypatch: pytest.MonkeyPatch) -> Iterator[Interleaving]:
    with Interleaving(monkeypatch) as interleaving:
        yield interleaving


def billed_and_carried(weekly: Weekly) -> tuple[dict[int, int], list[int]]:
    """Return what each period carries, where it carries something, and what Stripe counts in each."""
    weekly.settle()
    carried = {number: period.carried_in(READINGS) for number, period in weekly.periods().items()}
    return {number: total for number, total in carried.items() if total}, [weekly.at_stripe(n) for n in range(3)]


def before_what_follows(process: Process) -> Process:
    """Let work go on until it has read all periods and stands before writing what follows from them."""
    return process.run_until(TRANSACTION)


def test_what_a_run_sends_while_a_period_is_settled_is_counted(weekly: Weekly, interleaving: Interleaving) -> None:
    delivery = interleaving.start(weekly.delivery(0)).run_until(WRITE)
    weekly.count(0, 6)
    run = interleaving.start(weekly.run(0)).run_until("declare")
    delivery.finish()
    run.finish()

    assert weekly.periods()[0].counted == {READINGS: 6}
    assert billed_and_carried(weekly) == ({1: 1}, [6, 3, 0])


def test_a_draft_that_was_fetched_before_its_invoice_became_final_changes_nothing(
    weekly: Weekly, interleaving: Interleaving
) -> None:
    weekly.delivery(0)()
    weekly.end(1)
    late = interleaving.start(weekly.delivery(1)).run_until(ASK)
    late.step()
    weekly.finalize(1)
    weekly.delivery(1)()
    late.finish()

    assert weekly.periods()[1].state == "closed"


def test_an_invoice_that_was_fetched_before_it_was_voided_bills_nothing(
    weekly: Weekly, interleaving: Interleaving
) -> None:
    late = interleaving.start(weekly.delivery(0)).run_until(ASK)
    late.step()
    weekly.void(0)
    weekly.delivery(0)()
    late.finish()

    assert weekly.periods()[0].told == {"not_invoiced": {READINGS: 5}}


def test_a_late_count_that_is_corrected_back_is_not_carried(weekly: Weekly) -> None:
    weekly.delivery(0)()
    weekly.count(0, 6)
    weekly.settle()
    weekly.count(0, 5)

    assert billed_and_carried(weekly) == ({}, [5, 2, 0])


def test_what_is_told_is_true_of_the_periods_as_they_are(weekly: Weekly, interleaving: Interleaving) -> None:
    weekly.count(0, 4)
    delivery = before_what_follows(interleaving.start(weekly.delivery(0)))
    weekly.count(0, 7)
    weekly.settle()
    delivery.finish()

    assert weekly.periods()[0].told == {}
    assert billed_and_carried(weekly) == ({1: 2}, [5, 4, 0])


def test_two_that_work_while_one_period_ends_do_not_both_carry(weekly: Weekly, interleaving: Interleaving) -> None:
    weekly.delivery(0)()
    weekly.count(0, 6)
    before = before_what_follows(interleaving.start(weekly.run(0)))
    weekly.end(1)
    weekly.delivery(0)()
    before.finish()

    assert billed_and_carried(weekly) == ({2: 1}, [5, 2, 1])


def test_what_a_period_owes_that_is_settled_meanwhile_is_not_lost(weekly: Weekly, interleaving: Interleaving) -> None:
    weekly.delivery(0)()
    weekly.count(0, 10)
    weekly.end(1)
    weekly.settle()
    weekly.count(0, 7)
    before = before_what_follows(interleaving.start(weekly.run(0)))  # it is about to carry 2 instead of 5
    weekly.finalize(1)
    weekly.count(1, 5)
    weekly.run(1)()  # sends it: nobody has told that the invoice is final
    weekly.delivery(1)()  # owes 3 more, so that 5 stay
    before.finish()

    assert billed_and_carried(weekly) == ({2: 5}, [5, 5, 5])


def test_a_sweep_writes_what_one_that_died_has_left(weekly: Weekly, interleaving: Interleaving) -> None:
    weekly.count(0, 6)
    weekly.stack.advance(hours=3)
    sweep = interleaving.start(weekly.sweep()).run_until(WRITE)
    sweep.step()
    sweep.kill()
    assert weekly.periods()[0].state == "closed"
    weekly.sweep()()

    assert weekly.periods()[1].carried_in(READINGS) == 1
