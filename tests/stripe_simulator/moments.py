"""Moments and lengths of time that the tests share, in Unix seconds."""

NOON = 1_795_435_200  # 2026-11-23T12:00:00Z
MONTH_END = 1_798_027_200  # 2026-12-23T12:00:00Z: a monthly period that begins at NOON ends then
HOUR = 3600
DRAFTED = MONTH_END + 10  # when the fixture `draft` has its invoice
