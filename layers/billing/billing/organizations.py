"""The id of an organisation: one rule for every entrance."""

from __future__ import annotations

import re
from typing import TypeGuard

from billing.errors import InvalidUsageError

# Printable, and no character that an address would have to encode.
ORGANIZATION_ID = r"^[A-Za-z0-9_~:@+=,;!$&()*-][A-Za-z0-9_~:@+=,;!$&()*. -]*$"
# Of `client_reference_id`: https://docs.stripe.com/api/checkout/sessions/create
LONGEST_ORGANIZATION_ID = 200
_PATTERN = re.compile(ORGANIZATION_ID)


def is_organization_id(value: object) -> TypeGuard[str]:
    """Say whether a value can be an organisation's id: 1 to 200 characters of the set, no dot in front.

    The API itself checks its path with the same two values, which its OpenAPI document tells.
    """
    # Not `match`: in Python `$` also stands before a line break at the end.
    return isinstance(value, str) and len(value) <= LONGEST_ORGANIZATION_ID and _PATTERN.fullmatch(value) is not None


def check_organization_id(organization_id: object) -> str:
    """Return the id, if an organisation can have it.

    Raises:
        InvalidUsageError: the id is no text, is empty or too long, or has a character that no id has.
    """
    if not isinstance(organization_id, str) or not 1 <= len(organization_id) <= LONGEST_ORGANIZATION_ID:
        raise InvalidUsageError(f"The organization_id must be a text of 1 to {LONGEST_ORGANIZATION_ID} characters")
    if not is_organization_id(organization_id):
        raise InvalidUsageError(f"The organization_id must match {ORGANIZATION_ID}")
    return organization_id
