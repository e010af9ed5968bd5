"""What `make local` prints: the way from a checkout to the explained invoice, as commands to paste.

A line that begins with two blanks is a command; one with an arrow says what to see. `tests/programs/test_local.py`
pastes them.
"""

from __future__ import annotations

from dataclasses import dataclass

ORGANIZATION = "acme"
READINGS, SENSORS = 360, 12


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything is: addresses, the repository, and the files, as they are typed there."""

    api: str
    stripe: str
    dynamodb: str
    sqs: str
    bus: str
    root: str
    settings: str
    log: str

    @property
    def browser(self) -> str:
        """Return the API as `ALLOWED_REDIRECT_HOSTS` names it."""
        return self.api.replace("127.0.0.1", "localhost")


SERVED = """\
Functions   {api:<22}  {how}
Stripe      {stripe:<22}  the simulator; its webhooks are delivered
DynamoDB    {dynamodb:<22}  Local, with the stack's tables
SQS         {sqs:<22}  what is sent to the usage queue is counted
Event bus   {bus:<22}  what the product hears is told here
Their log   {log}

In another terminal, one after the other:
"""

BEGINNING = """\
1. The settings of all this, for curl, python and ./operate
  cd {root}
  . {settings}

2. {organization} opens a checkout
  PAGE=$(curl -sS $BILLING_API/organizations/{organization}/checkout-sessions \\
    -H 'content-type: application/json' -d '{{
      "price_ids": ["price_local_sensors", "price_local_readings"],
      "success_url": "{browser}/organizations/{organization}/subscription",
      "cancel_url": "{browser}/"}}' \\
    | python -c 'import json, sys; print(json.load(sys.stdin)["url"])')
  echo "$PAGE"
  → {stripe}/_simulator/checkout/cs_…

3. It pays: press Pay on that page in a browser, or
  curl -sS -o /dev/null -w '%{{http_code}}\\n' -X POST "$PAGE"
  → 303; in the terminal of `make local` the webhooks arrive

4. Its subscription
  curl -sS $BILLING_API/organizations/{organization}/subscription; echo
  → "status":"active"

5. Devices send usage to the queue
  python -m programs.local.usage {organization} temperature_readings {readings}
  python -m programs.local.usage {organization} active_sensors {sensors}
  → sent and counted
  curl -sS $BILLING_API/organizations/{organization}/usage; echo
  → "state":"due"
"""

IN_THIS_PROCESS = """\
6. The hour ends, and the hourly run sends it to Stripe
  python -m programs.local.advance --to-next-hour
  curl -sS -d '{{}}' \\
    $BILLING_API/2015-03-31/functions/UsageMeteringFunction/invocations
  → "settled": 2, the other hour is org-local's
  curl -sS $BILLING_API/organizations/{organization}/usage; echo
  → "state":"reported"

7. The month ends: Stripe makes a draft, which waits for late usage
  python -m programs.local.advance --to-period-end {organization}
  → invoice.created 200
  curl -sS -d '{{}}' \\
    $BILLING_API/2015-03-31/functions/UsageMeteringFunction/invocations
  python -m programs.local.advance --hours 4
  → invoice.finalized 200, invoice.paid 200

8. The invoice, and what is behind its lines
  INVOICE=$(curl -sS $BILLING_API/organizations/{organization}/invoices \\
    | grep -o '"in_[^"]*"' | head -n 1 | tr -d '"')
  ./operate explain "$INVOICE"
  → {readings} readings and {sensors} sensors, counted and on the invoice
  ./operate usage {organization}

Any event, as from `stripe trigger`; without EVENT a list of those it knows:
  make trigger EVENT=customer.subscription.updated

All listen on 127.0.0.1 but DynamoDB Local, which knows all addresses only.
Containers do not reach it: for `sam local` start it with SAM=1. ^C ends it.
"""

IN_CONTAINERS = """\
6. The hourly run sends the due hour of org-local, which subscribed before
  python -m programs.local.invoke UsageMeteringFunction \\
    events/usage_metering/scheduled.json
  → "settled": 1; the hour of {organization} has yet to end: containers live by the real
  → clock, so hours and months pass in `make local` without SAM=1 alone

Other functions and events; and any event, as from `stripe trigger`:
  make invoke-webhook EVENT=events/stripe/customer_subscription_updated.json
  make invoke-ingestion EVENT=events/usage_ingestion/list.json
  python -m programs.local.invoke UsageReconciliationFunction \\
    events/usage_reconciliation/scheduled.json
  make trigger EVENT=customer.subscription.updated

Stripe, DynamoDB, SQS and the bus listen on all addresses, since in a container
localhost is the container: whoever reaches this machine reaches them.
^C ends it.
"""


def instructions(place: Place, *, in_containers: bool) -> str:
    """Return what to paste, step by step."""
    how = "in containers, by `sam local start-api`" if in_containers else "webhook, billing API, and Lambda's Invoke"
    text = SERVED + "\n" + BEGINNING + "\n" + (IN_CONTAINERS if in_containers else IN_THIS_PROCESS)
    return text.format(
        api=place.api,
        stripe=place.stripe,
        dynamodb=place.dynamodb,
        sqs=place.sqs,
        bus=place.bus,
        root=place.root,
        settings=place.settings,
        log=place.log,
        browser=place.browser,
        how=how,
        organization=ORGANIZATION,
        readings=READINGS,
        sensors=SENSORS,
    )
