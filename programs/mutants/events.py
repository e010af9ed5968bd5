"""What the product is promised to hear, and for each a change of the code that breaks it."""

from __future__ import annotations

from programs.mutants.mutant import LAYER, Mutant

BUS = f"{LAYER}/billing_events/bus.py"
CHANGES = f"{LAYER}/billing_events/changes.py"
STREAM = f"{LAYER}/billing_events/stream.py"
LIMITS = f"{LAYER}/thresholds/limits.py"
METERING_LIMITS = f"{LAYER}/metering/limits.py"
RUN = f"{LAYER}/metering/run.py"
WATCHING = "tests/thresholds/test_watching.py"
SUBSCRIPTIONS = f"{LAYER}/tables/subscriptions.py"
ORDER = "tests/billing_events/test_every_order.py"
FLOW = "tests/billing_events/test_flow.py"
BUS_TESTS = "tests/billing_events/test_bus.py"

MUTANTS = (
    Mutant(
        "an event that the bus did not take is put again",
        STREAM,
        '    return {"batchItemFailures": [{"itemIdentifier": sequence_numbers[taken]}]}',
        '    return {"batchItemFailures": []}',
        f"{ORDER} -k takes_nothing",
    ),
    Mutant(
        "what comes again begins with the first event that was not taken",
        BUS,
        "            return taken + failed\n",
        "            return taken + failed + 1\n",
        f"{ORDER} -k takes_every_second",
    ),
    Mutant(
        "no event of an organisation overtakes another in a call",
        BUS,
        "if entries and (is_full or event.organization_id in organizations):",
        "if entries and is_full:",
        f"{ORDER} -k takes_every_second",
    ),
    Mutant(
        "a call holds what EventBridge takes",
        BUS,
        "or size + bytes_of_entry > BYTES_A_CALL",
        "",
        f"{BUS_TESTS} -k no_larger",
    ),
    Mutant(
        "an event that comes again has the same id",
        STREAM,
        '        "id": "/".join(filter(None, names)),',
        '        "id": "/".join(filter(None, names)) + str(id(event)),',
        f"{ORDER} -k takes_without",
    ),
    Mutant(
        "a change that cannot be read does not keep the others from being told",
        STREAM,
        "    except Exception as error:\n        # Whatever it is",
        "    except ZeroDivisionError as error:\n        # Whatever it is",
        "tests/billing_events/test_stream.py",
    ),
    Mutant(
        "an access that ended is written only over what was read",
        SUBSCRIPTIONS,
        "update_if(actions, is_at_version(record.version))",
        "update_if(actions)",
        f"{FLOW} -k reads_it_again",
    ),
    Mutant(
        "what keeps books alone is not told",
        CHANGES,
        "    if old.subscription != new.subscription:\n",
        "    if new.subscription:\n",
        f"{FLOW} -k changes_nothing",
    ),
    Mutant(
        "a limit is told once in a period",
        CHANGES,
        "            if limit not in known.get(name, {}):\n",
        "            if True:\n",
        "tests/billing_events/test_changes.py",
    ),
    Mutant(
        "what a period has reached stays reached",
        LIMITS,
        "            if seen is not None or count >= number:\n",
        "            if count >= number:\n",
        "tests/thresholds/test_limits.py",
    ),
    Mutant(
        "a limit is noted before its hours are settled",
        RUN,
        "            for key, error in note_limits(hours, links, self.now()):\n",
        "            for key, error in ():\n",
        f"{WATCHING} -k told_once",
    ),
    Mutant(
        "damaged limits keep no hour from being billed",
        METERING_LIMITS,
        "            yield (organization_id, starts[0]), error\n",
        "            raise\n",
        f"{WATCHING} -k damaged",
    ),
)
