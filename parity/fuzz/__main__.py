"""Random calls in both frameworks for as long as one likes: `python -m parity.fuzz --minutes 5 [--start SEED] [--only NAME]`;
one call: `--text CALL`.
"""

from __future__ import annotations

import argparse
import collections
import time

from parity.fuzz.comparing import compare, compared, drawn, reason


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--only", default="", help="a pattern of names")
    parser.add_argument("--text", help="one call, in this process")
    chosen = parser.parse_args()
    if chosen.text:
        print(compare(chosen.text) or "alike")
        return
    end, seed = time.monotonic() + chosen.minutes * 60, chosen.start
    counts: collections.Counter[str] = collections.Counter()
    while time.monotonic() < end:
        for text, said in compared(drawn(seed, 100, chosen.only)):
            why = reason(text, said) if said else ""
            counts["known" if why else said[: said.find("]") + 1] or "alike"] += 1
            if said and not why and not said.startswith("[wider]"):
                print(f"{said}\n    {text}", flush=True)
        seed += 1
    print(dict(counts), "next seed", seed)


if __name__ == "__main__":
    main()
