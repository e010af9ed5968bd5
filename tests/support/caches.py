"""What the code keeps for the life of a process, forgotten where a test begins another one."""

from __future__ import annotations

import sys


def forget_cached(package: str) -> None:
    """Clear every cached function of a package and of its modules, so far as they are imported."""
    for name, module in tuple(sys.modules.items()):
        if name == package or name.startswith(f"{package}."):
            for value in vars(module).values():
                if hasattr(value, "cache_clear"):
                    value.cache_clear()
