"""What nobody knows of Stripe is asked, and printed at the end of the run beside what the code assumes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from programs.assumptions.questions import QUESTIONS, Question
from programs.assumptions.sandbox import Sandbox

pytestmark = pytest.mark.stripe_sandbox


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
def test_the_answer_is_one_that_is_known(
    question: Question, sandbox: Sandbox, record_property: Callable[[str, object], None]
) -> None:
    found = question.ask(sandbox)

    record_property("finding", [question.name, found, question.assumed])
    assert found in question.answers
