"""What sending usage, dead letters and imports promise, and for each a change of the code that breaks it."""

from __future__ import annotations

from programs.mutants.mutant import LAYER, Mutant

SENDING = f"{LAYER}/ingestion/sending.py"
DEAD_LETTERS = "operations/dead_letters.py"
FILES = "operations/usage_files.py"
IMPORT = "operations/usage_import.py"
SENDING_TESTS = "tests/ingestion/test_sending.py"
REJECTED_TESTS = "tests/operations/test_rejected_command.py"
CORRECTION_TESTS = "tests/operations/test_rejected_corrections.py"
FILE_TESTS = "tests/operations/test_usage_files.py"
IMPORT_TESTS = "tests/operations/test_import_command.py"

MUTANTS = (
    Mutant(
        "what SQS did not take is sent again, and nothing else is told as sent",
        SENDING,
        "waiting = [waiting[position] for position in sorted(codes)]",
        "waiting = [waiting[position] for position in sorted(codes)][1:]",
        f"{SENDING_TESTS} -k not_take",
    ),
    Mutant(
        "a usage has an identity of its own",
        SENDING,
        "field(default_factory=lambda: str(uuid.uuid4()))",
        'field(default_factory=lambda: "usage")',
        f"{SENDING_TESTS} -k identity_of_its_own",
    ),
    Mutant(
        "nothing is sent where one of them can never be counted",
        SENDING,
        "        if wrong:\n",
        "        if wrong and not events:\n",
        f"{SENDING_TESTS} -k before_anything_is_sent",
    ),
    Mutant(
        "a dead letter is sent before it is removed",
        DEAD_LETTERS,
        """        for body in bodies:
            self._client.send_message(QueueUrl=self.usage_queue_url, MessageBody=body)
        self.remove(message_ids)
""",
        """        self.remove(message_ids)
        for body in bodies:
            self._client.send_message(QueueUrl=self.usage_queue_url, MessageBody=body)
""",
        f"{CORRECTION_TESTS} -k no_crash_loses",
    ),
    Mutant(
        "what was listed is visible to others again",
        DEAD_LETTERS,
        "        finally:\n            self._show_again()\n",
        "        finally:\n            pass\n",
        f"{REJECTED_TESTS} -k listed_with_its_reason",
    ),
    Mutant(
        "what is rejected again meanwhile is not put back without end",
        "operations/commands/rejected.py",
        " and letter.sent_at <= queue.opened_at",
        "",
        f"{REJECTED_TESTS} -k rejected_anew",
    ),
    Mutant(
        "a corrected event is checked before it is put back",
        DEAD_LETTERS,
        '                wrong.append(f"line {number}: {error.code}: {error}")\n',
        "                pass\n",
        f"{CORRECTION_TESTS} -k rejected_again",
    ),
    Mutant(
        "two lines that say the same are two events",
        FILES,
        '"id": f"{digest.hex()}-{self._occurrences.of(digest)}"',
        '"id": f"{digest.hex()}-1"',
        f"{FILE_TESTS} -k how_often",
    ),
    Mutant(
        "the same line of a file that grew is the same event",
        FILES,
        '"id": f"{digest.hex()}-{self._occurrences.of(digest)}"',
        '"id": f"{digest.hex()}-{self._number}"',
        f"{FILE_TESTS} -k how_often",
    ),
    Mutant(
        "a quote that was never closed costs its own line",
        FILES,
        "cells = next(csv.reader([text], strict=True))",
        "cells = next(csv.reader([text]))",
        f"{FILE_TESTS} -k costs_no_other",
    ),
    Mutant(
        "a dry run knows what was counted before",
        IMPORT,
        "        if key in counted:\n",
        "        if key in ():\n",
        f"{IMPORT_TESTS} -k dry_run_tells",
    ),
)
