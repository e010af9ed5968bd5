"""Is everything set up right? What can be checked from outside, line by line.

findings.py    a line: good, bad or unknown, and what to do next
place.py       what is looked at: a stack and its parameters, a Stripe account
checks.py      every check, in order; one that fails is a line, and stops no other
key.py         the secret and Stripe's key
sales.py       meters, prices, the customer portal, the grace period of drafts
deliveries.py  webhook destinations, and whether events arrive
parameters.py  parameters that contradict each other, or the key
schedule.py    schedules, runs, alarms and whom they reach
queues.py      the usage queue and the dead-letter queues
hours.py       due hours, and those that no run can see
organizations.py  two subscriptions on one meter, two organisations with one customer

Every function `check_…` reads, and yields lines; what judges values alone is pure.
"""
