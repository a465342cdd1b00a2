"""Record all golden files anew: `python -m tests.golden.record`."""

from __future__ import annotations

import shutil

from tests.golden.cases import CASES, EXPECTED

if __name__ == "__main__":
    shutil.rmtree(EXPECTED, ignore_errors=True)
    for name, make in CASES.items():
        path = EXPECTED / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(make())
        print(f"recorded {name}")
