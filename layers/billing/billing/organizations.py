"""The id of an organisation: one rule for every entrance."""

from __future__ import annotations

import re

from billing.errors import InvalidUsageError

# Printable, and no character that an address would have to encode.
ORGANIZATION_ID = r"^[A-Za-z0-9_~:@+=,;!$&()*-][A-Za-z0-9_~:@+=,;!$&()*. -]*$"
# Of `client_reference_id`: https://docs.stripe.com/api/checkout/sessions/create
LONGEST_ORGANIZATION_ID = 200


def check_organization_id(organization_id: object) -> None:
    """Make sure that usage of an organisation of this id could also be read through the API.

    The API itself checks its path with the same two values, which its OpenAPI document tells.

    Raises:
        InvalidUsageError: the id is no text, is empty or too long, or has a character that no id has.
    """
    if not isinstance(organization_id, str) or not 1 <= len(organization_id) <= LONGEST_ORGANIZATION_ID:
        raise InvalidUsageError(f"The organization_id must be a text of 1 to {LONGEST_ORGANIZATION_ID} characters")
    # Not `match`: in Python `$` also stands before a line break at the end.
    if not re.fullmatch(ORGANIZATION_ID, organization_id):
        raise InvalidUsageError(f"The organization_id must match {ORGANIZATION_ID}")
