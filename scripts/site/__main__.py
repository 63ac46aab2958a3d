"""`python -m scripts.site FOLDER MERMAID`: write the input of MkDocs to a folder: pages, configuration, templates.

`MERMAID` is the file of the library that draws the diagrams.
"""

import json
import shutil
import sys
from pathlib import Path

from scripts.site.pages import DOCS, for_site, navigation, outside, site_path

HERE = Path(__file__).parent


def main(folder: Path, mermaid: Path) -> None:
    """Write everything that the build needs, replacing an earlier copy."""
    shutil.rmtree(folder, ignore_errors=True)
    pages = folder / "pages"
    shutil.copytree(DOCS, pages)
    shutil.copytree(HERE / "overrides", folder / "overrides")
    others = outside()
    for page in [*DOCS.rglob("*.md"), *others]:
        copy = pages / site_path(page)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(for_site(page, others))
    (pages / "assets").mkdir()
    shutil.copy(mermaid, pages / "assets/mermaid.js")
    # JSON is YAML.
    nav = json.dumps(navigation(), ensure_ascii=False)
    (folder / "mkdocs.yml").write_text(f"{(HERE / 'mkdocs.yml').read_text()}nav: {nav}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
