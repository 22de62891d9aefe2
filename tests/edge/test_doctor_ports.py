"""The doctor looks at serial ports, pins and I2C: what is wrong with them is told with what to do."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qytet.doctor.finding import worst
from qytet_edge.doctor import ports
from qytet_edge.doctor.scene import SerialPort
from tests.edge.doctor_support import NOBODY, Site, the_problem


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A pseudo-terminal: the master's descriptor, and a path of the slave."""
    master, slave = os.openpty()
    name = os.ttyname(slave)
    os.close(slave)
    yield master, Path(name)
    os.close(master)


def test_a_port_that_is_not_there_is_named_with_those_that_are(site: Site) -> None:
    """A technician learns which adapter could be meant, under the name that stays the same."""
    site.uart("/dev/ttyUSB77")
    there = [SerialPort("/dev/ttyUSB0", "FT232R USB UART", "/dev/serial/by-id/usb-FTDI_FT232R-if00")]
    found = list(ports.serial(site.scene(ports=lambda: there)))
    wrong = the_problem(found)
    assert "/dev/ttyUSB77 is not there (dust)" in wrong.what
    assert "/dev/serial/by-id/usb-FTDI_FT232R-if00" in wrong.do
    assert any("no source uses it" in one.what for one in found)


def test_a_port_that_its_user_may_not_use_is_a_matter_of_groups(
    site: Site, terminal: tuple[int, Path]
) -> None:
    """The group that owns the port is named in the command that mends it."""
    _master, port = terminal
    port.chmod(0o620)
    site.uart(port)
    wrong = the_problem(list(ports.serial(site.scene(user=NOBODY))))
    assert "may not use" in wrong.what
    assert "usermod -aG" in wrong.do
    port.chmod(0o660)
    member = NOBODY._replace(groups=frozenset({port.stat().st_gid}))
    assert worst(ports.serial(site.scene(user=member))) == "ok"


def test_a_port_that_another_program_holds_is_told_with_its_name(
    site: Site, terminal: tuple[int, Path]
) -> None:
    """Two programs on one port spoil each other's frames; our own gateway is no stranger."""
    _master, port = terminal
    site.uart(port)
    with port.open("rb", buffering=0) as held:
        program = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()", "minicom"]
        with subprocess.Popen(program, stdin=held, stdout=subprocess.PIPE) as other:
            assert other.stdout is not None
            other.stdout.readline()
            try:
                wrong = the_problem(list(ports.serial(site.scene(root=Path("/")))))
            finally:
                other.kill()
    assert "in use by python" in wrong.what


def test_a_port_that_is_linuxs_console_is_told(site: Site, terminal: tuple[int, Path]) -> None:
    """A login prompt on the port would answer the sensor."""
    _master, port = terminal
    site.uart(port)
    (site.root / "proc/cmdline").write_text(f"console={port.name},115200 console=tty1 root=/dev/mmcblk0p2")
    assert "console" in the_problem(list(ports.serial(site.scene()))).what


def test_a_usb_name_that_may_change_is_a_warning(
    site: Site, tmp_path: Path, terminal: tuple[int, Path]
) -> None:
    """/dev/ttyUSB0 is whichever adapter came first."""
    path = tmp_path / "ttyUSB0"
    path.symlink_to(terminal[1])
    site.uart(path)
    there = [SerialPort(str(path), "adapter", "/dev/serial/by-id/usb-adapter")]
    found = list(ports.serial(site.scene(ports=lambda: there)))
    assert [one.do for one in found if one.state == "warning"] == [
        "Set `port` to the name that stays: /dev/serial/by-id/usb-adapter."
    ]


def test_pins_and_i2c_that_are_not_there_are_told(site: Site) -> None:
    """A board without pins, or with I2C switched off, is told only if something uses them."""
    assert list(ports.pins(site.scene())) == []
    site.tables = '[[output]]\nkind = "gpio"\nname = "beacon"\npin = 17\n'
    assert "GPIO" in the_problem(list(ports.pins(site.scene()))).what
    (site.root / "dev").mkdir()
    (site.root / "dev/gpiochip0").touch()
    assert worst(ports.pins(site.scene())) == "ok"
