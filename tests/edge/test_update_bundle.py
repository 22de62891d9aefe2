"""A gateway installs exactly what somebody whom it trusts has signed, or nothing."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qytet.errors import InputError
from qytet_edge.update import bundle, manifest
from qytet_edge.update.layout import version_key
from tests.edge.update_site import Site

SAFELY: Any = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
"""Python 3.11 knows the filter from 3.11.4 on; Debian 12 has 3.11.2. What is unpacked here we made ourselves."""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A gateway on which 0.1.0 runs."""
    return Site(tmp_path)


def unpack(site: Site, source: Path, into: str = "out") -> manifest.Manifest:
    """Unpack with the gateway's keys."""
    return bundle.unpack(source, manifest.public_keys(site.layout.keys), site.root / into)


def rewritten(source: Path, change: Callable[[str, bytes], tuple[str, bytes, bytes] | None]) -> Path:
    """The bundle with its members changed: name, content, type; None leaves one out."""
    out = source.with_name("changed.tar")
    with tarfile.open(source) as old, tarfile.open(out, "w", format=tarfile.USTAR_FORMAT) as new:
        for member in old:
            file = old.extractfile(member)
            assert file is not None
            found = change(member.name, file.read())
            if found is not None:
                info = tarfile.TarInfo(found[0])
                info.type = found[2]
                info.size = len(found[1])
                info.linkname = "/etc/passwd" if info.issym() else ""
                new.addfile(info, io.BytesIO(found[1]))
    return out


def test_a_good_bundle_comes_out_as_it_went_in(site: Site) -> None:
    """Files of a bundle (as a file and as a folder) are unpacked byte for byte."""
    source = site.bundle("0.2.0")
    found = unpack(site, source)
    assert found.version == "0.2.0"
    for name in found.files:
        assert manifest.digest(site.root / "out" / name) == found.files[name]
    with tarfile.open(source) as tar:
        tar.extractall(site.root / "folder", **SAFELY)
    assert unpack(site, site.root / "folder", "again") == found


def test_the_same_files_make_the_same_bundle(site: Site) -> None:
    """A bundle holds no time, owner or order of its own: two people can compare theirs."""
    first = site.bundle("0.2.0").read_bytes()
    assert site.bundle("0.2.0").read_bytes() == first


def test_a_stranger_s_signature_is_refused_before_anything_is_written(site: Site) -> None:
    """Who holds another key installs nothing, and leaves no file behind."""
    private, _public = manifest.new_key()
    stranger = site.desk / "stranger.key"
    stranger.write_bytes(private)
    with pytest.raises(InputError, match="not signed by anybody"):
        unpack(site, site.bundle("0.2.0", stranger))
    assert not (site.root / "out").exists()


def test_the_next_key_is_trusted_beside_the_old_one(site: Site) -> None:
    """Keys are changed without a day on which no bundle fits."""
    private, public = manifest.new_key()
    following = site.desk / "next.key"
    following.write_bytes(private)
    (site.layout.keys / "next.pem").write_bytes(public)
    assert unpack(site, site.bundle("0.2.0", following)).version == "0.2.0"


def test_without_keys_nothing_is_trusted(site: Site) -> None:
    """A gateway with no public key refuses every bundle and says where the key belongs."""
    (site.layout.keys / "update.pem").unlink()
    with pytest.raises(InputError, match="trusts nobody"):
        unpack(site, site.bundle("0.2.0"))


def test_a_changed_byte_is_noticed(site: Site) -> None:
    """One bit anywhere in manifest, signature or a file makes the bundle worthless."""
    source = site.bundle("0.2.0")
    names = ["manifest.json", "manifest.sig", "wheels/other-1-py3-none-any.whl"]
    for number, wrong in enumerate(names):

        def flip(name: str, content: bytes, wrong: str = wrong) -> tuple[str, bytes, bytes]:
            changed = content[:20] + bytes([content[20] ^ 1]) + content[21:]
            return name, changed if name == wrong else content, tarfile.REGTYPE

        with pytest.raises(InputError):
            unpack(site, rewritten(source, flip), f"out-{number}")


def test_a_bundle_that_was_cut_off_is_refused(site: Site) -> None:
    """A download that broke off at any block is an error that says so, never half a release."""
    whole = site.bundle("0.2.0").read_bytes()
    cut = site.desk / "cut.tar"
    with tarfile.open(site.bundle("0.2.0")) as tar:
        last = max(tar.getmembers(), key=lambda member: member.offset_data)
        end = last.offset_data + last.size
    for length in range(0, end, 512):
        cut.write_bytes(whole[:length])
        with pytest.raises(InputError):
            unpack(site, cut, f"out-{length}")


@pytest.mark.parametrize("kind", ["missing", "extra", "link", "twice"])
def test_files_are_those_of_the_manifest(site: Site, kind: str) -> None:
    """A file too few, too many, twice or in the guise of a link is refused."""
    source = site.bundle("0.2.0")

    def change(name: str, content: bytes) -> tuple[str, bytes, bytes] | None:
        if name.startswith("wheels/other"):
            if kind == "missing":
                return None
            if kind == "extra":
                return "wheels/evil-1-py3-none-any.whl", content, tarfile.REGTYPE
            if kind == "link":
                return name, b"", tarfile.SYMTYPE
            return "wheels/qytet-0.2.0-py3-none-any.whl", b"0.2.0" * 700, tarfile.REGTYPE
        return name, content, tarfile.REGTYPE

    with pytest.raises(InputError):
        unpack(site, rewritten(source, change))


@pytest.mark.parametrize(
    "name", ["../x.whl", "wheels/../../x", "/etc/passwd", "wheels/.hidden", "etc/x", "wheels/a\nb", "wheels/"]
)
def test_no_file_lands_outside(site: Site, name: str) -> None:
    """Even a signed manifest may name files in two folders only."""
    made = manifest.Manifest(manifest.FORMAT, "0.2.0", {name: manifest.Entry(1, "0" * 64)})
    with pytest.raises(InputError, match="may not"):
        manifest.signed(made, manifest.private_key(site.key))


def test_versions_compare_as_numbers() -> None:
    """0.10 follows 0.9, 1.0 equals 1.0.0, and what is no version is refused."""
    assert version_key("0.10.0") > version_key("0.9.9")
    assert version_key("1.0") == version_key("1.0.0")
    for wrong in ("", "1", "1.x", "1.0.dev1", "../1.0", "1.0/..", "1.0.0.0.0", "1.0\n"):
        with pytest.raises(InputError):
            version_key(wrong)
