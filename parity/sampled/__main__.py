"""`python -m parity.sampled`: compare ops on PyTorch's own samples, and say how many agree."""

from __future__ import annotations

import argparse
import collections
import json
import re
import time

from parity.sampled.checks import CHECKS, DTYPES, Comparison, Result, all_ops, full_name
from parity.sampled.known import known, not_compared


def main() -> None:
    parser = argparse.ArgumentParser(prog="parity.sampled", description=__doc__)
    parser.add_argument("--only", default="", help="regular expression: ops whose name it matches (search)")
    parser.add_argument("--skip", default="", help="regular expression: ops left out (search)")
    parser.add_argument("--dtypes", default=",".join(DTYPES))
    parser.add_argument("--checks", default=",".join(CHECKS))
    parser.add_argument("--limit", type=int, default=4, help="samples per op and dtype; 0: all")
    parser.add_argument("--verbose", action="store_true", help="every disagreement, not one per op and check")
    parser.add_argument("--quiet", action="store_true", help="totals only")
    parser.add_argument("--known", action="store_true", help="print known differences too")
    parser.add_argument("--json", default="", help="write every disagreement to this file")
    parser.add_argument("--slow", action="store_true", help="name ops that take over 3 s")
    options = parser.parse_args()
    ops = [op for op in all_ops() if re.search(options.only, full_name(op)) and not not_compared(full_name(op))]
    ops = [op for op in ops if not (options.skip and re.search(options.skip, full_name(op)))]
    checks, dtypes = tuple(options.checks.split(",")), tuple(options.dtypes.split(","))
    results: list[Result] = []
    per_op: dict[str, collections.Counter[str]] = {}
    for op in ops:
        started = time.perf_counter()
        found = [r for dtype in dtypes for r in Comparison(op, dtype, options.limit).run(checks)]
        results += found
        per_op[full_name(op)] = collections.Counter(kind(r) for r in found)
        if not options.quiet:
            show(found, options.verbose, options.known)
        if options.slow and time.perf_counter() - started > 3:
            print(f"    slow: {full_name(op)}: {time.perf_counter() - started:.1f} s", flush=True)
    total(results, per_op)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump([vars(r) | {"kind": kind(r)} for r in results if r.verdict], file, indent=0)


def kind(result: Result) -> str:
    """agree, extension, known, absent or wrong."""
    if not result.verdict or result.verdict == "extension":
        return result.verdict or "agree"
    if known(result.op, result.dtype, result.check, result.verdict):
        return "known"
    return "absent" if result.verdict.startswith("absent:") else "wrong"


def show(results: list[Result], verbose: bool, with_known: bool) -> None:
    seen: set[tuple[str, str]] = set()
    for r in results:
        if kind(r) in ("agree", "extension") or (kind(r) == "known" and not with_known):
            continue
        head = (r.check, r.verdict.split(":")[0])
        if verbose or head not in seen:
            print(f"{r.op} {r.dtype} {r.check} #{r.sample}: {r.verdict[:400]}", flush=True)
        seen.add(head)


def total(results: list[Result], per_op: dict[str, collections.Counter[str]]) -> None:
    def line(title: str, chosen: list[Result]) -> None:
        count = collections.Counter(map(kind, chosen))
        compared = sum(count.values()) - count["extension"]
        share = 100 * count["agree"] / compared if compared else 100.0
        rest = ", ".join(f"{count[k]} {k}" for k in ("known", "wrong", "absent", "extension") if count[k])
        print(f"{title:<12} {share:6.2f} % of {compared} agree" + (f"; {rest}" if rest else ""))

    print("\nby check")
    for check in CHECKS:
        chosen = [r for r in results if r.check == check]
        if chosen:
            line(check, chosen)
    print("by dtype")
    for dtype in DTYPES:
        chosen = [r for r in results if r.dtype == dtype]
        if chosen:
            line(dtype, chosen)
    absent = sorted(name for name, count in per_op.items() if count["absent"] and not count["agree"])
    print(f"{len(per_op)} ops; absent: {len(absent)}: {' '.join(absent)}")
    worst = sorted(((c["wrong"] + c["absent"], name) for name, c in per_op.items() if c["wrong"]), reverse=True)
    print("most disagreements: " + ", ".join(f"{name} {n}" for n, name in worst[:40]))
    line("all", results)


if __name__ == "__main__":
    main()
