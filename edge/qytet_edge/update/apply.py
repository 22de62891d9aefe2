"""The root side: puts a release or a configuration on trial, and goes back. Nothing here trusts the gateway's folder.

A power cut at any step leaves `current` on a whole release: what is half made is never led to, and goes at the next
update. Only after the trial's folder is there (one rename) does `current` move (one rename), and from then on the
guard knows the way back.
"""

import contextlib
import hashlib
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from qytet.errors import InputError, QytetError
from qytet_contract.topics import is_slug
from qytet_edge.update import build, bundle, disk, manifest, trial
from qytet_edge.update.layout import COMPLETE, SERVICE, Layout, version_key

__all__ = ["ATTEMPTS", "apply", "apply_config", "requested", "restart_service", "rollback"]

ROOM = 9
"""Times the wheels' bytes: they are unpacked beside an environment that took 6.6 times as much (12.7 MB, 84 MB)."""
SPARE = 30_000_000  # bytes that stay free for the spool
ATTEMPTS = 3
"""How often the same request is tried, if each attempt is cut off by power or by the lack of memory."""
_BUNDLE = re.compile(r"bundle-[0-9a-f]{64}\.tar")

Restart = Callable[[], None]


def restart_service() -> None:
    """Ask systemd to start the gateway again; returns at once."""
    if shutil.which("systemctl") and Path("/run/systemd/system").exists():
        subprocess.run(["systemctl", "--no-block", "restart", SERVICE], check=False)


def apply(
    layout: Layout,
    source: Path,
    *,
    ident: str = "",
    downgrade: bool = False,
    checks: int = trial.CHECKS,
    builder: build.Builder = build.environment,
    smoke: Callable[[Path, str, Path], None] = build.smoke,
    restart: Restart = restart_service,
) -> str:
    """Put the bundle's release on trial and start it; return its version. Raises InputError, and nothing has changed.

    An older version than the running one only with `downgrade`: an old bundle is signed too, and may have holes that
    are mended since.
    """
    version = ""
    with disk.locked(layout.lock):
        _nothing_on_trial(layout)
        try:
            running = layout.running()
            _tidy(layout)
            version = _unpacked(layout, source, running, downgrade=downgrade)
            _make(layout, version, builder, smoke)
            trial.begin(layout, "release", running, version, ident=ident, checks=checks)
            disk.link(layout.previous, f"releases/{running}")
            disk.link(layout.current, f"releases/{version}")
            disk.remove(layout.incoming)
        except (QytetError, OSError) as error:
            _give_up(layout, version, ident, error)
            raise InputError(
                "The update was not made; the gateway goes on as before.",
                why=str(error),
                do=getattr(error, "do", "") or "Mend the cause and try again.",
            ) from error
    restart()
    return version


def requested(layout: Layout, **options: Any) -> str:
    """Install what the gateway asks for; `options` as `apply` has. Raises InputError; the outcome says it too.

    The folder belongs to the gateway, which may be taken over: links are not followed, only regular files are
    opened, and the bundle is trusted by its signature alone. The request goes when all is done; after a power cut it
    is still there and this runs again.
    """
    folder = os.open(layout.service, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    ident = ""
    try:
        ident, name = _request(folder)
        _count_attempt(layout, ident)
        descriptor = _open_regular(folder, name)
        try:
            return apply(layout, Path(f"/proc/self/fd/{descriptor}"), ident=ident, **options)
        finally:
            os.close(descriptor)
    except (QytetError, OSError) as error:
        known = {trial.read(layout.outcome).get("ident"), trial.read(layout.trial / "info").get("ident")}
        if ident and ident not in known:
            trial.fail(layout, "release", "", ident, str(error)[:180])
        raise
    finally:
        with contextlib.suppress(OSError):
            os.unlink(layout.request.name, dir_fd=folder)
        os.close(folder)


def apply_config(
    layout: Layout,
    new: Path,
    check: Callable[[Path], object],
    *,
    checks: int = trial.CHECKS,
    restart: Restart = restart_service,
) -> str:
    """Put a configuration on trial and start with it; return its SHA-256. `check` raises if the file is wrong."""
    content = _read(new)
    config, candidate = layout.config, layout.config.with_name(layout.config.name + ".new")
    old = _read(config)
    if old == content:
        raise InputError(f"{new} is the configuration in force already.")
    with disk.locked(layout.lock):
        _nothing_on_trial(layout)
        names = [hashlib.sha256(text).hexdigest() for text in (old, content)]
        try:
            _write_as(candidate, content, config)
            check(candidate)
            _write_as(config.with_name(config.name + ".back"), old, config)
            trial.begin(layout, "config", names[0], names[1], checks=checks)
        except (QytetError, OSError):
            if not layout.trial.exists():
                disk.remove(candidate)
            raise
        disk.rename(candidate, config)
    restart()
    return names[1]


def rollback(layout: Layout, *, restart: Restart = restart_service) -> str:
    """Go back at once: end the trial, or without one return to the release before; return what runs then."""
    if layout.trial.exists():
        environment = {**os.environ, "QYTET_EDGE_ROOT": str(layout.root).rstrip("/")}
        subprocess.run(["/bin/sh", str(layout.guard), "revert"], env=environment, check=False, timeout=120)
        if layout.trial.exists():
            raise InputError("The trial could not be ended.", why=f"{layout.guard} did not do it.")
        return layout.running()
    with disk.locked(layout.lock):
        running = layout.running()
        try:
            older = layout.previous.readlink().name
        except OSError as error:
            raise InputError("There is no release to go back to.", why=str(error)) from error
        if older == running or not (layout.releases / older / COMPLETE).exists():
            raise InputError(f"There is no release to go back to: {older} is not another whole one.")
        disk.link(layout.current, f"releases/{older}")
        disk.link(layout.previous, f"releases/{running}")
    restart()
    return older


def _request(folder: int) -> tuple[str, str]:
    """The command's id, and the bundle's name."""
    descriptor = _open_regular(folder, "request")
    with os.fdopen(descriptor, "rb") as file:
        raw = file.read(4096)
    try:
        said = msgspec.json.decode(raw, type=dict[str, str])
    except msgspec.MsgspecError as error:
        raise InputError("The request cannot be read.", why=str(error)) from error
    ident, name = said.get("ident", ""), said.get("bundle", "")
    if not is_slug(ident) or not _BUNDLE.fullmatch(name):
        raise InputError("The request names no command or no bundle.")
    return ident, name


def _open_regular(folder: int, name: str) -> int:
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InputError(f"{name} is no regular file.")
    return descriptor


def _count_attempt(layout: Layout, ident: str) -> None:
    path = layout.base / "attempts"
    before = trial.read(path)
    count = int(before.get("count", "0")) if before.get("ident") == ident else 0
    if count >= ATTEMPTS:
        raise InputError(f"The update was cut off {count} times.", why="Power or memory may be short.")
    disk.write(path, f"ident={ident}\ncount={count + 1}\n".encode())


def _nothing_on_trial(layout: Layout) -> None:
    if layout.trial.exists():
        raise InputError(
            "Something is on trial already.",
            why=f"{trial.read(layout.trial / 'info').get('to', '?')[:64]} has not proven itself yet.",
            do="Wait for its end (qytet edge update status), or end it: qytet edge update rollback",
        )


def _tidy(layout: Layout) -> None:
    """Remove what earlier updates left: half-made releases, and all but the running one and the one before."""
    kept = {layout.running()}
    if layout.previous.is_symlink():
        kept.add(layout.previous.readlink().name)
    for found in layout.releases.iterdir():
        if found.name not in kept:
            _discard(found)
    disk.remove(layout.incoming)


def _unpacked(layout: Layout, source: Path, running: str, *, downgrade: bool) -> str:
    """Unpack the bundle into `incoming`, and see that its version may follow the running one."""
    need = source.stat().st_size if source.is_file() else 0
    _room(layout, need)
    disk.make_folder(layout.incoming, 0o700)
    found = bundle.unpack(source, manifest.public_keys(layout.keys), layout.incoming)
    if found.version == running:
        raise InputError(f"{running} is running already.")
    if version_key(found.version) < version_key(running) and not downgrade:
        raise InputError(
            f"The bundle holds {found.version}, and {running} is running.",
            why="An older release may have holes that were mended since.",
            do="At the gateway itself: qytet edge update rollback, or apply with --downgrade.",
        )
    _room(layout, ROOM * found.size)
    return found.version


def _room(layout: Layout, need: int) -> None:
    free = shutil.disk_usage(layout.base).free
    if free < need + SPARE:
        raise InputError(
            "The disk has no room for the update.",
            why=f"{need + SPARE:,} bytes are needed, {free:,} are free.",
            do="Make room: old logs (journalctl --vacuum-size=50M), packages (apt clean).",
        )


def _make(
    layout: Layout, version: str, builder: build.Builder, smoke: Callable[[Path, str, Path], None]
) -> None:
    release = layout.releases / version
    _discard(release)
    builder(release, layout.incoming / "wheels", version)
    smoke(release, version, layout.config)
    build.seal(release)


def _discard(release: Path) -> None:
    """First it is no whole release any more, then it is gone."""
    disk.remove(release / COMPLETE)
    disk.remove(release)


def _give_up(layout: Layout, version: str, ident: str, error: Exception) -> None:
    """Remove what was made, if nothing leads to it, and keep why. A disk that refuses that, too, changes nothing."""
    try:
        if layout.trial.exists():
            return  # it began: the guard brings it to its end
        disk.remove(layout.incoming)
        if version and layout.running() != version and _before(layout) != version:
            _discard(layout.releases / version)
        trial.fail(layout, "release", version, ident, str(error)[:180])
    except OSError:
        return


def _before(layout: Layout) -> str:
    return layout.previous.readlink().name if layout.previous.is_symlink() else ""


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read.", why=str(error)) from error


def _write_as(path: Path, content: bytes, like: Path) -> None:
    """Write a file with the owner and rights of another one."""
    known = like.stat()
    disk.write(path, content, known.st_mode & 0o777)
    if os.geteuid() == 0:
        os.chown(path, known.st_uid, known.st_gid)
