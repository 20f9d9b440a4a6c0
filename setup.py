"""What ``pyproject.toml`` cannot say: the long description is README.md with whole links, to be shown alone."""

import re
import tomllib
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent
SOURCE = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Source"]


def with_whole_links(markdown: str) -> str:
    """Markdown whose links and pictures, where they are relative to the root of the repository, lead there."""

    def whole(link: re.Match[str]) -> str:
        picture, text, target = link.groups()
        return f"{picture}[{text}]({SOURCE}/{'raw' if picture else 'blob'}/main/{target})"

    in_turn = re.split(r"(^```.*?^```)", markdown, flags=re.DOTALL | re.MULTILINE)  # text, code, text, …
    in_turn[::2] = [re.sub(r"(!?)\[([^\]]*)\]\((?![a-z]+:|#)([^)]+)\)", whole, text) for text in in_turn[::2]]
    return "".join(in_turn)


setup(
    long_description=with_whole_links((ROOT / "README.md").read_text(encoding="utf-8")),
    long_description_content_type="text/markdown",
)
