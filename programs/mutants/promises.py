"""All promises, flow by flow."""

from __future__ import annotations

from programs.mutants import ingestion, invoices, metering, organizations, reconciliation, webhooks

MUTANTS = (
    *ingestion.MUTANTS,
    *webhooks.MUTANTS,
    *metering.MUTANTS,
    *reconciliation.MUTANTS,
    *organizations.MUTANTS,
    *invoices.MUTANTS,
)
