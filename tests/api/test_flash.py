"""What the server hands out for the flashing page, and what it does not."""

import hashlib
import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from qytet import messages
from qytet.errors import QytetError
from qytet_api.flash import endpoints, fetch
from qytet_api.flash.files import FlashFolder
from tests.api.conftest import runner
from tests.api.flash_bench import api_settings
from tests.api.flash_page import micropython_image, small_program, write_images

FLASH = Path(endpoints.__file__).parent
Get = Callable[[str], httpx.Response]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An operator's folder with all that belongs there."""
    folder = tmp_path / "flash"
    folder.mkdir()
    write_images(folder)
    small_program(folder)
    return folder


def getter(folder: Path | None) -> Get:
    """Asks an API with that folder."""
    call = runner(api_settings(folder))

    def get(path: str) -> httpx.Response:
        async def main(client: httpx.AsyncClient) -> httpx.Response:
            return await client.get(path)

        answer = call(main)
        assert isinstance(answer, httpx.Response)
        return answer

    return get


def described(folder: Path, **changes: object) -> None:
    """Change what images.json says of the ESP32's image."""
    file = folder / "images.json"
    images = json.loads(file.read_text())
    images["esp32"] |= changes
    file.write_text(json.dumps(images))


def problems(folder: Path | None) -> list[tuple[str, str]]:
    """What the listing complains of; each has a text in both languages."""
    found = [(one.code, one.name) for one in FlashFolder(folder).listing().problems]
    for language in messages.LANGUAGES:
        for code, name in found:
            assert messages.text(f"flash_folder.{code}", language, name=name)
    return found


def test_files_are_listed_and_given_with_their_hash(folder: Path) -> None:
    """What is listed can be had, byte for byte, with the SHA-256 that the list tells."""
    get = getter(folder)
    listed = get("/flash/files").json()
    assert listed["problems"] == []
    program, image = get("/flash/files/program.json"), get("/flash/files/images/esp32")
    assert listed["program"] == {
        "version": "9.9.9",
        "size": len(program.content),
        "sha256": hashlib.sha256(program.content).hexdigest(),
    }
    assert listed["images"]["esp32"]["sha256"] == hashlib.sha256(image.content).hexdigest()
    assert (image.content, listed["images"]["esp32"]["offset"]) == (micropython_image(), 0x1000)


def test_an_image_that_differs_is_not_given(folder: Path) -> None:
    """One changed byte, and the image is neither listed nor handed out; the rest still is."""
    image = bytearray(micropython_image())
    image[100] ^= 1
    (folder / "micropython.bin").write_bytes(image)
    assert problems(folder) == [("wrong_hash", "micropython.bin")]
    get = getter(folder)
    assert get("/flash/files/images/esp32").status_code == 404
    assert get("/flash/files/program.json").status_code == 200


@pytest.mark.parametrize("name", ["../secret.bin", "/etc/passwd", "..", ".hidden", "a/b.bin", ""])
def test_no_path_leads_out_of_the_folder(folder: Path, name: str) -> None:
    """images.json names files of its own folder, and nothing else."""
    secret = folder.parent / "secret.bin"
    secret.write_bytes(micropython_image())
    described(folder, file=name)
    assert problems(folder) == [("bad_image", "esp32")]
    assert getter(folder)("/flash/files/images/esp32").status_code == 404


def test_no_link_leads_out_of_the_folder(folder: Path) -> None:
    """A link to a file elsewhere is not followed, even if its SHA-256 is right."""
    secret = folder.parent / "secret.bin"
    secret.write_bytes(micropython_image())
    (folder / "micropython.bin").unlink()
    (folder / "micropython.bin").symlink_to(secret)
    assert problems(folder) == [("outside", "micropython.bin")]


@pytest.mark.parametrize(
    "path",
    [
        "files/../endpoints.py",
        "static/..%2Fendpoints.py",
        "static/index.html",
        "files/images/..%2F..",
        "vendor/LICENSE",
    ],
)
def test_no_address_leads_to_other_files(folder: Path, path: str) -> None:
    """Only the names that are known are files: no address reaches code, or the server's disk."""
    assert getter(folder)(f"/flash/{path}").status_code in {404, 422}


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda folder: (folder / "program.json").unlink(), ("no_program", "program.json")),
        (lambda folder: (folder / "program.json").write_text("{"), ("bad_json", "program.json")),
        (lambda folder: (folder / "program.json").write_text('{"v": 2}'), ("bad_json", "program.json")),
        (lambda folder: (folder / "images.json").unlink(), ("no_images", "images.json")),
        (lambda folder: (folder / "images.json").write_text("[]"), ("bad_json", "images.json")),
        (lambda folder: (folder / "micropython.bin").unlink(), ("no_image", "micropython.bin")),
        (lambda folder: described(folder, offset="4096"), ("bad_image", "esp32")),
        (lambda folder: described(folder, sha256="abc"), ("bad_image", "esp32")),
    ],
)
def test_what_is_wrong_is_told(
    folder: Path, spoil: Callable[[Path], object], expected: tuple[str, str]
) -> None:
    """Each thing that is missing or wrong is named, in both languages, and does not hide the others."""
    spoil(folder)
    assert problems(folder) == [expected]


def test_without_a_folder(tmp_path: Path) -> None:
    """Without a folder, or with one that is not there, the page is still served, and the list says why it is empty."""
    for folder in (None, tmp_path / "nowhere"):
        assert problems(folder) == [("no_folder", "")]
        assert getter(folder)("/flash/files/program.json").status_code == 404


def test_page_speaks_the_platforms_language_and_is_strict(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The page bears the strict policy of every answer, and asks the browser to look for new versions."""
    (tmp_path / "esptool.js").write_text("export {};")
    monkeypatch.setattr(endpoints, "VENDOR", tmp_path)
    get = getter(None)
    for path in ("/flash", "/flash/static/main.js", "/flash/vendor/esptool.js"):
        answer = get(path)
        assert answer.status_code == 200, path
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-cache"
    assert '<html lang="sq">' in get("/flash").text


def test_without_esptool_the_page_says_what_to_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where esptool-js was never fetched, the answer is 503 and names the command, without a script."""
    monkeypatch.setattr(endpoints, "VENDOR", tmp_path)
    answer = getter(None)("/flash")
    assert answer.status_code == 503
    for language in messages.LANGUAGES:
        assert messages.text("flash.missing_title", language) in answer.text
    assert "python -m qytet_api.flash.fetch" in answer.text
    assert "<script" not in answer.text


def test_packages_are_pinned_by_hash_and_by_no_address() -> None:
    """npm takes exactly what the lock's integrity hashes say, from whatever registry it is set to."""
    lock = json.loads((FLASH / "npm" / "package-lock.json").read_text())
    wanted = json.loads((FLASH / "npm" / "package.json").read_text())["dependencies"]
    packages = {name.removeprefix("node_modules/"): one for name, one in lock["packages"].items() if name}
    assert wanted.keys() <= packages.keys()
    for one in packages.values():
        assert one["integrity"].startswith("sha512-")
        assert "resolved" not in one


def installed(folder: Path) -> Path:
    """What npm would have installed, but for the bundle itself."""
    modules = folder / "node_modules"
    for name in ("esptool-js", "pako", "atob-lite"):
        (modules / name).mkdir(parents=True)
        (modules / name / ("LICENSE.md" if name == "atob-lite" else "LICENSE")).write_text(
            f"licence of {name}"
        )
    return modules


def test_fetch_takes_bundle_and_licences(tmp_path: Path) -> None:
    """The bundle and the licence of everything in it are put in place whole, once; a half-done folder never stays."""
    modules, target = installed(tmp_path), tmp_path / "vendor"
    with pytest.raises(QytetError, match=r"bundle\.js"):
        fetch.fetch(modules, target)
    assert not target.exists()
    (modules / "esptool-js" / "bundle.js").write_text("export {};")
    assert fetch.fetch(modules, target)
    assert (target / "LICENSE.pako").read_text() == "licence of pako"
    assert not fetch.fetch(modules, target)
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []


def test_fetching_at_the_same_time_takes_nothing_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two that fetch at once one does; the other waits, and does not put anew what the first already uses."""
    modules, target = installed(tmp_path), tmp_path / "vendor"
    (modules / "esptool-js" / "bundle.js").write_text("export {};")
    new: list[bool] = []
    other = threading.Thread(target=lambda: new.append(fetch.fetch(modules, target)))
    made = fetch._made

    def slowly(*given: Any) -> Path:
        monkeypatch.setattr(fetch, "_made", made)
        other.start()
        other.join(0.5)  # time enough for it to be first, if it may
        return made(*given)

    monkeypatch.setattr(fetch, "_made", slowly)
    assert fetch.fetch(modules, target)
    other.join()
    assert new == [False]


def test_page_loads_nothing_from_elsewhere() -> None:
    """No file of the page names another host, save where a comment gives its source."""
    for file in (FLASH / "static").iterdir():
        code = re.sub(r"^//.*$", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert not re.findall(r"(?<!:)//[\w-]+\.\w+|https?://\w", code), file.name


def test_texts_of_the_page_exist() -> None:
    """Every text that the page can name is in the catalogue, and none of its texts is left that nobody names."""
    known = {key for key in messages.catalogue("sq") if key.startswith("flash")}
    code = "".join(file.read_text(encoding="utf-8") for file in (FLASH / "static").iterdir())
    named = set(re.findall(r'(?:text\(|data-text=)"(flash[a-z_]*\.[a-z_0-9]+)"', code))
    named |= {f"flash.{lack}_{part}" for lack in ("insecure", "no_serial") for part in ("what", "do")}
    named |= {f"flash_error.{one}_{part}" for one in errors(code) for part in ("what", "why", "do")}
    assert named <= known, named - known
    words = set(
        re.findall(r"\w+", code + (FLASH / "files.py").read_text() + (FLASH / "endpoints.py").read_text())
    )
    lists = ("flash_step", "flash_state", "flash_wrong", "flash_hint", "flash_folder")
    named |= {key for key in known if key.partition(".")[0] in lists and key.partition(".")[2] in words}
    named |= {"flash.missing_title", "flash.missing_do"}
    assert known == named, known - named


def errors(code: str) -> set[str]:
    """The codes of all errors that the page can show."""
    found = set(re.findall(r'Problem\(\s*"([a-z_]+)"', code)) | set(re.findall(r'/i, "([a-z_]+)"\]', code))
    found |= set(
        re.findall(r'^  \["[a-z: 0-9]+", "([a-z_]+)"\],$', code, flags=re.MULTILINE)
    )  # what a boot says
    return (found | {"settings", "files", "unexpected"}) - {"stopped"}  # the last is a wish, no error
