"""Scenario files: the samples load, mistakes are named with their place, chance depends on names alone."""

import re

import pytest

from qytet_simulators.faults import QUIET, ScenarioError, load_scenario, sample_scenarios
from qytet_simulators.faults.scenario import Offline


@pytest.mark.parametrize("name", sample_scenarios())
def test_samples_load(name):
    """Every sample in the package is valid, explains itself and has faults."""
    scenario = load_scenario(name)
    assert scenario.about
    assert scenario.fault


def test_samples_cover_every_kind():
    """Each kind of fault is shown in at least one sample."""
    kinds = {
        fault.__struct_config__.tag for name in sample_scenarios() for fault in load_scenario(name).fault
    }
    assert kinds == {
        "stuck", "spike", "drift", "clock_step", "clock_unset", "reboot", "offline", "duplicate", "reorder", "garbage",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("name = 'x'\n[[fault]]\nkind = 'meteor'", r"meteor.*fault\[0\]"),
        ("name = 'x'\n[[fault]]\nkind = 'spike'", r"size.*fault\[0\]"),
        ("name = 'x'\n[[fault]]\nkind = 'spike'\nsize = -1", r"fault\[0\]\.size"),
        ("name = 'x'\n[[fault]]\nkind = 'duplicate'\nchance = 2", r"fault\[0\]\.chance"),
        ("name = 'x'\n[[fault]]\nkind = 'duplicate'\nchanse = 0.2", "chanse"),
        ("name = 'x'\n[[fault]]\nkind = 'stuck'\ndevices = []", r"fault\[0\]\.devices"),
        ("name = 'x'\n[[fault]]\nkind = 'stuck'\nfrom_s = 9\nto_s = 9", r"to_s.*after.*fault\[0\]"),
        ("name = 'x'\n[[fault]]\nkind = 'stuck'\nfrom_s = -1", r"fault\[0\]\.from_s"),
        ("name = 'x'\n[[fault]]\nkind = 'offline'", r"to_s.*fault\[0\]"),
        ("name = 'x'\n[[fault]]\nkind = 'clock_step'\nstep_s = 0", r"step_s.*fault\[0\]"),
        ("name = 'x'\n[[fault]]\nkind = 'reboot'\nevery_s = 2\ndown_s = 3", r"every_s.*fault\[0\]"),
        ("name = 'x'\n[[fault]]\nkind = 'reorder'\ndepth = 1", r"fault\[0\]\.depth"),
        ("seed = 1", "name"),
        ("name = ", "Invalid value"),
    ],
)
def test_mistakes_are_named_with_their_place(tmp_path, text, named):
    """A scenario that means nothing is refused before anything runs, saying what is wrong and where."""
    file = tmp_path / "scenario.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError) as caught:
        load_scenario(file)
    assert str(file) in caught.value.what
    assert re.search(named, caught.value.why), caught.value.why


def test_a_missing_file_lists_the_samples(tmp_path):
    """Whoever mistypes a name is told which there are."""
    with pytest.raises(ScenarioError) as caught:
        load_scenario(str(tmp_path / "nothing.toml"))
    assert "bad-day" in caught.value.do


def test_share_picks_the_same_devices_each_time(tmp_path):
    """About the share of devices is hit, always the same ones, and a device's luck ignores its neighbours."""
    file = tmp_path / "half.toml"
    file.write_text(
        "name='x'\nseed=4\n[[fault]]\nkind='offline'\ndevices=['a-*']\nshare=0.5\nto_s=9", encoding="utf-8"
    )
    scenario = load_scenario(file)
    hit = {n for n in range(400) if list(scenario.of(f"a-{n}"))}
    assert 150 < len(hit) < 250
    assert hit == {n for n in reversed(range(400)) if list(load_scenario(file).of(f"a-{n}"))}
    assert not list(scenario.of("b-1"))
    assert all(isinstance(fault, Offline) for n in hit for _, fault in scenario.of(f"a-{n}"))


def test_quiet_is_quiet():
    """The default scenario has no fault."""
    assert not list(QUIET.of("any"))
