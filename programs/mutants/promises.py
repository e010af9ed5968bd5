"""All promises, flow by flow."""

from __future__ import annotations

from programs.mutants import metering, reconciliation, webhooks

MUTANTS = (*webhooks.MUTANTS, *metering.MUTANTS, *reconciliation.MUTANTS)
