"""All promises, flow by flow."""

from __future__ import annotations

from programs.mutants import access, invoices, metering, organizations, reconciliation, webhooks

MUTANTS = (
    *webhooks.MUTANTS,
    *metering.MUTANTS,
    *reconciliation.MUTANTS,
    *organizations.MUTANTS,
    *invoices.MUTANTS,
    *access.MUTANTS,
)
