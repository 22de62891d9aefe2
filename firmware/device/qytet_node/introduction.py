"""What a node says when a connection begins: who it is, that it is ready, what it no longer holds (`lent.py`)."""

from qytet_node import messages
from qytet_node.records import hist


async def introduce(uplink, client, about):
    """Birth, state, and what is lost."""
    backlog = uplink.backlog
    boot = backlog.boot
    birth = messages.birth(boot, backlog.lowest(boot), about["fw"], about["board"], about["ds"]())
    await client.publish(uplink.prefix + "birth", birth, retain=True)
    await client.publish(uplink.prefix + "state", messages.state(boot, "ready"), retain=True)
    await tell_lost(uplink, client)


async def tell_lost(uplink, client):
    """Tell what is no longer held, also of boots that nothing is left of; the others' batches tell it too."""
    dropped = uplink.backlog.dropped
    for boot in uplink.backlog.boots():
        lowest = uplink.backlog.lowest(boot)
        if lowest > 1:
            await client.publish(uplink.prefix + "hist", hist(boot, lowest, []))
    uplink.told = dropped


async def answer(uplink, client, about):
    """Send the oldest answer to a command; one without a command asks for birth and state again."""
    first = uplink.answers[0]
    ident, state, why = first
    if ident:
        await client.publish(uplink.prefix + "ack/" + ident, messages.ack(state, why))
    else:
        await introduce(uplink, client, about)
    if uplink.answers and uplink.answers[0] is first:  # it may have had to go meanwhile
        uplink.answers.pop(0)
