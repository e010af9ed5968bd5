"""The whole account: what is sold, the customer portal, the functions' key, and the webhook destinations."""

from __future__ import annotations

from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_secrets import secrets_reader
from operations.provisioning.destinations import plan_destinations
from operations.provisioning.portal import plan_portal
from operations.provisioning.sales import Sales
from operations.provisioning.secrets import StripeSecretDocument
from operations.provisioning.steps import Action, Step


def plan_account(
    sales: Sales, gateway: StripeGateway, url: str | None, secrets: StripeSecretDocument | None, *, rotate: bool = False
) -> list[Step]:
    """Return the steps after which the account is as wanted, in their order; nothing is changed yet.

    Without a `url` the destinations are not looked at; without `secrets` there is nowhere for their secrets to go.

    Raises:
        StripeUnavailableError: the account could not be read.
        ConfigurationError: the secrets cannot be read.
    """
    steps = [*sales.plan(), plan_portal(gateway)]
    if url is None:
        return [*steps, Step(Action.NOTE, "destinations", "not looked at: give --stack or --webhook-url")]
    if secrets is None:
        refusal = "where their signing secrets go is unknown: set STRIPE_SECRET_ARN, or give --secrets-file"
        return [*steps, Step(Action.REFUSE, "destinations", refusal)]
    if not secrets.has_api_key():
        key = secrets_reader().current().api_key
        detail = f"the key of STRIPE_SECRET_KEY into {secrets.name}"
        steps.append(Step(Action.CREATE, "API key", detail, lambda: secrets.put_api_key(key)))
    return [*steps, *plan_destinations(gateway, url, secrets, rotate=rotate)]
