"""The linters, as tests; and the habits of the house that no linter knows."""

from __future__ import annotations

import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from invirt.base.cli import Command, completion

ROOT = Path(__file__).parents[2]
ROLES = sorted(path.name for path in ROOT.glob("invirt-*") if path.is_dir())
PROGRAMS = sorted(path for path in ROOT.glob("invirt-*/*bin/*") if path.is_file())
SCRIPTS = [path for path in PROGRAMS if path.read_bytes().startswith(b"#!/bin/sh\n")]
WRAPPERS = [path for path in PROGRAMS if path not in SCRIPTS]
PYTHON = [
    *WRAPPERS,
    ROOT / "scripts/make-docs",
    ROOT / "scripts/build-guest",
    ROOT / "invirt-base/libexec/warm",
]  # without .py
SHARED = {"base", "config", "database"}
PACKAGES = sorted(ROOT.glob("invirt-*/python/invirt/**/__init__.py"))
HEADINGS = ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "FILES", "EXAMPLES", "SEE ALSO")
TOOLS = os.environ.get("INVIRT_TEST_TOOLS", "")  # the folder of mypy and ruff; see scripts/test


def tracked(pattern: str) -> list[Path]:
    """The files of the checkout that match pattern, but for what is built."""
    built = {".git", ".cache", "build", "__pycache__", ".pybuild"}
    return [path for path in sorted(ROOT.glob(pattern)) if path.is_file() and not built & set(path.parts)]


def lint(*argv: str) -> None:
    """Run a linter on the checkout; what it says is the failure."""
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def tool(name: str) -> str:
    """The path of a linter; the test is skipped where it is not installed."""
    found = shutil.which(name, path=f"{TOOLS}:{os.environ['PATH']}" if TOOLS else None)
    return found or pytest.skip(f"{name} is not installed; scripts/test brings it")


@pytest.mark.children
def test_mypy() -> None:
    roots = [str(path) for path in sorted(ROOT.glob("invirt-*/python")) if any(path.rglob("*.py"))]
    lint(tool("mypy"), "--config-file", "setup.cfg", "--cache-dir", ".cache/mypy", *roots)


@pytest.mark.children
def test_mypy_tells_machines_from_domains(tmp_path: Path) -> None:
    mixed = "from invirt.base.names import MachineName, machine_of\nmachine_of(MachineName('remus'))\n"
    (tmp_path / "mixed.py").write_text(mixed)
    done = subprocess.run(
        [tool("mypy"), "--config-file", "setup.cfg", "--cache-dir", ".cache/mypy", tmp_path / "mixed.py"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert 'has incompatible type "MachineName"; expected "DomainName"' in done.stdout


@pytest.mark.children
def test_ruff() -> None:
    lint(tool("ruff"), "check", "--no-cache", ".", *map(str, PYTHON))


@pytest.mark.children
def test_format() -> None:
    lint(tool("ruff"), "format", "--no-cache", "--check", ".", *map(str, PYTHON))


@pytest.mark.children
def test_shellcheck() -> None:
    starts = list(tracked("scripts/*") + tracked(".ci/*") + tracked("debian/*") + WRAPPERS)
    shell = [path for path in starts if re.match(rb"#!/bin/(ba)?sh", path.read_bytes()[:12])]
    parts = sorted(map(str, ROOT.glob("invirt-kernel/python/invirt/kernel/install/*")))
    parts += [str(ROOT / "invirt-autoinstaller/python/invirt/autoinstaller/customize")]
    # They are parts of one program: what one sets, another reads.
    lint(tool("shellcheck"), "-s", "dash", "-e", "SC1090,SC2034,SC2154,SC3040", *parts)
    lint(tool("shellcheck"), "-x", "-P", "SCRIPTDIR", *map(str, shell))


def test_invirt_is_a_namespace() -> None:
    assert not list(ROOT.glob("invirt-*/python/invirt/__init__.py"))


def test_mypy_finds_every_role() -> None:
    """mypy skips a root that is not in its path without a word."""
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg")
    named = {Path(path).parent.name for path in setup["mypy"]["mypy_path"].split(":")}
    assert named == {path.parts[len(ROOT.parts)] for path in PACKAGES}


def test_setup_cfg_lists_every_package() -> None:
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg")
    listed = set(setup["options"]["packages"].split())
    assert listed == {".".join(path.parent.parts[path.parts.index("python") + 1 :]) for path in PACKAGES}
    folders = dict(line.split(" = ") for line in setup["options"]["package_dir"].strip().splitlines())
    assert all((ROOT / folder).is_dir() for folder in folders.values())
    assert {".".join(name.split(".")[:2]) for name in listed} == set(folders)


def imports(file: Path, at_once: bool = False) -> set[str]:
    """The names of all modules that file imports, wherever in it; at_once: when it is imported itself."""
    found: set[str] = set()
    tree = ast.parse(file.read_text())
    for node in tree.body if at_once else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("role", ROLES)
def test_roles_do_not_import_each_other(role: str) -> None:
    own = {path.name for path in (ROOT / role).glob("python/invirt/*")}
    for file in sorted((ROOT / role).glob("python/**/*.py")):
        used = {name.split(".")[1] for name in imports(file) if name.startswith("invirt.")}
        assert used <= own | SHARED, f"{file.relative_to(ROOT)} imports {used - own - SHARED}"


def test_base_imports_no_role() -> None:
    for file in sorted((ROOT / "invirt-base").glob("python/**/*.py")):
        used = {name.split(".")[1] for name in imports(file) if name.startswith("invirt.")}
        assert used <= {"base", "config"}, file


@pytest.mark.parametrize("role", ROLES)
def test_each_role_has_a_readme_of_a_screen(role: str) -> None:
    lines = (ROOT / role / "README.md").read_text().splitlines()
    assert 10 <= len(lines) <= 60


def test_modules_are_small() -> None:
    long = {
        str(path): n
        for path in tracked("invirt-*/python/**/*.py")
        if (n := len(path.read_text().splitlines())) > 350
    }
    assert not long


def test_functions_are_small() -> None:
    for path in tracked("invirt-*/python/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 50, f"{path.name}: {node.name} is too long"


def test_no_one_opens_a_process_but_process() -> None:
    """One place runs child processes, so that each has a deadline and is shown when it fails."""
    for path in tracked("invirt-*/python/**/*.py"):
        if path.name != "process.py":
            used = imports(path) & {
                "subprocess.run",
                "subprocess.Popen",
                "subprocess.check_output",
                "os.system",
            }
            assert "subprocess" not in imports(path) and not used, path


def test_one_table_of_verbs() -> None:
    """One place reads command lines, with click."""
    for path in [*tracked("invirt-*/python/**/*.py"), *tracked("scripts/**/*.py"), *PYTHON]:
        used = {name.split(".")[0] for name in imports(path)}
        assert not used & {"argparse", "optparse", "getopt", "shtab"}, path
        assert "click" not in used or path.parent.name == "cli", path


@pytest.mark.children  # ctypes runs ldconfig to find libfuse
@pytest.mark.parametrize("wrapper", WRAPPERS, ids=lambda path: path.name)
def test_wrappers_use_debians_python_and_name_their_command(wrapper: Path) -> None:
    text = wrapper.read_text()
    assert os.access(wrapper, os.X_OK)
    role = wrapper.relative_to(ROOT).parts[0].removeprefix("invirt-")
    warm = "from invirt.base.remctl import" in text
    starts = ("#!/usr/bin/python3\n", "#!/usr/bin/python3 -I\n")
    assert text.startswith(f"#!/usr/libexec/invirt/warm {role}\n" if warm else starts)
    assert len(text.splitlines()) <= 12
    scope: dict[str, object] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.ImportFrom):
            exec(compile(ast.Module([node], []), str(wrapper), "exec"), scope)
    parts = [getattr(part, "COMMAND", part) for part in scope.values()]
    assert [part.name for part in parts if isinstance(part, Command)] == [wrapper.name]


def test_what_programs_import_at_once_is_there_where_packages_are_built() -> None:
    """All programs are imported there for their manual pages, with what debian/control asks for."""
    asked = set((ROOT / "debian/control").read_text().split("\n\n")[0].replace(",", "").split())
    called = {"gunicorn": "gunicorn", "werkzeug": "python3-flask"}
    for path in tracked("invirt-*/python/**/*.py"):
        if path.parent.name != "members":
            modules = {name.partition(".")[0] for name in imports(path, at_once=True)}
            for module in modules - sys.stdlib_module_names - {"invirt"}:
                package = called.get(module, f"python3-{module.replace('_', '-')}")
                assert package in asked, f"{path.relative_to(ROOT)} imports {module}"


@pytest.fixture(scope="session")
def docs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What scripts/make-docs writes."""
    out = tmp_path_factory.mktemp("docs")
    lint(sys.executable, str(ROOT / "scripts/make-docs"), str(out))
    return out


@pytest.mark.children
@pytest.mark.parametrize("wrapper", WRAPPERS, ids=lambda path: path.name)
def test_each_program_has_a_manual_page_and_completion(wrapper: Path, docs: Path) -> None:
    share = docs / wrapper.relative_to(ROOT).parts[0]
    section = 1 if wrapper.parent.name == "bin" else 8
    page = (share / f"man/man{section}/{wrapper.name}.{section}").read_text()
    for heading in HEADINGS:
        assert f".SH {heading}\n" in page
    nobody_types_it = "from invirt.base.remctl import" in wrapper.read_text()
    for place in completion.PLACES.values():
        file = share / place.format(wrapper.name)
        assert not file.exists() if nobody_types_it else f" {wrapper.name}" in file.read_text()


@pytest.mark.children
def test_pages_name_pages_that_are_there(docs: Path) -> None:
    pages = {file.name for file in docs.glob("*/man/man*/*")}
    assert {"invirt.7", "invirt.yaml.5", "invirt.1"} <= pages
    for file in docs.glob("*/man/man*/*"):
        others = re.findall(r"^\.BR (\S+) \((\d)\)", file.read_text().replace("\\-", "-"), re.MULTILINE)
        assert others, file
        assert [f"{name}.{section}" for name, section in others if f"{name}.{section}" not in pages] == []


@pytest.mark.children
def test_the_overview_names_each_program(docs: Path) -> None:
    text = (docs / "invirt-base/man/man7/invirt.7").read_text().replace("\\-", "-")
    assert [wrapper.name for wrapper in WRAPPERS if f".BR {wrapper.name} (" not in text] == []
    assert ".SS invirt-remote-server\n" in text


@pytest.mark.children
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shell_programs_say_what_they_are(script: Path, docs: Path) -> None:
    page = docs / script.relative_to(ROOT).parts[0] / f"man/man8/{script.name}.8"
    assert re.search(rf"\.SH NAME\n{script.name} ".replace("-", r"\\?-"), page.read_text())
    assert len(script.read_text().splitlines()) <= 20


@pytest.mark.children
@pytest.mark.parametrize("wrapper", WRAPPERS, ids=lambda path: path.name)
def test_help_needs_no_configuration_and_ends_with_an_example(wrapper: Path) -> None:
    env = {**os.environ, "INVIRT_CONFIG": "/nonexistent/invirt.yaml"}
    done = subprocess.run(
        [sys.executable, str(wrapper), "--help"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    assert "Example:\n  " in done.stdout


def test_the_project_speaks_of_itself_alone() -> None:
    words = ["pyenv" + "/", "/wo" + "rk/", "/tmp/te" + "am"]
    for pattern in ("invirt-*/**/*", "docs/**/*", "tests/**/*.py", "debian/*", "scripts/**/*"):
        for path in tracked(pattern):
            text = path.read_bytes().decode(errors="replace")
            assert not [word for word in words if word in text], path


def test_the_changelog_fits_where_it_is_read() -> None:
    """Lintian says so, too, as the last of the lab."""
    lines = (ROOT / "debian/changelog").read_text().splitlines()
    assert [line for line in lines if len(line) > 79] == []


def test_what_waits_for_invirt_yaml_is_started_with_it() -> None:
    """`invirt-config apply` starts what invirt-config.service wants."""
    waiting = [
        unit
        for unit in ROOT.glob("invirt-*/systemd/*.*")
        if unit.is_file() and "ConditionPathExists=/etc/invirt/invirt.yaml\n" in unit.read_text()
    ]
    wanted = [(unit, re.findall(r"(?m)^WantedBy=(.*)$", unit.read_text())) for unit in waiting]
    for unit, targets in wanted:
        if targets and unit.name != "invirt-config.service":
            assert targets[0].endswith(" invirt-config.service"), unit
    assert len(wanted) > 8


def test_what_would_start_it_again_stops_with_the_configuration() -> None:
    """A caller's start, or a timer's, would cancel its stop."""
    starting = [*ROOT.glob("invirt-*/systemd/*.socket"), *ROOT.glob("invirt-*/systemd/*.timer")]
    needing = []
    for unit in starting:
        started = [unit.with_suffix(".service"), unit.with_name(f"{unit.stem}@.service")]
        text = "".join(service.read_text() for service in started if service.exists())
        if re.search(r"(?m)^(Requires|Wants)=.*\binvirt-config\.service", text):
            needing.append(unit.read_text())
    for text in needing:
        assert "\nPartOf=invirt-config.service\n" in text
        assert re.search(r"(?m)^WantedBy=.* invirt-config\.service$", text)
    assert len(needing) > 10


def test_caps_are_shown_by_tests_that_are_there() -> None:
    """As docs/security.md lists them."""
    page = (ROOT / "docs/security.md").read_text()
    named = re.findall(r"`(\S+\.py)::(test_\w+)`", page)
    assert len(named) > 20
    for file, test in named:
        assert f"def {test}(" in (ROOT / "tests" / file).read_text(), f"{file} has no {test}"


def test_migrations_are_one_chain() -> None:
    """Each but the first comes after another one, and no two after the same."""
    texts = [path.read_text() for path in tracked("invirt-database/python/**/versions/[0-9]*.py")]
    numbers = [re.findall(r'^revision = "(.*)"', text, re.MULTILINE)[0] for text in texts]
    before = [found for text in texts for found in re.findall(r'^down_revision = "(.*)"', text, re.MULTILINE)]
    assert len(before) == len(set(before)) == len(numbers) - 1
    assert set(before) < set(numbers)
