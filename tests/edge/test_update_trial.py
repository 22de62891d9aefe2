"""A new release or configuration stays only if the city stored a record of it; else the old one comes back."""

import os
import shutil
from pathlib import Path

import pytest

from qytet.errors import InputError
from qytet_edge.update import apply, disk, trial
from qytet_edge.update.evidence import Evidence
from tests.edge.update_site import PowerCutError, Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A gateway on which 0.1.0 runs."""
    return Site(tmp_path)


def cut_at(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From operation `number` on, nothing reaches the disk any more."""
    seen = iter(range(10**6))

    def before(_what: str) -> None:
        if next(seen) >= number:
            raise PowerCutError

    monkeypatch.setattr(disk, "before", before)


def test_evidence_commits_the_new_release(site: Site) -> None:
    """After a stored record of the new process the trial is over and the new release stays, however often it starts."""
    assert site.apply(site.bundle("0.2.0")) == "0.2.0"
    site.proves(site.starts())
    site.guard("look")
    assert site.outcome() == ("done", "0.2.0")
    for _ in range(2 * trial.STARTS):
        site.guard("start")
    assert site.running() == "0.2.0"
    assert site.layout.previous.readlink().name == "0.1.0"


def test_too_many_starts_bring_the_old_one_back(site: Site) -> None:
    """A release that dies at once gets its starts and no more; the start after them is the old one's."""
    site.apply(site.bundle("0.2.0"))
    for _ in range(trial.STARTS):
        site.guard("start")
        assert site.running() == "0.2.0"
    site.guard("start")
    assert site.running() == "0.1.0"
    assert site.outcome() == ("failed", "0.2.0")
    assert site.restarted() == 0, "the start goes on with the old one by itself"


def test_the_time_is_limited_too(site: Site) -> None:
    """A release that runs without being stored by the city has its minutes; then the old one is started."""
    site.apply(site.bundle("0.2.0"), checks=3)
    site.starts()
    for _ in range(3):
        site.guard("check")
        assert site.running() == "0.2.0"
    site.guard("check")
    assert site.running() == "0.1.0"
    assert site.restarted() == 1


def test_the_watch_ends_with_the_trial(site: Site) -> None:
    """The guard's watch takes the minutes by itself and ends when there is nothing to watch."""
    site.apply(site.bundle("0.2.0"), checks=1)
    site.guard("watch")
    assert site.running() == "0.1.0"
    assert site.restarted() == 1


def test_a_mark_of_an_older_record_is_no_evidence(site: Site) -> None:
    """What the old release had made, or another boot, proves nothing of the new one."""
    site.apply(site.bundle("0.2.0"))
    evidence = site.starts()
    evidence.made("gw", "0000aaaa", 50)
    evidence.stored("gw", "0000aaaa", 49)
    evidence.stored("gw", "0000bbbb", 900)
    evidence.stored("other", "0000aaaa", 900)
    assert not site.layout.evidence.exists()
    evidence.stored("gw", "0000aaaa", 50)
    assert site.layout.evidence.exists()


def test_an_old_process_cannot_prove_a_new_release(site: Site) -> None:
    """The process that still runs while the trial begins, and one of another version, leave the trial open."""
    old = site.starts()
    site.apply(site.bundle("0.2.0"))
    assert not old.wanted
    site.proves(old)
    site.proves(site.starts(release="0.1.0"))
    site.guard("look")
    assert site.layout.trial.exists()
    site.proves(site.starts())
    site.guard("look")
    assert site.outcome() == ("done", "0.2.0")


def test_evidence_of_an_earlier_trial_is_void(site: Site) -> None:
    """The same release is tried again from the beginning."""
    site.apply(site.bundle("0.2.0"))
    site.proves(site.starts())
    site.guard("revert")
    site.apply(site.bundle("0.2.0"))
    site.guard("look")
    assert site.layout.trial.exists()


def test_a_link_in_place_of_evidence_is_not_followed(site: Site) -> None:
    """The gateway's folder is not trusted by the guard, which runs with full rights."""
    site.apply(site.bundle("0.2.0"))
    site.proves(site.starts())
    real = site.root / "elsewhere"
    site.layout.evidence.rename(real)
    site.layout.evidence.symlink_to(real)
    site.guard("look")
    assert site.layout.trial.exists()
    site.layout.evidence.unlink()
    os.mkfifo(site.layout.evidence)
    assert site.guard("look").returncode == 0
    assert site.layout.trial.exists()


@pytest.mark.parametrize("version", ["0.0.9", "0.1.0"])
def test_no_way_down(site: Site, version: str) -> None:
    """An older bundle, or the running one again, is refused, and nothing changes."""
    with pytest.raises(InputError):
        site.apply(site.bundle(version))
    assert site.running() == "0.1.0"
    assert not site.layout.trial.exists()
    assert site.outcome()[0] == "failed"


def test_a_person_at_the_gateway_may_go_down(site: Site) -> None:
    """With --downgrade an older release goes on trial like any other."""
    site.apply(site.bundle("0.0.9"), downgrade=True)
    assert site.running() == "0.0.9"


def test_two_trials_at_once_are_refused(site: Site) -> None:
    """A second update waits for the first one's end; the first one's way back is kept."""
    site.apply(site.bundle("0.2.0"))
    with pytest.raises(InputError, match="on trial already"):
        site.apply(site.bundle("0.3.0"))
    site.guard("revert")
    assert site.running() == "0.1.0"


def test_a_release_that_does_not_start_never_becomes_current(site: Site) -> None:
    """What fails its first test on the desk of the installer is removed, with the reason kept."""

    def smoke(*_: object) -> None:
        raise InputError("The new release does not start.")

    with pytest.raises(InputError, match="goes on as before"):
        site.apply(site.bundle("0.2.0"), smoke=smoke)
    assert site.running() == "0.1.0"
    assert not (site.layout.releases / "0.2.0").exists()


def test_no_room_changes_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without room for the release nothing is begun; with a disk that fills up while it is made, all is removed."""
    source = site.bundle("0.2.0")
    usage = shutil.disk_usage(site.root)
    with monkeypatch.context() as little:
        little.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1000))
        with pytest.raises(InputError, match="goes on as before"):
            site.apply(source)

    def full(release: Path, _wheels: Path, _version: str) -> None:
        release.mkdir()
        (release / "half").write_text("x")
        raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match="goes on as before"):
        site.apply(source, builder=full)
    assert sorted(path.name for path in site.layout.releases.iterdir()) == ["0.1.0"]
    assert not site.layout.incoming.exists()
    assert site.apply(source) == "0.2.0"


def test_a_power_cut_at_any_step_of_an_update(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the power goes, a whole release starts, and the same update then succeeds."""
    source, number, finished = site.bundle("0.2.0"), 0, False
    while not finished:
        cut_at(number, monkeypatch)
        try:
            site.apply(source)
            finished = True
        except PowerCutError:
            number += 1
        monkeypatch.undo()
        for _ in range(trial.STARTS + 1):  # without evidence: back to the old one
            site.guard("start")
            assert site.running() in ("0.1.0", "0.2.0")
        assert site.running() == "0.1.0"
        assert not site.layout.trial.exists()
    assert number > 25, "the update consists of many operations, each of which was cut"
    site.apply(source)
    site.proves(site.starts())
    site.guard("look")
    assert site.outcome() == ("done", "0.2.0")


def test_a_power_cut_at_any_step_of_a_new_configuration(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the power goes, the old configuration or the new one is there whole, and the old one comes back."""
    new = site.desk / "new.toml"
    new.write_text("name = 'new'\n")
    old = site.layout.config.read_text()
    number, finished = 0, False
    while not finished:
        cut_at(number, monkeypatch)
        try:
            apply.apply_config(site.layout, new, Path.read_text, restart=lambda: None)
            finished = True
        except PowerCutError:
            number += 1
        monkeypatch.undo()
        assert site.layout.config.read_text() in (old, new.read_text())
        for _ in range(trial.STARTS + 1):
            site.guard("start")
        assert site.layout.config.read_text() == old
        assert not site.layout.trial.exists()
    assert number > 10


def test_a_configuration_proves_itself_too(site: Site) -> None:
    """A new configuration keeps the old one's rights, stays after evidence of a process that read it, and only then."""
    new = site.desk / "new.toml"
    new.write_text("name = 'new'\n")
    apply.apply_config(site.layout, new, Path.read_text, restart=lambda: None)
    assert site.layout.config.stat().st_mode & 0o777 == 0o640
    site.proves(Evidence(site.layout, "of the file as it was before", release="0.1.0"))
    site.guard("look")
    assert site.layout.trial.exists(), "a process that read the old file proves nothing of the new one"
    evidence = site.starts()
    site.proves(evidence)
    site.guard("look")
    assert site.outcome()[0] == "done"
    assert site.layout.config.read_text() == new.read_text()
    assert sorted(path.name for path in site.layout.config.parent.iterdir()) == [
        "qytet-edge.toml",
        "update-keys",
    ]


def test_a_wrong_configuration_never_comes_into_force(site: Site) -> None:
    """What the check refuses leaves nothing behind, and there is no trial."""

    def check(_path: Path) -> None:
        raise InputError("wrong")

    new = site.desk / "new.toml"
    new.write_text("name = 'new'\n")
    with pytest.raises(InputError, match="wrong"):
        apply.apply_config(site.layout, new, check, restart=lambda: None)
    assert site.layout.config.read_text() == "name = 'old'\n"
    assert not site.layout.trial.exists()
    assert sorted(path.name for path in site.layout.config.parent.iterdir()) == [
        "qytet-edge.toml",
        "update-keys",
    ]


def test_the_technician_goes_back(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """`rollback` ends a trial at once; without one it swaps the running release and the one before."""
    site.apply(site.bundle("0.2.0"))
    monkeypatch.setenv("QYTET_EDGE_RESTART", "true")
    assert apply.rollback(site.layout, restart=lambda: None) == "0.1.0"
    with pytest.raises(InputError, match="no release to go back to"):
        apply.rollback(site.layout, restart=lambda: None)
    site.apply(site.bundle("0.2.0"))
    site.proves(site.starts())
    site.guard("look")
    assert apply.rollback(site.layout, restart=lambda: None) == "0.1.0"
    assert apply.rollback(site.layout, restart=lambda: None) == "0.2.0"
    assert site.running() == "0.2.0"


def test_old_releases_go(site: Site) -> None:
    """After several updates two releases are on the disk: the running one and the one before."""
    for version in ("0.2.0", "0.3.0", "0.4.0"):
        site.apply(site.bundle(version))
        site.proves(site.starts())
        site.guard("look")
    site.apply(site.bundle("0.5.0"))
    kept = sorted(path.name for path in site.layout.releases.iterdir())
    assert kept == ["0.3.0", "0.4.0", "0.5.0"], "the third goes at the next update"


SHIM = """#!/bin/sh
count=$(wc -c <"{counter}")
printf x >>"{counter}"
[ "$count" -lt {limit} ] || {{ kill -9 $PPID; exit 1; }}
exec {real} "$@"
"""


@pytest.mark.parametrize("way", ["back", "on"])
def test_a_power_cut_at_any_step_of_the_guard(site: Site, way: str) -> None:
    """The guard itself may be cut at each of its commands: the next start finishes what it had begun."""
    expected = {"back": ("failed", "0.1.0"), "on": ("done", "0.2.0")}[way]
    limit, killed = 0, True
    while killed:
        site.apply(site.bundle("0.2.0"))
        process = site.starts()
        if way == "on":
            site.proves(process)
        shims = site.root / f"shims-{limit}"
        shims.mkdir()
        counter = shims / "count"
        counter.touch()
        for name in ("mv", "rm", "sync"):
            real = shutil.which(name)
            (shims / name).write_text(SHIM.format(counter=counter, limit=limit, real=real))
            (shims / name).chmod(0o755)
        mode = "revert" if way == "back" else "look"
        killed = site.guard(mode, path=f"{shims}:").returncode != 0
        assert site.running() in ("0.1.0", "0.2.0")
        site.guard("start")
        if killed and site.layout.trial.exists():  # nothing had begun yet
            site.guard(mode)
        assert (site.outcome()[0], site.running()) == expected, f"cut at {limit}"
        assert not site.layout.trial.exists()
        if way == "on":
            apply.rollback(site.layout, restart=lambda: None)
        limit += 1
    assert limit > 4
