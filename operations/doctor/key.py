"""The secret, the key in it, what that key may do, and where AWS thinks we are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from billing.errors import ConfigurationError, NotSetUpError, StripeKeyError
from billing.settings import key_livemode
from billing.stripe_gateway.permissions import PERMISSIONS, Lack, lacking_permissions
from billing.stripe_secrets import StripeSecrets
from operations.doctor.findings import Finding, bad, good, unknown
from operations.doctor.place import Place
from operations.provisioning.secrets import fingerprint

HOW = "docs/deploy.md, step 2"


def check_stack(place: Place) -> Iterator[Finding]:
    """Say which stack it is, and what for."""
    if place.stack is None:
        detail = "none, but what the environment names: no schedule, run or alarm is looked at"
        yield unknown("Stack", detail, "Give --stack.")
    else:
        yield good("Stack", f"{place.stack}, {place.environment}")


def check_account(place: Place) -> Iterator[Finding]:
    """Say which account and region it is; a call that needs no permission."""
    sts = place.client("sts")
    account = sts.get_caller_identity()["Account"]
    yield good("AWS", f"account {account}, {sts.meta.region_name}")


def check_secret(place: Place) -> Iterator[Finding]:
    """Read the secret. One that the operator may not read is unknown; the functions have a role of their own."""
    try:
        secrets = place.secrets
    except NotSetUpError:
        yield bad("Stripe key", "not set up yet: there is no key in the stack's secret", f"Put it there: {HOW}.")
    except ConfigurationError as error:
        if error.__cause__ is None:
            yield bad("Stripe key", str(error), f"Mend that: {HOW}.")
        else:
            yield unknown("Stripe key", str(error), "Allow secretsmanager:GetSecretValue, or set STRIPE_SECRET_KEY.")
    else:
        yield from judge_secrets(secrets, place.environment)


def judge_secrets(secrets: StripeSecrets, environment: str) -> Iterator[Finding]:
    """Judge a key by its form, and the signing secrets by their number."""
    key = secrets.api_key
    livemode = key_livemode(key)
    kind = "restricted key" if key.startswith("rk_") else "secret key, which may do everything"
    if livemode is None:
        yield bad("Stripe key", "it is no sk_… or rk_… key", f"Put a restricted key (rk_…) into the secret: {HOW}.")
    elif livemode and environment != "prod":
        yield bad("Stripe key", f"a live {kind}, in {environment}", "Put a test key into it: this stack bills people.")
    elif not livemode and environment == "prod":
        yield bad("Stripe key", f"a test {kind}, in prod", "Put the live key into the secret: nobody is billed.")
    else:
        yield good("Stripe key", f"{'live' if livemode else 'test'}, a {kind}")
    marks = ", ".join(fingerprint(each) for each in secrets.webhook_secrets)
    count = len(secrets.webhook_secrets)
    if count == 0:
        yield bad("Signing secrets", "none: every delivery is refused", "Run `operate provision --apply`.")
    elif count == 1:
        advice = "Run `operate provision --apply`: snapshot and thin events are signed with different ones."
        yield bad("Signing secrets", f"only one, fingerprint {marks}", advice)
    else:
        yield good("Signing secrets", f"{count}, fingerprints {marks}")


def check_permissions(place: Place) -> Iterator[Finding]:
    """Ask Stripe for all that this stack does, without an effect."""
    try:
        yield judge_permissions(list(lacking_permissions(place.gateway)))
    except StripeKeyError as error:
        yield bad("Key's permissions", f"Stripe does not accept the key ({error.status})", f"Put a new one in: {HOW}.")


def judge_permissions(lacks: Sequence[Lack]) -> Finding:
    """Judge what a key may not do."""
    if not lacks:
        return good("Key's permissions", f"all {len(PERMISSIONS)} that this stack needs")
    listed = ", ".join(f"{each.resource} ({each.access})" for each in lacks)
    names = " ".join(each.permission for each in lacks if each.permission)
    advice = "Edit the key at Stripe (Developers, API keys), or make another" + (f": {names}." if names else ".")
    return bad("Key's permissions", f"it may not: {listed}", advice)
