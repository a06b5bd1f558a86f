"""`make sbom` and `make audit`: list what is installed and its licences; compare it with known vulnerabilities.

The tools are in a folder of their own, so that they neither appear in the lists nor disturb what they describe.
"""

import runpy
import sys
from pathlib import Path

TOOLS = Path(sys.prefix) / "audit"
PYTHON = Path(sys.prefix) / "bin" / "python"
FOLDER = Path("sbom")
SBOM = ["environment", "--pyproject", "pyproject.toml", "--output-reproducible", "--output-file", "{file}", str(PYTHON)]
COMMANDS = {
    "sbom": {
        "cyclonedx_py": SBOM,
        "piplicenses": [f"--python={PYTHON}3", "--format=markdown", "--with-urls", "--output-file={file}"],
    },
    # PyPI's list of vulnerabilities, which takes a network
    "audit": {"pip_audit": ["--requirement", "deploy/hashes.txt", "--no-deps", "--disable-pip", "--strict"]},
}
FILES = {"cyclonedx_py": "headrace.cdx.json", "piplicenses": "licences.md"}


def main(arguments: list[str]) -> int:
    """Run the tools of a command. Return the exit status of the first that fails, else 0."""
    FOLDER.mkdir(exist_ok=True)
    sys.path.insert(0, str(TOOLS))
    for tool, options in COMMANDS[arguments[0]].items():
        file = FOLDER / FILES.get(tool, "")
        sys.argv = [tool, *(option.format(file=file) for option in options)]
        try:
            runpy.run_module(tool, run_name="__main__", alter_sys=True)
        except SystemExit as ended:
            if ended.code:
                return ended.code if isinstance(ended.code, int) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
