"""Limits of an organisation's usage: the product hears when a billing period reaches one.

    limits.py     what limits there can be, and which of them are reached (pure)
    keeping.py    an organisation's limits, read and set
    watching.py   what a run of metering notes of them

A run that has an hour of an organisation with limits counts the hour's period from its hours, and notes in the
period's item which limits it has reached, before it sends anything: a run that dies is repeated, for its hours are
still due. The item's stream tells `UsageThresholdReached`. A limit is noted once in a period; the next period has
nothing noted yet. A limit that was taken away and set again is noted anew.
"""
