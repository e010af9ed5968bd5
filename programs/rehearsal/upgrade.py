"""An upgrade of a running stack: the version before leaves hours in every state, and this one goes on with them.

python -m programs.rehearsal.upgrade
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from programs.local.cloudformation import TEMPLATE_PATH
from programs.rehearsal import version_before
from programs.rehearsal.deployment import Deployment, InvocationError
from programs.rehearsal.emulator import Emulator, running_emulator
from programs.rehearsal.life import READINGS, SENSORS, written
from programs.rehearsal.months import Months
from programs.rehearsal.older import OLDER
from programs.rehearsal.package import ROOT, packaged
from programs.rehearsal.rehearsal import STACK, UNLIMITED
from programs.rehearsal.steps import Steps

BEGIN = datetime(2026, 10, 23, 10, 3, tzinfo=UTC)
PERIOD_1, PERIOD_2 = datetime(2026, 10, 24, 5, tzinfo=UTC), datetime(2026, 11, 25, 5, tzinfo=UTC)
DECEMBER = datetime(2026, 12, 10, 10, 3, tzinfo=UTC)
RENEWAL = datetime(2026, 12, 23, 10, 3, tzinfo=UTC)
PERIOD_3, PERIOD_4 = datetime(2027, 1, 10, 5, tzinfo=UTC), datetime(2027, 2, 1, 5, tzinfo=UTC)
END = datetime(2027, 2, 24, 12, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
LAST_HOUR = RENEWAL.replace(minute=0) - HOUR
# Those that are billed to the end; what was left of the hour before the renewal, or of their items, when the stack was
# upgraded.
BILLED = ("reported", "sent", "declared", "due", "late", "late-unseen", *OLDER)
# No event has come for these since an older version wrote their record, so no renewal either: they subscribe later.
WITHOUT_EVENTS = ("list-record", "bare-record")
SINCE_OCTOBER = tuple(each for each in BILLED if each not in WITHOUT_EVENTS)
# Those whose hours are refused, with the code.
REFUSED = {
    "nobody": "no_customer",
    "early": "subscription_not_begun",
    "ended": "subscription_ended",
    "deleted": "no_such_customer",
}


def rehearse_upgrade(say: Callable[[str], None] = print, dynamodb_endpoint: str | None = None) -> int:
    """Rehearse the upgrade from the version before; return the exit code: 1 where a step fails."""
    steps = Steps(say)
    with running_emulator(dynamodb_endpoint) as emulator, tempfile.TemporaryDirectory() as folder:
        upgrade = Upgrade(emulator, version_before.unpack(Path(folder)), steps)
        try:
            return steps.carry_out(upgrade.carry_out)
        finally:
            upgrade.deployment.close()


class Upgrade:
    """The steps, in order."""

    def __init__(self, emulator: Emulator, before: Path, steps: Steps) -> None:
        self.before = before
        self.steps = steps
        self.deployment = Deployment(emulator, STACK, source=before)
        self.life = Months(self.deployment)
        self.subscriptions: dict[str, str] = {}

    def carry_out(self) -> None:
        """Take all steps."""
        self.life.go_to(BEGIN)
        for step in (self.deploy_before, self.bill_before, self.leave_every_state, self.upgrade):
            step()
        for step in (self.go_on, self.compare, self.go_back):
            step()

    # --- the version before

    def deploy_before(self) -> None:
        """Deploy the version before, and subscribe organisations."""
        self.steps.title(f"The version before ({version_before.COMMIT})")
        self.deployment.create(packaged(self.before / "template.yaml", UNLIMITED), UNLIMITED)
        self.life.put_key()
        self.deployment.operate("provision", "--apply")
        self.prices = self.life.prices()
        self._subscribe(*SINCE_OCTOBER, "early", "ended", "deleted")
        self.steps.expect(True, f"it is deployed and provisioned; {len(self.subscriptions)} organisations subscribe")

    def bill_before(self) -> None:
        """Let it bill a period and begin another, and refuse hours."""
        life = self.life
        life.read_sensors("nobody", BEGIN.replace(minute=0), 3)
        life.read_sensors("early", BEGIN.replace(minute=0) - 2 * HOUR, 3)
        self._count(PERIOD_1, SINCE_OCTOBER)
        self._count(PERIOD_2, SINCE_OCTOBER)
        life.read_sensors("late", PERIOD_1 + 48 * HOUR, 11)
        life.read_sensors("deleted", PERIOD_2, 3)
        (customer,) = life.customers["deleted"]
        life.account.customers.delete(customer)
        life.account.subscriptions.cancel(self.subscriptions["ended"])
        life.go_on_until(PERIOD_2 + 3 * HOUR)
        life.read_sensors("ended", PERIOD_2 + 2 * HOUR, 3)
        life.go_on_until(PERIOD_2 + 5 * HOUR)
        codes = {organization_id: code for (organization_id, _), code in life.refused().items()}
        self.steps.equal(codes, REFUSED, f"it refuses hours: {', '.join(sorted(REFUSED.values()))}")
        late = [item["organization_id"]["S"] for item in life.hours() if "late" in item]
        self.steps.equal(late, ["late"], "an hour comes after its invoice, and is carried into the open period")

    def leave_every_state(self) -> None:
        """Renew; leave the last hour of the period unreported, declared, or sent; a draft is open."""
        life = self.life
        life.go_on_until(DECEMBER)
        self._subscribe(*WITHOUT_EVENTS)
        self._count(LAST_HOUR - HOUR, BILLED)
        life.go_on_until(RENEWAL + MINUTE)
        life.read_sensors("sent", LAST_HOUR, 60)
        self._die(before="BatchExecuteStatement", nth=2)
        life.read_sensors("declared", LAST_HOUR, 60)
        self._die(after="BatchExecuteStatement", nth=1)
        for organization_id in set(BILLED) - {"sent", "reported", "declared"}:
            life.read_sensors(organization_id, LAST_HOUR, 60)
        life.read_sensors("late-unseen", PERIOD_2.replace(day=1, month=11) + HOUR, 13)
        for organization_id, make_older in OLDER.items():
            make_older(self.deployment, organization_id)
        sending = {item["organization_id"]["S"] for item in life.hours() if "sending" in item}
        self.steps.equal(sending, {"sent", "declared"}, "runs die after declaring, and after sending, hours")
        drafts = [item for item in life.items("PeriodsTableName") if "draft_shard" in item]
        self.steps.expect(drafts, f"{len(drafts)} drafts are open, {len(life.due())} hours are due", drafts)
        self.steps.expect(True, f"and items are as older versions wrote them: {', '.join(OLDER)}")

    # --- this version

    def upgrade(self) -> None:
        """Deploy this version as docs/upgrading.md says."""
        self.steps.title("The upgrade")
        life, refused, due = self.life, self.life.refused(), self.life.due()
        self.deployment.update(packaged(TEMPLATE_PATH, UNLIMITED), UNLIMITED)
        self.deployment.source = ROOT
        self.steps.equal(self.deployment.status(), "UPDATE_COMPLETE", "the stack is updated")
        self.steps.equal(life.due(), due, f"the {len(due)} due hours are due")
        life.go_to(RENEWAL + 10 * MINUTE)
        for minutes in (60, 120):
            life.go_on_until(RENEWAL.replace(minute=6) + minutes * MINUTE)
        self.steps.equal(life.due(), [], "two runs settle all of them, though no record was fetched anew")
        self.steps.equal(life.refused(), refused, "no other hour is refused")
        self.deployment.operate("provision", "--apply")
        self.deployment.operate("refresh", "--all")
        self.deployment.operate("provision", "--check")
        self.steps.expect(True, "`operate provision --apply` and `operate refresh --all` go through")

    def go_on(self) -> None:
        """Bill two more periods."""
        self._count(PERIOD_3, BILLED)
        self._count(PERIOD_4, BILLED)
        self.life.go_on_until(END)
        self.steps.equal(self.life.due(), [], "two months later nothing is due")

    def compare(self) -> None:
        """Compare what was counted with the final invoices."""
        self.steps.title("What was counted, and what the final invoices bill")
        for organization_id in BILLED:
            counted, billed = self.life.billable(organization_id, READINGS), self.life.billed(organization_id, READINGS)
            self.steps.equal(billed, counted, f"{organization_id}: {counted} readings")
            periods = 2 if organization_id in WITHOUT_EVENTS else 4
            sensors = self.life.billed_by_period(organization_id, SENSORS)
            self.steps.equal(sensors, [7] * periods, f"{organization_id}: 7 sensors in each of {periods} periods")
        codes = {organization_id: code for (organization_id, _), code in self.life.refused().items()}
        self.steps.equal(codes, REFUSED, "what the version before refused is refused, and told")
        status = json.loads(self.deployment.operate("--json", "status"))
        self.steps.expect(status, "`operate status` reads it all", status)

    def go_back(self) -> None:
        """Deploy the version before over this one, and let it send an hour."""
        self.steps.title("Going back")
        self.deployment.update(packaged(self.before / "template.yaml", UNLIMITED), UNLIMITED)
        hour = END + HOUR
        self._count(hour, BILLED)
        self.steps.equal(self.life.due(), [], "the version before settles an hour of the same organisations")
        at_stripe = {each: self.life.at_stripe(each, READINGS).get(written(hour)) for each in BILLED}
        self.steps.equal(at_stripe, dict.fromkeys(BILLED, 5), "and Stripe counts it")

    # --- what several steps do

    def _subscribe(self, *organization_ids: str) -> None:
        for organization_id in organization_ids:
            _, self.subscriptions[organization_id] = self.life.subscribe(organization_id, self.prices.values())
        self.life.deliver_well()

    def _count(self, hour: datetime, organization_ids: tuple[str, ...]) -> None:
        """Let time pass until an hour, count in it, and let a run send it."""
        self.life.go_on_until(hour + 50 * MINUTE)
        for organization_id in organization_ids:
            self.life.read_sensors(organization_id, hour, 5, sensors=7)
        self.life.go_on_until(hour + HOUR + 6 * MINUTE)

    def _die(self, nth: int, **when: str) -> None:
        """Let a run begin, and its process die."""
        try:
            self.life.meter(dies={"nth": nth, **when})
        except InvocationError:
            return
        raise InvocationError("The run was to die, and ended")


def main() -> int:
    """Rehearse the upgrade, if there is a version before."""
    if not version_before.is_known():
        print(f"This copy has no history with {version_before.COMMIT}, from which the upgrade begins", file=sys.stderr)
        return 1
    warnings.simplefilter("ignore")
    return rehearse_upgrade()


if __name__ == "__main__":
    sys.exit(main())
