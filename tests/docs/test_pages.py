"""The pages hang together: links lead somewhere, and all code is run by a test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.harness.guides import FOLDER, PAGES

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#([\w-]+))?\)")
INCLUDE = re.compile(r"^```{include} (\S+)\n", re.MULTILINE)
FENCE = re.compile(r"^```(\w+)(?: (\S+))?\n", re.MULTILINE)
ALL = {FOLDER / name: text for name, text in PAGES.items()} | {
    page: page.read_text() for page in ROOT.glob("*.md")
}


def anchors(text: str) -> set[str]:
    """Return what a link to a section of a page may name."""
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {
        re.sub(r"[^\w\s-]", "", title.lower()).replace(" ", "-") for title in titles
    }


@pytest.mark.checkout
def test_tests_that_a_page_names_exist() -> None:
    """What shows a promise is where the page says."""
    pages = "\n".join(ALL.values())
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", pages)
    assert len(named) > 40
    for file, function in named:
        assert f"def {function}" in (ROOT / file).read_text(), (file, function)


@pytest.mark.checkout  # the pages beside the package link into it
def test_links_lead_to_pages_and_sections() -> None:
    links = [(page, *link) for page, text in ALL.items() for link in LINK.findall(text)]
    for page, target, section in links:
        if "://" in target:
            continue
        found = (page.parent / target).resolve()
        assert found.exists(), (page, target)
        if section:
            text = found.read_text()
            for included in INCLUDE.findall(text):
                text += (found.parent / included).read_text()
            assert section in anchors(text), f"{page}: {target}#{section}"


def test_code_on_a_page_is_run_by_a_test() -> None:
    """Each block has a name, by which a test finds it; transcripts have none."""
    tests = [*Path(__file__).parent.glob("*.py"), ROOT / "tests/harness/guides.py"]
    code = "".join(path.read_text() for path in tests)
    for language, name in FENCE.findall("\n".join(PAGES.values())):
        if language not in {"console", "text", "apache"}:
            assert f'"{name}"' in code, f"{language} {name}"


def test_every_guide_is_listed() -> None:
    """On the page that lists them, once."""
    listed = re.findall(r"\]\((guides/[\w-]+\.md)\)", PAGES[Path("guides.md")])
    assert sorted(listed) == sorted(str(p) for p in PAGES if p.parent.name == "guides")


def test_a_guide_begins_with_its_title() -> None:
    for name, text in PAGES.items():
        assert re.match(r"# [A-Z`t]|```{include}", text), name
