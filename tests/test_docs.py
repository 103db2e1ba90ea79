"""The documentation's claims about the code: messages, links, presets, parameters."""

import ast
import re
from pathlib import Path

import dvc
import pytest

from synth2real.presets import list_presets

_ROOT = Path(__file__).parents[1]
_PAGES = [_ROOT / "README.md", _ROOT / "data/README.md", *sorted(_ROOT.glob("docs/*.md")), *sorted(_ROOT.glob("studies/**/*.md"))]
_NOT_OURS = {"dvc: command not found", "No module named 'synth2real'"}  # of the shell and of Python


def _texts(source: str) -> set[str]:
    """All texts of a Python file, in which what is filled in stands as ``…``."""
    texts = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            texts.add("".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values))  # type: ignore[misc]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.add(node.value)
    return texts


def test_each_message_of_the_troubleshooting_page_is_in_the_code() -> None:
    page = (_ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    cells = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| `")]
    messages = [message for cell in cells for message in re.findall(r"(?:^|, )`(.+?)`(?=, `|$)", cell)]
    assert len(messages) > 20
    dvc_files = [path for path in Path(dvc.__file__).parent.rglob("*.py") if "testing" not in path.parts]
    files = [*_ROOT.glob("src/**/*.py"), *_ROOT.glob("stages/*.py"), *dvc_files]
    texts = {text for path in files for text in _texts(path.read_text(encoding="utf-8"))} | {(_ROOT / "Makefile").read_text()}
    unknown = []
    for message in messages:
        pattern = re.compile(".*".join(map(re.escape, message.split("…"))), re.DOTALL)
        if message not in _NOT_OURS and not any(pattern.search(text) for text in texts):
            unknown.append(message)
    assert unknown == []


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.relative_to(_ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8")):
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}, (target, anchor)


def test_each_preset_is_in_the_table_of_presets() -> None:
    page = (_ROOT / "docs/presets.md").read_text(encoding="utf-8")
    assert {
        name for line in page.splitlines() if line.startswith("| `") for name in re.findall(r"`(\w+)`", line.split("|")[1])
    } == {
        *list_presets(_ROOT / "presets"),
        "params",
    }


def test_every_value_of_params_yaml_has_a_comment() -> None:
    """On its own line, or on the section that it lies in, or on an earlier value of that name, such as a second learning rate."""
    lines = (_ROOT / "params.yaml").read_text(encoding="utf-8").splitlines()
    explained: set[str] = set()
    bare: list[str] = []
    sections: list[tuple[int, bool]] = []
    for number, line in enumerate(lines, start=1):
        if found := re.match(r"( *)([\w-]+):( *[^#\s][^#]*)?( *#.*)?$", line):
            depth, key, value, comment = len(found[1]), found[2], found[3], found[4]
            sections = [section for section in sections if section[0] < depth]
            if comment:
                explained.add(key)
            if value and not (comment or key in explained or any(section[1] for section in sections)):
                bare.append(f"{number}: {key}")
            if not value:
                sections.append((depth, bool(comment)))
    assert bare == []
