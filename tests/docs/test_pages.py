"""What the pages say exists: links, commands, options, settings, paths, resources, views, metrics, reasons."""

import contextlib
import importlib.util
import json
import re
import shlex
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from qytet import cli
from qytet.db.registry import parse
from qytet.settings import Settings
from qytet_contract import codes
from qytet_ingest.metrics import Metrics
from tests.docs.markdown import ROOT, blocks, commands, inline_code, links, pages, prose, written

EACH = pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
BY_HAND = pytest.mark.parametrize("page", written(), ids=lambda page: str(page.relative_to(ROOT)))
DECISIONS = ROOT / "docs/explanation/decisions"


@cache
def program() -> Any:
    """The `qytet` command with all that plug-ins add."""
    cli.add_plugins(strict=True)
    return typer.main.get_command(cli.app)


def check_command(line: str) -> None:
    """Assert that a `qytet` command line names a sub-command that exists and only options that it has."""
    words = shlex.split(line, comments=True)
    command = program()
    options = set()
    for word in words[1:]:
        if word in ("|", ">", "<"):
            break
        inner = getattr(command, "commands", {})
        options = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
        if word.startswith("-") and word != "-":
            assert word.partition("=")[0] in options | {"--help"}, f"{line}: no option {word}"
        elif inner:
            assert word in inner, f"{line}: no command {word}"
            command = inner[word]


@EACH
def test_commands_and_options_exist(page: Path) -> None:
    """Each `qytet …` command on a page exists with these options, and each `make …` target does."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in commands(page):
        line = re.sub(r"^(\w+=\S+ )+", "", line)  # settings before a command are looked at elsewhere
        line = re.sub(r"^docker compose exec (-T )?\w+ ", "", line)
        if line.startswith("qytet "):
            check_command(line)
        elif line.startswith("make "):
            assert line.split()[1] in targets, f"{line}: no such target"


def test_a_command_that_does_not_exist_is_noticed() -> None:
    """The check above fails on a wrong command and on a wrong option."""
    with pytest.raises(AssertionError):
        check_command("qytet device adpot x")
    with pytest.raises(AssertionError):
        check_command("qytet device list --town tirana")


@EACH
def test_links_resolve(page: Path) -> None:
    """Each link within the project leads to a file or a folder that exists, and each anchor to a heading."""
    for target in links(page):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{target} leads nowhere"
        assert not anchor or anchor in headings(found), f"{target}: no such heading"


def headings(page: Path) -> set[str]:
    """The anchors that a page's headings make."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_page_is_reachable() -> None:
    """From the map of the documentation one comes to every page."""
    start = ROOT / "docs/index.md"
    seen, waiting = {start}, [start]
    while waiting:
        page = waiting.pop()
        local = [
            (page.parent / link.partition("#")[0]).resolve() for link in links(page) if "://" not in link
        ]
        new = {found for found in local if found.suffix == ".md" and found.exists()} - seen
        seen |= new
        waiting += new
    missing = set((ROOT / "docs").rglob("*.md")) - seen
    assert not missing, f"no way leads to {sorted(map(str, missing))}"


def settings() -> set[str]:
    """Every setting as `key` or `section.key`."""
    found = set()
    for name, field in Settings.model_fields.items():
        inner = getattr(field.annotation, "model_fields", None)
        found |= {f"{name}.{key}" for key in inner} if inner else {name}
    return found


@EACH
def test_settings_exist(page: Path) -> None:
    """Each environment variable and each `[section] key` on a page is a setting, or a variable of the deployment."""
    text, known = page.read_text(encoding="utf-8"), settings()
    others = set(re.findall(r"^(QYTET_\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    others |= {"QYTET_FILE", "QYTET_SECRETS_DIR", "QYTET_DATA", "QYTET_EDGE_CONFIG"}
    variables = {"QYTET_" + name.replace(".", "__").upper() for name in known} | others
    assert set(re.findall(r"\bQYTET_[A-Z_]+[A-Z]\b", text)) <= variables
    named = {f"{section}.{key}" for section, key in re.findall(r"\[(\w+)\] (\w+)`", text)}
    assert named <= known


@BY_HAND
def test_examples_are_accepted(page: Path) -> None:
    """What a page shows as settings or as a description of devices is accepted by the program."""
    for block in blocks(page):
        if "settings" in block.marks:
            Settings.model_validate(tomllib.loads(block.text))
        if "register" in block.marks:
            assert parse(block.text.encode()).devices
        if block.language == "json":
            json.loads(block.text)
        if "schedule" in block.marks:
            node_module("planning").checked(json.loads(block.text))
        if block.language == "python":
            compile(block.text, str(page), "exec")


def node_module(name: str) -> Any:
    """A module of the node's program that needs no MicroPython."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"firmware/device/qytet_node/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_commands_of_devices_are_described() -> None:
    """The contract's table has each command that a node understands, and no other."""
    source = (ROOT / "firmware/device/qytet_node/orders.py").read_text(encoding="utf-8")
    elsewhere = re.search(r"^_ELSEWHERE = \((.+)\)$", source, re.MULTILINE)
    assert elsewhere is not None
    understood = set(re.findall(r'"(\w+)"', elsewhere[1]))
    understood |= set(re.findall(r'^ +"(\w+)": self\._\w+,$', source, re.MULTILINE))
    text = (ROOT / "docs/reference/contract.md").read_text(encoding="utf-8")
    table = text.partition("| command |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == understood


@BY_HAND
def test_named_files_exist(page: Path) -> None:
    """Each path or Python file between backticks exists in the project."""
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()} - {".qytet"}
    for code in inline_code(page):
        first, _, rest = code.partition("/")
        generated = code.startswith(("deploy/secrets", "deploy/data"))
        if rest and first in folders and " " not in code and not generated:
            assert (ROOT / code).exists(), f"{code} does not exist"
        elif re.fullmatch(r"[\w.]+\.(py|sql|csv)", code) and code != "send.py":
            assert [p for p in ROOT.glob(f"*/**/{code}") if ".venv" not in p.parts], f"no file {code}"


@EACH
def test_resources_exist(page: Path) -> None:
    """Each path below /v1 is one of the API's."""
    described = json.loads((ROOT / "docs/reference/openapi.json").read_text(encoding="utf-8"))["paths"]
    shapes = [re.sub(r"\{\w+\}", "[^/]+", path) for path in described]
    named = re.findall(r"(?<![\w}+])/v1(?:/[a-z{}_/-]*[a-z}])+", page.read_text(encoding="utf-8"))
    for path in named:
        assert any(re.fullmatch(shape, path) for shape in shapes), f"{path} is no resource"


@BY_HAND
def test_views_and_modules_exist(page: Path) -> None:
    """Each `qytet.name` between backticks is a view, or a module of ours."""
    reference = (ROOT / "docs/reference/database.md").read_text(encoding="utf-8")
    views = set(re.findall(r"^### `(qytet\.\w+)`", reference, re.MULTILINE))
    for code in inline_code(page):
        if re.fullmatch(r"qytet(_\w+)?\.[\w.]+", code) and code not in views | {"qytet.toml"}:
            assert is_ours(code), f"{code} is neither a view nor a module"


def is_ours(name: str) -> bool:
    """Whether a dotted name is a module, or what a module holds."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        with contextlib.suppress(ModuleNotFoundError):
            found: Any = importlib.import_module(".".join(parts[:cut]))
            for part in parts[cut:]:
                found = getattr(found, part, None)
            return found is not None
    return False


@BY_HAND
def test_metrics_exist(page: Path) -> None:
    """Each figure of ingest that a page names is served."""
    served = {sample.name for family in Metrics().collectors.collect() for sample in family.samples}
    served |= {family.name + "_total" for family in Metrics().collectors.collect()}
    assert set(re.findall(r"\bqytet_ingest_\w+", prose(page))) <= served


def test_reasons_are_explained() -> None:
    """The page about dead letters explains each refusal of the server, and names none that does not exist."""
    text = (ROOT / "docs/how-to/read-dead-letters.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    assert explained <= {*codes.SERVER_REFUSALS, *codes.CONTRACT_REFUSALS}
    assert explained >= set(codes.SERVER_REFUSALS) - {codes.BAD_TOPIC}


def test_decisions_are_short_and_listed() -> None:
    """Decisions are numbered without gaps, say why and what follows on less than a page, and are in the list."""
    files = sorted(DECISIONS.glob("0*.md"))
    assert [int(file.name[:4]) for file in files] == list(range(1, len(files) + 1))
    listed = (DECISIONS / "README.md").read_text(encoding="utf-8")
    for number, file in enumerate(files, 1):
        text = file.read_text(encoding="utf-8")
        title = text.splitlines()[0]
        assert title.startswith(f"# {number}. ")
        assert f"[{title.removeprefix(f'# {number}. ')}]({file.name})" in listed
        assert "**Decided.**" in text
        assert "**Why.**" in text
        assert "**What follows.**" in text
        assert len(text.splitlines()) <= 40


@EACH
def test_pages_know_no_machine(page: Path) -> None:
    """No page names a folder of the machine on which it was written."""
    assert not re.search(r"(?<![\w.])/(work|root|home)/", page.read_text(encoding="utf-8"))
