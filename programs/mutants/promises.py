"""All promises, flow by flow."""

from __future__ import annotations

from programs.mutants import (
    finance,
    ingestion,
    invoices,
    metering,
    operating,
    organizations,
    reconciliation,
    usage_edges,
    webhooks,
)

MUTANTS = (
    *ingestion.MUTANTS,
    *usage_edges.MUTANTS,
    *webhooks.MUTANTS,
    *metering.MUTANTS,
    *reconciliation.MUTANTS,
    *organizations.MUTANTS,
    *invoices.MUTANTS,
    *finance.MUTANTS,
    *operating.MUTANTS,
)
