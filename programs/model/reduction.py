"""Which states are the same for all that comes after them.

Only a few of a state's numbers matter by themselves. With these taken out, a search ends though it bounds neither the
corrections nor the runs nor the time:

- a version matters only as the item's own or an overtaken one;
- a revision matters only as older or newer than another that may still be seen;
- an identifier matters only while its revision may be sent again;
- a sender that can neither write the item nor tell Stripe anything new matters no more;
- names and the clock are for people.
"""

from __future__ import annotations

from programs.model.rules import Rules
from programs.model.state import NOT_THERE, Item, Sender, State, Stripe

VERSION, OVERTAKEN = 1, -2


def reduced(state: State, rules: Rules) -> State:
    """Return the one state that stands for all that are the same."""
    item = state.item
    seen = _seen_that_matter(state)
    senders = without_spent(state, rules).senders
    ranks = _ranks(item, senders, state.stripe._replace(seen=seen))
    return State(
        item=item._replace(version=VERSION, revision=ranks[item.revision]),
        stripe=Stripe(
            frozenset((meter, ranks[revision], value) for meter, revision, value in seen),
            tuple(
                each._replace(revision=ranks[each.revision], dropped=ranks[each.dropped])
                for each in state.stripe.counted
            ),
        ),
        senders=tuple(sorted(_reduced(sender, item, ranks) for sender in senders)),
        comparing=VERSION if state.comparing == item.version else NOT_THERE,
        left=state.left,
    )


def without_spent(state: State, rules: Rules) -> State:
    """Return the state without the senders, and the comparison, that can change nothing any more."""
    return state._replace(
        senders=tuple(sender for sender in state.senders if not _is_spent(sender, state, rules)),
        comparing=state.comparing if state.comparing == state.item.version else NOT_THERE,
    )


def _is_spent(sender: Sender, state: State, rules: Rules) -> bool:
    if not sender.is_declared:
        return rules.is_overtaken(state.item, sender)
    if not sender.is_request and rules.may_conclude(state.item, sender):
        return False
    return all((meter, sender.revision, sender.counts[meter]) in state.stripe.seen for meter in sender.events)


def _seen_that_matter(state: State) -> frozenset[tuple[int, int, int]]:
    alive = {sender.revision for sender in state.senders}
    newest = state.item.revision
    return frozenset(each for each in state.stripe.seen if each[1] >= newest or each[1] in alive)


def _ranks(item: Item, senders: tuple[Sender, ...], stripe: Stripe) -> dict[int, int]:
    revisions = {item.revision}
    revisions.update(revision for _, revision, _ in stripe.seen)
    for sender in senders:
        revisions.add(sender.revision)
        if not sender.is_declared:
            revisions.add(sender.read_revision)
    for counted in stripe.counted:
        revisions.update((counted.revision, counted.dropped))
    revisions.discard(NOT_THERE)
    return {revision: rank for rank, revision in enumerate(sorted(revisions))} | {NOT_THERE: NOT_THERE}


def _reduced(sender: Sender, item: Item, ranks: dict[int, int]) -> Sender:
    own = item.version - 1 if sender.is_declared else item.version
    return sender._replace(
        name=0,
        version=(VERSION - 1 if sender.is_declared else VERSION) if sender.version == own else OVERTAKEN,
        read_revision=NOT_THERE if sender.is_declared else ranks[sender.read_revision],
        revision=ranks[sender.revision],
    )
