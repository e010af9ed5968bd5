"""All promises, flow by flow."""

from __future__ import annotations

from programs.mutants import (
    access,
    finance,
    ingestion,
    invoices,
    metering,
    operating,
    organizations,
    reconciliation,
    selling,
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
    *access.MUTANTS,
    *selling.MUTANTS,
    *operating.MUTANTS,
)
