"""Compare the files in a wheel with the kept list of them; with `--accept`, keep its list.

    python .ci/contents.py dist/*.whl [--accept]

A module, a kernel or a template that is new or missing is found here before anybody installs the wheel.
So is a file that was left in a folder by accident: only some kinds of files may be in the list at all.
"""

import re
import shlex
import sys
from difflib import unified_diff
from pathlib import Path
from zipfile import ZipFile

LIST = Path(__file__).with_name("wheel.txt")
MAY_BE_IN_IT = re.compile(
    r"(scratchnet|backends)/([a-z]\w*/)*(\w+\.(py|pyi|cu|css|html|svg)|py\.typed)"
    r"|DIST-INFO/(METADATA|RECORD|WHEEL|entry_points\.txt|licenses/LICENSE)",
    re.ASCII,
)


def main(wheel: str, accept: bool) -> int:
    """Return 0 if the wheel has the files of the list, and print the difference otherwise."""
    with ZipFile(wheel) as file:
        names = sorted(
            re.sub(r"^scratchnet-[^/]+\.dist-info/", "DIST-INFO/", each) for each in file.namelist()
        )
    foreign = [name for name in names if not MAY_BE_IN_IT.fullmatch(name)]
    for name in foreign:
        print(
            f"wheel: {name}: no such file belongs in the wheel; move it out of the package",
            file=sys.stderr,
        )
    if foreign:
        return 1
    if accept:
        LIST.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
        return 0
    kept = LIST.read_text(encoding="utf-8").splitlines()
    different = list(unified_diff(kept, names, str(LIST), wheel, n=0, lineterm=""))
    if different:
        fix = shlex.join(["python", sys.argv[0], wheel, "--accept"])
        print(
            *different,
            f"wheel: its files are not those of the list; if they should be: {fix}",
            sep="\n",
            file=sys.stderr,
        )
    return int(bool(different))


if __name__ == "__main__":
    match sys.argv[1:]:
        case [wheel]:
            sys.exit(main(wheel, accept=False))
        case [wheel, "--accept"]:
            sys.exit(main(wheel, accept=True))
    sys.exit(__doc__)
