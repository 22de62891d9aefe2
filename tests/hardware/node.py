"""The node's own modules, to put onto a simulated board's flash."""

from collections.abc import Iterable, Iterator

from littlefs import LittleFS

from tests.firmware.device import CONTRACT, DEVICE

SOURCE_HEAP_KB = 500
"""A board that compiles the modules itself needs more memory than a chip has."""


def sources() -> Iterator[tuple[str, bytes]]:
    """Path on the board and text of the contract and of the node's modules, each by its own name."""
    for root, package in ((CONTRACT, "qytet_contract"), (DEVICE, "qytet_node")):
        for source in sorted((root / package).rglob("*.py")):
            yield source.relative_to(root).as_posix(), source.read_bytes()


def put(files: LittleFS, names: Iterable[tuple[str, bytes]]) -> None:
    """Write them to the board's files."""
    for name, content in names:
        files.makedirs(name.rpartition("/")[0], exist_ok=True)
        with files.open(name, "wb") as file:
            file.write(content)
