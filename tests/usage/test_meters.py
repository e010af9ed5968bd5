"""What a line of the table of meters needs beside it, and how its name may be."""

from __future__ import annotations

import pytest
from pynamodb.attributes import NumberAttribute

from billing.metering.plan import IDENTIFIER_LENGTH, identifier, parse_identifier
from billing.meters import METERS, Meter
from billing.stripe_limits import LARGEST_VALUE
from billing.tables.usage import UsageRecord

EIGHT = "2026-11-23T08:00:00Z"
NUMBERS_OF_METERING = {"due_shard", "revision", "version"}

every_meter = pytest.mark.parametrize("meter", METERS, ids=lambda meter: meter.event_name)


@every_meter
def test_every_meter_has_an_attribute_of_the_usage_table_to_itself(meter: Meter) -> None:
    attributes = [each for each in UsageRecord.get_attributes().values() if each.attr_name == meter.event_name]

    assert [type(each) for each in attributes] == [NumberAttribute]
    assert meter.event_name not in NUMBERS_OF_METERING
    assert UsageRecord("acme", EIGHT).counted(meter.event_name) is None


def test_every_meter_has_a_name_of_its_own() -> None:
    assert len({meter.event_name for meter in METERS}) == len(METERS)


@every_meter
def test_every_meters_name_fits_into_an_identifier_that_can_be_read(meter: Meter) -> None:
    longest = identifier("o" * 200, meter.event_name, EIGHT, 999_999, LARGEST_VALUE)
    total = parse_identifier(identifier("acme", meter.event_name, EIGHT, 1, 7))

    assert len(longest) <= IDENTIFIER_LENGTH
    assert len(longest.partition(":")[0]) >= len("sha256-") + 16, "too few digits to tell organisations apart"
    assert total is not None
    assert (total.organization_id, total.event_name) == ("acme", meter.event_name)
