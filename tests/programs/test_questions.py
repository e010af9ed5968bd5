"""The questions to Stripe find out what the simulator was told to do, whatever it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from billing.stripe_gateway.calls import StripeGateway
from programs.assumptions.questions import QUESTIONS, table
from programs.assumptions.sandbox import Sandbox
from stripe_simulator import Simulator
from tests.support.secrets import fixed_secrets

pytestmark = pytest.mark.enable_socket
PREVIEW, INVOICE, LAST, TRIAL, BEFORE_START, QUANTITY, STREAM = (question.name for question in QUESTIONS)
BY_QUESTION = {question.name: question for question in QUESTIONS}


@pytest.fixture
def sandbox(simulator: Simulator) -> Iterator[Sandbox]:
    sandbox = Sandbox(
        StripeGateway(fixed_secrets("sk_test_asked"), simulator.base_url, simulator.base_url), is_real=False
    )
    yield sandbox
    sandbox.tidy_up()
    assert simulator.account.test_clocks.objects == {}


@pytest.mark.parametrize(
    ("name", "setting", "value", "answer"),
    [
        *((name, "boundary_window", "timestamp", "timestamp") for name in (PREVIEW, INVOICE)),
        *((name, "boundary_window", "ending_period", "ending period") for name in (PREVIEW, INVOICE)),
        *((name, "boundary_window", "beginning_period", "beginning period") for name in (PREVIEW, INVOICE)),
        (LAST, "last_across_windows", "timestamp", "timestamp"),
        (LAST, "last_across_windows", "arrival", "arrival"),
        (TRIAL, "trial_usage", "shown", "shown"),
        (TRIAL, "trial_usage", "left_out", "left out"),
        (BEFORE_START, "boundary_window", "timestamp", "not billed"),
        (BEFORE_START, "boundary_window", "ending_period", "billed"),
        (BEFORE_START, "boundary_window", "beginning_period", "billed"),
        (QUANTITY, "line_quantity", "units", "units"),
        (QUANTITY, "line_quantity", "packages", "packages"),
        (STREAM, "stream_in_sandbox", True, "taken"),
        (STREAM, "stream_in_sandbox", False, "refused"),
    ],
)
def test_a_question_finds_what_the_setting_says(
    simulator: Simulator, sandbox: Sandbox, name: str, setting: str, value: Any, answer: str
) -> None:
    simulator.settings.update({setting: value})

    assert BY_QUESTION[name].ask(sandbox) == answer
    assert answer in BY_QUESTION[name].answers


def test_usage_that_is_not_counted_in_time_is_no_answer(simulator: Simulator, sandbox: Sandbox) -> None:
    simulator.settings.ingestion_lag_seconds = 3600

    for question in QUESTIONS[:-1]:
        with pytest.raises(AssertionError, match="not counted"):
            question.ask(sandbox)
    assert BY_QUESTION[STREAM].ask(sandbox) not in BY_QUESTION[STREAM].answers


def test_the_table_can_be_read_at_80_columns() -> None:
    longest = [[question.name, max(question.answers, key=len), question.assumed] for question in QUESTIONS]
    lines = table(longest).splitlines()

    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["question", "found", "the", "code", "assumes"]
