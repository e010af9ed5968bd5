"""A model of how one hour reaches Stripe, and a search through everything that can happen to it: `make model`.

Read in this order:

    state.py         what an hour's item, its senders and Stripe know at a moment
    rules.py         what a sender decides and writes: the real `plan`, and the conditional writes in a few lines
    steps.py         what can happen next
    invariants.py    what has to hold always
    search.py        the states searched (breadth_first.py), and the way to a wrong one told in words
    reduction.py     which states are the same for what comes after
    bounds.py        how much of everything a search allows
    old_rules.py     the rules before the item had a version, with their three holes
    weaker_rules.py  the protocol with one rule left out at a time

`tests/model` walks the model and the real code side by side. docs/model.md tells what the model leaves out.
"""
