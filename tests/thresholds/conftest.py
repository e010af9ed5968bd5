from __future__ import annotations

from tests.support.told import bus, pump

__all__ = ["bus", "pump"]
