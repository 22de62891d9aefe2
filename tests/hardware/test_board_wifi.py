"""The radio and the network behind it go wrong as they do in the field."""

import ast
import socket
from collections.abc import Iterator

import pytest

from qytet_simulators.hardware.sntp import TimeServer
from qytet_simulators.hardware.wifi import AccessPoint
from qytet_simulators.hardware.wires import Pace
from tests.hardware.conftest import MakeBoard

JOIN = """
import asyncio, network, socket, time
wlan = network.WLAN(network.STA_IF)
start = time.ticks_ms()
def after():
    return time.ticks_diff(time.ticks_ms(), start) // 1000
async def until(wanted, seconds):
    for _ in range(seconds * 10):
        if wlan.status() in wanted:
            break
        await asyncio.sleep_ms(100)
    return wlan.status()
async def join(ssid="qytet-bench", key="bench-password", seconds=60):
    wlan.active(True)
    wlan.connect(ssid, key)
    return await until((1010,), seconds)
"""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server that has not accepted anybody yet."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        yield server


def test_joining_takes_its_time_and_gives_an_address(make_board: MakeBoard) -> None:
    """A station joins a network that it knows the password of, and then has address and signal strength."""
    board = make_board(
        JOIN
        + """
print(wlan.active(), wlan.status(), wlan.isconnected())
try:
    wlan.connect("x", "y")
except OSError as error:
    print(error)
print(asyncio.run(join()), after(), wlan.isconnected(), wlan.ifconfig()[0], wlan.status("rssi"), wlan.config("ssid"))
print([(row[0], row[3]) for row in wlan.scan()], wlan.config("mac") == b"\\x24\\x0a\\xc4\\x51\\x74\\x01", "end")
"""
    )
    board.power_on()
    said = board.console.wait_for("end")
    assert "False 1000 False\r\nWifi Not Started\r\n1010 1 True 192.168.4.23 -61 qytet-bench\r\n" in said
    assert "[(b'qytet-bench', -61)] True end" in said


@pytest.mark.parametrize(("ssid", "key", "code"), [("qytet-bench", "wrong", 202), ("elsewhere", "any", 201)])
def test_a_wrong_password_and_a_network_that_is_not_there(
    make_board: MakeBoard, ssid: str, key: str, code: int
) -> None:
    """The station tries for ever and says only "connecting", unless told how often: then it says why."""
    board = make_board(
        JOIN
        + f"""
async def main():
    print(await join({ssid!r}, {key!r}))
    wlan.disconnect()
    wlan.config(reconnects=2)
    wlan.connect({ssid!r}, {key!r})
    print(await until((201, 202), 60), "end")
asyncio.run(main())
"""
    )
    board.power_on()
    assert f"1001\r\n{code} end" in board.console.wait_for("end")


def test_a_second_connect_while_the_first_is_under_way_fails(make_board: MakeBoard) -> None:
    """`connect` twice raises "Wifi Internal Error", as on the chip."""
    board = make_board(
        JOIN
        + """
wlan.active(True)
wlan.connect("qytet-bench", "bench-password")
try:
    wlan.connect("qytet-bench", "bench-password")
except OSError as error:
    print(error, "end")
"""
    )
    board.power_on()
    board.console.wait_for("Wifi Internal Error end")


@pytest.mark.parametrize(("dhcp_ms", "wanted"), [(40_000, "1010 41 True"), (None, "1001 60 False")])
def test_slow_dhcp_and_none(make_board: MakeBoard, dhcp_ms: int | None, wanted: str) -> None:
    """Without an address the station is not connected, however long that takes."""
    board = make_board(
        JOIN + "print(asyncio.run(join()), after(), wlan.isconnected(), 'end')\n",
        access_point=AccessPoint(dhcp_ms=dhcp_ms),
    )
    board.power_on()
    board.console.wait_for(wanted + " end")


def test_a_network_that_goes_is_noticed_late_and_joined_again(make_board: MakeBoard) -> None:
    """After a drop the station believes for some seconds, then tries until the network is back."""
    board = make_board(
        JOIN
        + """
async def main():
    print(await join())
    print("lost", await until((1001,), 600), after() // 10)
    print("back", await until((1010,), 600), after() // 10, "end")
asyncio.run(main())
""",
        stepped=True,
    )
    board.power_on()
    board.at(100, board.wifi_drop)
    board.at(300, board.wifi_restore)
    board.run_for(400)
    assert "1010\r\nlost 1001 10\r\nback 1010 30 end" in board.console.text


def test_without_a_link_no_name_is_found_and_no_port_answers(
    make_board: MakeBoard, listener: socket.socket
) -> None:
    """Names fail with -202 before there is an address and when they do not exist; an address alone leads nowhere."""
    board = make_board(
        JOIN
        + """
def look(name):
    try:
        return socket.getaddrinfo(name, 1883)[0][-1]
    except OSError as error:
        return error.errno
async def main():
    print(look("broker.test"), await join(), look("nowhere.test"))
    address = look("broker.test")
    wlan.disconnect()
    sock = socket.socket()
    try:
        sock.connect(address)
        print("reached")
    except OSError:
        print("refused", "end")
asyncio.run(main())
""",
        hosts={"broker.test": listener.getsockname()},
    )
    board.power_on()
    assert "-202 1010 -202\r\nrefused end" in board.console.wait_for("end")


def test_connections_stall_in_a_drop_and_go_on_after_it(
    make_board: MakeBoard, listener: socket.socket
) -> None:
    """What is sent while the link is down arrives when it is back soon; after two minutes the connection is lost."""
    board = make_board(
        JOIN
        + """
async def main():
    await join()
    reader, writer = await asyncio.open_connection("broker.test", 1883)
    for n in range(4):
        writer.write(b"%d" % n)
        await writer.drain()
        await asyncio.sleep(60)
    try:
        print("read", await reader.read(1), "end")
    except OSError as error:
        print("lost", "end")
asyncio.run(main())
""",
        hosts={"broker.test": listener.getsockname()},
        pace=Pace(patience_s=0.05),
        stepped=True,
    )
    board.power_on()
    board.run_for(30)
    far, _ = listener.accept()
    with far:
        far.settimeout(60)
        assert far.recv(10) == b"0"
        board.wifi_drop()
        board.run_for(63)
        board.wifi_restore()
        board.run_for(10)
        assert far.recv(10) == b"1"
        board.wifi_drop()
        board.run_for(400)
        board.console.wait_for("end")
        with pytest.raises(ConnectionResetError):
            far.recv(10)


def test_a_server_that_is_not_there_ends_the_connection(
    make_board: MakeBoard, listener: socket.socket
) -> None:
    """A port where nobody listens ends what tried to connect, within a second."""
    port = listener.getsockname()[1]
    listener.close()
    board = make_board(
        JOIN
        + """
async def main():
    await join()
    try:
        reader, writer = await asyncio.open_connection("broker.test", 1883)
        writer.write(b"x")
        await writer.drain()
        if await asyncio.wait_for(reader.read(1), 10) == b"":
            print("ended")
    except OSError:
        print("ended")
asyncio.run(main())
""",
        hosts={"broker.test": ("127.0.0.1", port)},
    )
    board.power_on()
    board.console.wait_for("ended")


TIME = (
    JOIN
    + """
def ask():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    address = socket.getaddrinfo("al.pool.ntp.org", 123, 0, socket.SOCK_DGRAM)[0][-1]
    sock.sendto(b"\\x23" + bytes(39) + b"12345678", address)
    time.sleep(2)
    try:
        answer = sock.recv(48)
    except OSError:
        answer = None
    sock.close()
    return answer and (int.from_bytes(answer[40:44], "big"), answer[0], answer[24:32] == b"12345678")
"""
)


@pytest.mark.parametrize(
    ("server", "wanted"),
    [
        (TimeServer(), (1_800_000_000, 0x24, True)),
        (TimeServer(offset_ms=-7_200_000), (1_800_000_000 - 7200, 0x24, True)),
        (TimeServer(leap=3), (1_800_000_000, 0xE4, True)),
        (TimeServer(echo=False), (1_800_000_000, 0x24, False)),
        (TimeServer(answering=False), None),
    ],
    ids=["true", "wrong", "unsynchronised", "forged", "silent"],
)
def test_the_time_server_says_what_it_is_told_to_say(
    make_board: MakeBoard, server: TimeServer, wanted: tuple[int, int, bool] | None
) -> None:
    """SNTP over a real socket gives the bench's true time, a wrong one, or none."""
    board = make_board(
        TIME + "asyncio.run(join())\nprint(ask(), 'end')\n",
        time_server=server,
        start_unix_ms=1_800_000_000_000 - 10_000,
        stepped=True,
    )
    board.power_on()
    board.run_for(20)
    (said,) = [line for line in board.console.wait_for(" end").split("\r\n") if line.endswith(" end")]
    if wanted is None:
        assert said == "None end"
    else:
        seconds, head, echoed = ast.literal_eval(said.removesuffix(" end"))
        assert (head, echoed) == wanted[1:]
        assert 0 <= wanted[0] + 2208988800 - seconds <= 10
    assert server.asked == 1
