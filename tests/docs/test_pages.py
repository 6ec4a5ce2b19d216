"""What pages promise besides code that runs: short additions, a catalog that is up to date."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXTENDING = (ROOT / "docs/guide/extending.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", EXTENDING, re.DOTALL)
MOST_WORDS = 900  # of the README, code included
NO_CODE = ("import", "from", '"""')


def test_additions_are_under_ten_lines_of_code() -> None:
    members = [block for block in BLOCKS if ".register(" in block]
    assert len(members) >= 10
    for block in members:
        lines = [line.strip() for line in block.splitlines()]
        own = [line for line in lines if line and not line.startswith(NO_CODE)]
        assert len(own) < 10, block


def test_the_catalog_is_the_present_one(tmp_path: Path) -> None:
    # In a process of its own: other tests may have registered members here by now.
    page = tmp_path / "catalog.md"
    program = f"from experiments import catalog\ncatalog.main(['--markdown={page}'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert page.read_text() == (ROOT / "docs/catalog.md").read_text(), (
        "run `python -m experiments.catalog --markdown=docs/catalog.md`"
    )


def test_the_readme_is_short_and_links_to_what_there_is() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(readme.split()) <= MOST_WORDS
    for link in re.findall(r"\]\(([^)#]+)", readme):
        assert (ROOT / link).exists(), link
