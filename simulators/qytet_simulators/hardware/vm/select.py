"""`select` in the bench's time: sockets are the machine's own, waiting is the bench's."""

import io

import _bench
import uselect
from uselect import POLLERR, POLLHUP, POLLIN, POLLOUT


class poll:
    """As uselect.poll. Objects with an `ioctl` of their own (UART, flags) are asked here: the machine's would sleep."""

    def __init__(self):
        self._sockets = uselect.poll()
        # TLS streams have no descriptor that the machine's poll could ask, and it sleeps a millisecond over each such
        # object unless some descriptor is ready: this one always is.
        self._ready_one = _bench.channel()
        self._sockets.register(self._ready_one, POLLOUT)
        self._objects = {}
        self._seen = set()

    def register(self, what, mask=POLLIN | POLLOUT):
        """Also changes the mask of what is registered."""
        if isinstance(what, io.IOBase):
            self._objects[id(what)] = (what, mask)
        else:
            self._sockets.register(what, mask)
            self._seen.add(id(what))

    def unregister(self, what):
        """No longer ask it."""
        if self._objects.pop(id(what), None) is None:
            self._sockets.unregister(what)
            self._seen.discard(id(what))

    def modify(self, what, mask):
        """As register, for what is there already."""
        if id(what) in self._objects:
            self._objects[id(what)] = (what, mask)
        else:
            self._sockets.modify(what, mask)

    def poll(self, timeout=-1):
        """Whoever is ready, as (object, events); empty after `timeout` ms."""
        until = _bench.FOREVER if timeout < 0 else (_bench.now_us() // 1000 + timeout) * 1000
        while True:
            found = self._ready()
            if found or (timeout >= 0 and _bench.wait(until, bool(self._seen))):
                return found or self._ready()
            if timeout < 0:
                _bench.wait(until, bool(self._seen))

    def ipoll(self, timeout=-1, flags=0):
        """As poll."""
        return self.poll(timeout)

    def _ready(self):
        found = self._sockets.poll(0) if self._seen else []
        if found:
            found = [one for one in found if one[0] is not self._ready_one]
        for what, mask in self._objects.values():
            events = what.ioctl(3, mask)  # MP_STREAM_POLL
            if events:
                found.append((what, events))
        return found
