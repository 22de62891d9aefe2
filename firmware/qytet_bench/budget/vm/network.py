"""For the VM: a radio that is always joined; the traffic is the VM's own."""

STA_IF = 0


class WLAN:
    """A station with an address."""

    def __init__(self, kind):
        pass

    def isconnected(self):
        return True

    def status(self, what=None):
        return -61 if what == "rssi" else 1010
