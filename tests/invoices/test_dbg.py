import os
from tests.invoices.random_life import *


def test_dbg(stack, monkeypatch):
    seed = int(os.environ["SEED"])
    monkeypatch.setenv("METER_EVENT_TRANSPORT", "stream" if seed % 2 else "single")
    life = RandomLife(stack, seed)
    life.live()
    o = life.outcome()
    from billing.tables.usage import UsageRecord

    out = open(f"/tmp/dbg{seed}.txt", "w")
    p = lambda *a: print(*a, file=out)
    p(life.story, o, stack.simulator.settings.boundary_window)
    for q in read_periods("acme"):
        p(
            q.span.starts_at,
            q.span.ends_at,
            q.span.is_first,
            q.span.is_last,
            q.state,
            "counted",
            q.counted,
            "first",
            q.in_first_hour,
            "last",
            q.in_last_hour,
            q.last_hour_is,
            "inv",
            {k: (v.status, v.quantities, v.closes) for k, v in q.invoices.items()},
            "carried",
            q.carried,
            "told",
            q.told,
            q.late_hours,
        )
    for u in sorted(UsageRecord.scan(), key=lambda u: u.window_start):
        p(
            u.window_start,
            {
                k: str(v)
                for k, v in u.attribute_values.items()
                if k not in ("organization_id", "window_start", "reported_to")
            },
        )
    for i, inv in stack.simulator.account.invoices.objects.items():
        p(
            i,
            clock.from_unix(inv["period_start"]),
            clock.from_unix(inv["period_end"]),
            inv["status"],
            clock.from_unix(inv["status_transitions"]["finalized_at"] or 0),
            [(l["quantity"], l["description"][:40]) for l in inv["lines"]["data"]],
        )
    p(stack.record("acme").metered_subscriptions)
