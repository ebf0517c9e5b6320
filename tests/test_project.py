"""What the project says twice agrees: versions, Pythons, the commands of CI."""

import re
import shlex
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS = {
    path.stem: yaml.safe_load(path.read_text())
    for path in (ROOT / ".github" / "workflows").glob("*.yml")
}
JOBS = [
    pytest.param(job, id=f"{workflow}-{name}")
    for workflow, content in WORKFLOWS.items()
    for name, job in content["jobs"].items()
]
HOOKS = [
    hook
    for repository in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())[
        "repos"
    ]
    for hook in repository["hooks"]
]
TOOLS = {"pytest", "ruff", "mypy", "check-jsonschema", "mkdocs"}


def steps(job, key):
    return [step[key] for step in job["steps"] if key in step]


def checks(lines):
    """Of lines of shell, the commands that test or check, as of any environment."""
    commands = [
        command.strip().replace(".venv/bin/", "")
        for line in lines
        for command in re.split(r"&&|\|\|", line)
    ]
    return [
        command
        for command in commands
        if command.removeprefix("python -m ").split(" ")[0] in TOOLS
    ]


CI = checks((ROOT / ".ci" / "run").read_text().splitlines())
INDENTED = re.findall(r"^ {4}(.*)", (ROOT / "CONTRIBUTING.md").read_text(), re.M)


def is_pytest(command):
    return command.startswith("python -m pytest")


def test_all_supported_pythons_are_tested():
    matrix = WORKFLOWS["tests"]["jobs"]["newest"]["strategy"]["matrix"]
    classifiers = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert matrix["python"] == classifiers
    supported = SpecifierSet(PROJECT["requires-python"])
    minor = int(classifiers[0].removeprefix("3."))
    assert f"3.{minor - 1}" not in supported
    assert all(python in supported for python in classifiers)
    assert {extra["python"] for extra in matrix["include"]} <= set(classifiers)


@pytest.mark.parametrize("job", JOBS)
def test_a_job_is_bounded_and_its_actions_are_pinned(job):
    assert job["timeout-minutes"] <= 120
    for action in steps(job, "uses"):
        assert re.fullmatch(r"[\w/-]+@v\d+", action)
    (python,) = [
        step["with"]["python-version"]
        for step in job["steps"]
        if step.get("uses", "").startswith("actions/setup-python@")
    ]
    if python != "${{ matrix.python }}":
        assert f"Programming Language :: Python :: {python}" in PROJECT["classifiers"]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_may_only_read(name):
    assert WORKFLOWS[name]["permissions"] == {"contents": "read"}
    assert WORKFLOWS[name]["concurrency"]["cancel-in-progress"] is True
    assert not any("permissions" in job for job in WORKFLOWS[name]["jobs"].values())


def test_the_oldest_dependencies_are_tested_with_the_oldest_python():
    job = WORKFLOWS["tests"]["jobs"]["oldest"]
    assert any("--resolution lowest-direct" in line for line in steps(job, "run"))
    versions = [step.get("with", {}).get("python-version") for step in job["steps"]]
    assert f">={next(filter(None, versions))}" == PROJECT["requires-python"]


def test_workflows_check_what_ci_checks():
    lint = checks(steps(WORKFLOWS["tests"]["jobs"]["lint"], "run"))
    assert lint == [command for command in CI if not is_pytest(command)]
    assert checks(steps(WORKFLOWS["tests"]["jobs"]["newest"], "run")) == [CI[0]]
    assert CI[:2] == ["python -m pytest", "python -m pytest -m slow"]


@pytest.mark.parametrize("job", JOBS)
def test_workflows_run_pytest_as_ci_does(job):
    for command in checks(steps(job, "run")):
        if "pytest" in command:
            assert is_pytest(command)


def test_contributors_are_told_what_ci_runs():
    told = set(checks(INDENTED))
    jobs = [job for workflow in WORKFLOWS.values() for job in workflow["jobs"].values()]
    assert told <= {*CI, *checks(line for job in jobs for line in steps(job, "run"))}
    assert {"python -m pytest", "ruff check .", "ruff format --check .", "mypy"} <= told
    assert "mkdocs build --strict" in told


def test_the_citation_has_the_version_of_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == metadata.version("keras-dos") == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]


def test_hooks_run_the_tools_of_the_dev_extra():
    extra = PROJECT["optional-dependencies"]["dev"]
    packages = {Requirement(line).name for line in extra}
    for hook in HOOKS:
        assert hook["language"] == "system"
        program = shlex.split(hook["entry"])[0]
        home = program if program in TOOLS else "pre-commit-hooks"
        assert home in packages


def test_hooks_check_what_ci_checks():
    hooks = {" ".join(shlex.split(hook["entry"])[:2]) for hook in HOOKS}
    for command in CI:
        if not is_pytest(command):
            assert " ".join(shlex.split(command)[:2]) in hooks


def test_every_extra_is_documented():
    page = (ROOT / "docs" / "installation.md").read_text()
    documented = re.findall(r"^\| `(\w+)` \|", page, re.M)
    assert sorted(documented) == sorted(PROJECT["optional-dependencies"])


def test_a_bug_report_asks_for_the_installation():
    forms = list((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    assert forms
    for form in forms:
        fields = {
            field["id"]: field for field in yaml.safe_load(form.read_text())["body"]
        }
        assert (
            "`python -m keras_dos`"
            in (fields["installation"]["attributes"]["description"])
        )
        assert fields["installation"]["validations"]["required"]
