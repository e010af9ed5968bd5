from __future__ import annotations

from pathlib import Path

import pytest

from billing.errors import ConfigurationError
from operations.provisioning.catalogue import read_catalogue


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("currency = ", "cannot be read"),
        ("", "currency must be a text"),
        ('currency = "eur"\n[[products]]\nname = "x"', "product 1: id must be a text"),
        ('currency = "eur"\n[[products]]\nid = "a"\nname = "x"\n[[products]]\nid = "a"\nname = "x"', "id twice"),
        (
            'currency = "eur"\n[[products]]\nid = "a"\nname = "x"\n[[products.prices]]\nmeter = "doors"\n'
            'interval = "month"',
            "product 1, price 1: meter is 'doors'",
        ),
        (
            'currency = "eur"\n[[products]]\nid = "a"\nname = "x"\n[[products.prices]]\nmeter = "active_sensors"\n'
            'interval = "month"\nlookup_key = "k"\nunit_amount = "-1"',
            "unit_amount is '-1'",
        ),
        ("products = 5", "products must be a list of tables"),
        ("products = [5]", "product 1 must be a table"),
    ],
)
def test_the_file_is_refused_with_the_place(text: str, complaint: str, tmp_path: Path) -> None:
    file = tmp_path / "catalogue.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=complaint):
        read_catalogue(file)


def test_every_fault_of_the_file_is_named_at_once(tmp_path: Path) -> None:
    file = tmp_path / "catalogue.toml"
    file.write_text("""
currency = 5
[[products]]
id = "a"
name = ""
[[products.prices]]
lookup_key = "k"
nicknam = "x"
meter = "active_sensors"
unit_amount = 0.05
interval = "monthly"
[[products.prices]]
lookup_key = "l"
meter = "active_sensors"
unit_amount = "0.0000000000001"
interval = "month"
""")
    with pytest.raises(ConfigurationError) as refused:
        read_catalogue(file)
    assert str(refused.value).splitlines() == [
        f"{file}: currency must be a text in quotes",
        f"{file}: product 1: name must be a text in quotes",
        f"{file}: product 1, price 1: unit_amount must be a text in quotes",
        f"{file}: product 1, price 1: interval is 'monthly'; it must be 'day', 'week', 'month' or 'year'",
        f"{file}: product 1, price 1: nicknam is not known here",
        f"{file}: product 1, price 2: unit_amount is '0.0000000000001'; it must be cents like \"0.05\"",
    ]
