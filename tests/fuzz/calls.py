"""Fuzzed calls for as long as one likes: `python -m tests.fuzz.calls --minutes 5 [--start SEED] [--only NAME]`; one call: `--text CALL`."""

from __future__ import annotations

import argparse
import collections
import random
import re
import time

from tests.fuzz.running import judge, run_calls
from tests.fuzz.surface import call_text, names


def texts_of(seed: int, count: int, only: str = "") -> list[str]:
    """Calls of names drawn at random."""
    draw = random.Random(seed)
    known = [n for n in names() if re.search(only, n)]
    return [call_text(name, seed * 1000 + i) for i, name in enumerate(draw.choices(known, k=count))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--only", default="", help="a pattern of names")
    parser.add_argument("--text", help="one call, judged in this process")
    chosen = parser.parse_args()
    if chosen.text:
        print(judge(chosen.text) or "fine")
        return
    end, seed = time.monotonic() + chosen.minutes * 60, chosen.start
    counts: collections.Counter[str] = collections.Counter()
    while time.monotonic() < end:
        for text, said in run_calls(texts_of(seed, 200, chosen.only)):
            counts[said[: said.find("]") + 1] or "fine"] += 1
            if said:
                print(f"{said}\n    {text}", flush=True)
            if time.monotonic() > end:
                break
        seed += 1
    print(dict(counts), "next seed", seed)


if __name__ == "__main__":
    main()
