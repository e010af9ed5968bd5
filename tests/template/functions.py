"""The functions of the design: logical id, folder, handler, and the `service` under which each one logs and counts."""

from __future__ import annotations

FUNCTIONS = {
    "StripeWebhookFunction": ("functions/stripe_webhook/", "app.handler"),
    "UsageIngestionFunction": ("functions/usage_ingestion/", "app.handler"),
    "UsageMeteringFunction": ("functions/usage_metering/", "app.handler"),
    "UsageMeteringWorkerFunction": ("functions/usage_metering/", "app.worker"),
    "UsageReconciliationFunction": ("functions/usage_reconciliation/", "app.handler"),
    "BillingEventsFunction": ("functions/billing_events/", "app.handler"),
    "BillingApiFunction": ("functions/billing_api/", "app.handler"),
}
SERVICES = {
    "StripeWebhookFunction": "webhook",
    "UsageIngestionFunction": "ingestion",
    "UsageMeteringFunction": "metering",
    "UsageMeteringWorkerFunction": "metering",
    "UsageReconciliationFunction": "reconciliation",
    "BillingEventsFunction": "events",
    "BillingApiFunction": "api",
}
