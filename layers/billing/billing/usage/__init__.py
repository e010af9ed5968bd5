"""Usage, recorded and read hour by hour; needs neither Stripe nor metering.

recording.py   counts into the hour they belong to
reading.py     what was counted, and what was reported to Stripe
"""
