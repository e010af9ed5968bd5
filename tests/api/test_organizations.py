from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from billing.api.models import OrganizationId
from billing.errors import InvalidUsageError
from billing.organizations import LONGEST_ORGANIZATION_ID, check_organization_id

ADMITTED = ["a", "acme", "Acme Ltd.", "org_1~2:3@4+5=6,7;8!9$&()*-.", "-", "*", "x" * LONGEST_ORGANIZATION_ID]
REFUSED = ["", ".", ".acme", " acme", "acme\n", "a/b", "a%b", "a?b", "a#b", "a'b", 'a"b', "é", "٣", "a\tb", "a\0"]
TOO_LONG = "x" * (LONGEST_ORGANIZATION_ID + 1)

of_the_api = TypeAdapter[str](OrganizationId)


@pytest.mark.parametrize("organization_id", ADMITTED)
def test_an_organisations_id_is_admitted_when_the_api_admits_it(organization_id: str) -> None:
    assert of_the_api.validate_python(organization_id) == organization_id
    check_organization_id(organization_id)


@pytest.mark.parametrize("organization_id", [*REFUSED, TOO_LONG, None, 7, b"acme"])
def test_an_organisations_id_is_refused_when_the_api_refuses_it(organization_id: object) -> None:
    with pytest.raises(ValidationError):
        of_the_api.validate_python(organization_id, strict=True)
    with pytest.raises(InvalidUsageError, match="The organization_id must"):
        check_organization_id(organization_id)
