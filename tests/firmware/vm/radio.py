"""For the VM: a radio that joins, or does not, as a test says."""


class Station:
    """A radio: each look at its status gives the script's next value; 1010 is an address."""

    def __init__(self, script):
        self.script, self.said = list(script), []
        self.connecting = self.connected = False

    def active(self, on):
        self.said.append("on" if on else "off")

    def config(self, **settings):
        self.said.append("config")

    def connect(self, ssid, key):
        if self.connecting:
            raise OSError("Wifi Internal Error")
        self.connecting = True
        self.said.append("connect")

    def disconnect(self):
        self.connecting = self.connected = False
        self.said.append("disconnect")

    def isconnected(self):
        return self.connected

    def status(self, what=None):
        if what == "rssi":
            return -61
        status = self.script.pop(0)
        if status != 1001:
            self.connecting = False
            self.connected = status == 1010
        return status
