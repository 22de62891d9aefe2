"""The devices' passwords when two people give them at the same time."""

import threading
from collections.abc import Callable

import pytest

from qytet.deploy import devices, passwords
from qytet.deploy.create import create
from qytet.deploy.layout import Layout


def _at_the_same_time(
    monkeypatch: pytest.MonkeyPatch, layout: Layout, meanwhile: Callable[[], object]
) -> list[str]:
    """Grant a password, with something else done between its reading and its writing; the devices after both."""
    hashed, other = passwords.hashed, threading.Thread(target=meanwhile)

    def slowly(password: str) -> str:
        monkeypatch.setattr(passwords, "hashed", hashed)
        other.start()
        other.join(0.5)  # time enough for it to come between, if it may
        return hashed(password)

    monkeypatch.setattr(passwords, "hashed", slowly)
    devices.grant(layout.root, "a-device")
    other.join()
    return devices.names(layout.root)


def test_two_grants_at_once_lose_none(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password that was printed opens the door, also if another was given in the same moment."""
    names = _at_the_same_time(monkeypatch, layout, lambda: devices.grant(layout.root, "b-device"))
    assert names == ["a-device", "b-device"]


def test_a_rotation_meanwhile_is_not_undone(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A grant that began before a rotation does not write the broker's old password back."""
    _at_the_same_time(monkeypatch, layout, lambda: create(layout.root, rotate=["broker-ingest"]))
    users = passwords.parse((layout.broker_secrets / "passwords").read_text())
    assert passwords.verify((layout.secrets / "broker_ingest_password").read_text(), users["ingest"])
    assert "a-device" in users
