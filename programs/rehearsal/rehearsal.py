"""A deployment from the creation of the stack to what is left after its deletion."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from programs.local.cloudformation import read_template
from programs.rehearsal.deployment import Deployment
from programs.rehearsal.emulator import Emulator, running_emulator
from programs.rehearsal.life import READINGS, SENSORS, SITE, Life, scanned
from programs.rehearsal.package import Package, packaged
from programs.rehearsal.resources import EVENT_SOURCE, SECRET, TABLE, stand_in_for
from programs.rehearsal.steps import Steps

STACK = "sensor-billing-rehearsal"
START = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
# What the emulated Stripe does not limit.
UNLIMITED = {"MeterEventsPerSecond": "100000", "ReconciliationCallsPerSecond": "100000"}
FUNCTIONS = (
    "StripeWebhookFunction",
    "UsageIngestionFunction",
    "UsageMeteringFunction",
    "UsageReconciliationFunction",
    "BillingApiFunction",
)
# Shows in the run's summary that it is the changed code that runs.
CHANGED_CODE = """

def handler(event, context, _before=handler):
    return {**_before(event, context), "code": "changed"}
"""


def rehearse(template: Path, say: Callable[[str], None] = print, dynamodb_endpoint: str | None = None) -> int:
    """Rehearse the deployment of a template; return the exit code: 1 where a step fails."""
    steps = Steps(say)
    with running_emulator(dynamodb_endpoint) as emulator:
        rehearsal = Rehearsal(template, emulator, steps)
        try:
            return steps.carry_out(rehearsal.carry_out)
        finally:
            rehearsal.close()


class Rehearsal:
    """The steps, in order."""

    def __init__(self, template: Path, emulator: Emulator, steps: Steps) -> None:
        self.template = template
        self.emulator = emulator
        self.steps = steps
        self.deployment = Deployment(emulator, STACK)
        self.life = Life(self.deployment)
        self.parameters = dict(UNLIMITED)
        self.hour = START

    def close(self) -> None:
        """End what runs."""
        self.deployment.close()

    def carry_out(self) -> None:
        """Take all steps."""
        self.life.go_to(START)
        for step in (self.create, self.wait, self.provision, self.change_parameters, self.live, self.change_code):
            step()
        for step in (self.fan_out, self.delete, self.create_again, self.conclude):
            step()

    # --- the steps

    def create(self) -> None:
        """Create the stack."""
        self.steps.title(f"Create {STACK} from {self.template.name}")
        package = self._package()
        self.types = package.types()
        self.unknown = stand_in_for(set(self.types.values()))
        self.deployment.create(package, self.parameters)
        self.steps.equal(self.deployment.status(), "CREATE_COMPLETE", f"{len(self.types)} resources are created")
        declared = read_template(self.template)["Outputs"].keys()
        self.steps.equal(self.deployment.outputs().keys(), declared, f"{len(declared)} outputs have a value")
        for name, value in self.deployment.outputs().items():
            self.steps.expect("${" not in value, f"{name} = {value}", value)

    def wait(self) -> None:
        """See what a stack does whose secret nobody has filled."""
        self.steps.title("Before there is a key")
        self.steps.equal(self.life.meter(), {"not_set_up": True}, "the hourly run waits, and does not fail")
        text = self.deployment.operate("status")
        self.steps.expect("Not set up yet" in text, "`operate status` says: Not set up yet", text)

    def provision(self) -> None:
        """Fill the secret, and provision the Stripe account as an operator does."""
        self.steps.title("Put the key into the secret, then `operate provision`")
        self.life.put_key()
        plan = json.loads(self.deployment.operate("--json", "provision"))["steps"]
        self.steps.expect(plan, f"the plan has {len(plan)} steps", plan)
        self.deployment.operate("provision", "--apply")
        self.deployment.operate("provision", "--check")
        self.steps.expect(True, "--apply makes it so, and --check finds nothing left")
        secrets = json.loads(self.life.secret())["webhook_secrets"]
        self.steps.equal(len(secrets), 2, "the secret has the signing secrets of two destinations")
        urls = {destination.url for destination in self.emulator.simulator.webhooks.destinations.values()}
        self.steps.equal(urls, {self.deployment.outputs()["WebhookUrl"]}, "both lead to the stack's webhook")

    def change_parameters(self) -> None:
        """Let the API sell the prices."""
        self.prices = self.life.prices()
        allowed = {"AllowedPriceIds": ",".join(self.prices.values()), "AllowedRedirectHosts": SITE, "LogLevel": "DEBUG"}
        self._update("Update parameters: AllowedPriceIds, AllowedRedirectHosts, LogLevel", allowed)
        variables = self.deployment.variables("BillingApiFunction")
        self.steps.equal(variables["ALLOWED_PRICE_IDS"], allowed["AllowedPriceIds"], "the API has the prices' ids")
        levels = {self.deployment.variables(function)["POWERTOOLS_LOG_LEVEL"] for function in FUNCTIONS}
        self.steps.equal(levels, {"DEBUG"}, "every function has the log level")

    def live(self) -> None:
        """Subscribe an organisation, count an hour, send it, compare."""
        self.steps.title("The first billed hour")
        customer, _ = self.life.subscribe_through_api("acme", self.prices.values())
        outcomes = Counter(self.life.deliver())
        right = {"processed", "duplicate", "already_reflected", "ignored"}
        self.steps.expect(
            "processed" in outcomes and outcomes.keys() <= right,
            f"acme subscribes through the API as {customer}; its webhooks: {dict(outcomes)}",
            dict(outcomes),
        )
        self._count_an_hour()
        for event_id in ("first", "first", "second"):
            self.life.send_usage("acme", self.hour + 30 * MINUTE, 5, event_id)
        counted = self.life.counted("acme", READINGS)
        self.steps.equal(
            list(counted.values()), [70], "usage events arrive by the queue, one of them twice: it counts once"
        )
        summary = self.life.meter()
        self.steps.equal(
            (summary.get("settled"), summary.get("events_sent")),
            (1, 2),
            "the hourly run settles 1 hour and sends 2 events",
        )
        self._compare()
        self.life.go_to(START + timedelta(days=1))
        messages = self.life.reconcile()
        self.steps.expect(messages > 0, f"the daily comparison goes through {messages} messages of its queue", messages)
        self.steps.expect(not self._due(), "and finds nothing to repair", self._due())
        text = self.deployment.operate("usage", "acme")
        self.steps.expect("70" in text, "`operate usage acme` shows the hour", text)

    def change_code(self) -> None:
        """Deploy changed code."""
        appended = {"UsageMeteringFunction": CHANGED_CODE}
        self._update("Update the code of UsageMeteringFunction", {}, appended)
        self._count_an_hour()
        summary = self.life.meter()
        self.steps.equal(summary.get("code"), "changed", "it is the changed code that runs")
        self.steps.equal(summary.get("settled"), 1, "it settles the next hour")
        self._compare()

    def fan_out(self) -> None:
        """Hand the hours to workers."""
        self._update("Update MeteringWorkers to 2, and the code back", {"MeteringWorkers": "2"})
        self._count_an_hour()
        summary = self.life.meter()
        self.steps.equal(summary, {"enqueued": 16}, "the hourly run hands 16 shards to the queue")
        url = self.deployment.variables("UsageMeteringWorkerFunction")["METERING_QUEUE_URL"]
        self.life.process_messages("UsageMeteringWorkerFunction", url)
        self.steps.expect(not self._due(), "the worker settles the hour", self._due())
        self._compare()

    def delete(self) -> None:
        """Delete the stack."""
        self.steps.title("Delete the stack")
        self.left, self.left_secret = self._data(), self.deployment.outputs()["StripeSecretArn"]
        self.deployment.delete()
        names = self._resources_left()
        self.steps.equal(names, set(self.left), "the tables are left, and nothing else that has data")
        self.steps.equal(self._data_of(names), self.left, f"with their {self._count(self.left)} items")
        text = self.emulator.client("secretsmanager").get_secret_value(SecretId=self.left_secret)["SecretString"]
        self.steps.expect("whsec_" in text, "the secret is left, with its text", "another text")
        functions = self.emulator.client("lambda").list_functions()["Functions"]
        self.steps.equal(functions, [], "the functions are gone")

    def create_again(self) -> None:
        """Create the stack again beside what was left."""
        self.steps.title("Create it again beside what was left")
        self.deployment.create(self._package(), self.parameters)
        self.steps.equal(self.deployment.status(), "CREATE_COMPLETE", "the stack is created again")
        self.steps.expect(not self._data().keys() & self.left.keys(), "with tables of its own, which are empty", "")
        self.steps.equal(self._data_of(set(self.left)), self.left, "the tables from before have their items")
        self.steps.equal(self.life.meter(), {"not_set_up": True}, "it waits for its key")

    def conclude(self) -> None:
        """Say what was not rehearsed."""
        self.steps.title("What the emulators do not do")
        counts = Counter(self.types.values())
        for name in sorted(self.unknown):
            self.steps.note(f"{name} ({counts[name]}): unknown, a name stands for it")
        self.steps.note(f"{TABLE}: tables are DynamoDB Local's, for moto does not take the code's PartiQL")
        self.steps.note(f"{SECRET}: made for moto's CloudFormation by the rehearsal")
        self.steps.note("RetainExceptOnCreate: given to moto as Retain; a first deployment that fails is not rehearsed")
        self.steps.note(f"{EVENT_SOURCE}: left out, for moto would only pretend to invoke the function")
        self.steps.note("Schedules, queues and requests: the functions are invoked as these would, with the same input")
        self.steps.note("Permissions, parameters' patterns, rules, and CloudFormation's own checks are not looked at")

    # --- what several steps do

    def _package(self, appended: dict[str, str] | None = None) -> Package:
        return packaged(self.template, self.parameters, appended=appended)

    def _update(self, title: str, changes: dict[str, str], appended: dict[str, str] | None = None) -> None:
        self.steps.title(title)
        before, secret = self._data(), self.life.secret()
        self.parameters |= changes
        self.deployment.update(self._package(appended), self.parameters)
        self.steps.equal(self.deployment.status(), "UPDATE_COMPLETE", "the stack is updated")
        self.steps.equal(self._data(), before, f"the tables have their {self._count(before)} items")
        self.steps.equal(self.life.secret(), secret, "the secret has its text")

    def _count_an_hour(self) -> None:
        self.hour = self.life.now().replace(minute=0)
        self.life.go_to(self.hour + 10 * MINUTE)
        self.life.read_sensors("acme", self.hour, 60, sensors=7)
        self.life.go_to(self.hour + HOUR + 5 * MINUTE)

    def _compare(self) -> None:
        for event_name in (READINGS, SENSORS):
            counted, at_stripe = (
                self.life.counted("acme", event_name),
                self.life.at_stripe("acme", event_name),
            )
            self.steps.expect(
                counted and counted == at_stripe,
                f"{event_name}: Stripe counts the {sum(counted.values())} of {len(counted)} hours",
                f"{at_stripe}, counted: {counted}",
            )

    def _due(self) -> list[Any]:
        return [item for item in self.life.items("UsageTableName") if "due_at" in item]

    def _data(self) -> dict[str, list[Any]]:
        outputs = self.deployment.outputs()
        return self._data_of({value for name, value in outputs.items() if name.endswith("TableName")})

    def _data_of(self, tables: set[str]) -> dict[str, list[Any]]:
        database = self.emulator.client("dynamodb")
        return {table: scanned(database, table) for table in tables}

    def _resources_left(self) -> set[str]:
        return set(self.emulator.client("dynamodb").list_tables()["TableNames"])

    @staticmethod
    def _count(data: dict[str, list[Any]]) -> int:
        return sum(map(len, data.values()))
