"""The id of an organisation: one rule, wherever one is named."""

from __future__ import annotations

# Printable, and no character that an address would have to encode.
ORGANIZATION_ID = r"^[A-Za-z0-9_~:@+=,;!$&()*-][A-Za-z0-9_~:@+=,;!$&()*. -]*$"
# Of `client_reference_id`: https://docs.stripe.com/api/checkout/sessions/create
LONGEST_ORGANIZATION_ID = 200
