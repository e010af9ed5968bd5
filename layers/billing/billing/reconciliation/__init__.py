"""What Stripe counted, compared with what was reported, and made due again where they differ.

requests.py    asking for a comparison: daily, by hand, or because a meter reported errors
comparison.py  one organisation's hours against Stripe's hourly summaries
"""
