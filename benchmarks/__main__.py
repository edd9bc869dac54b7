"""`python -m benchmarks`: the questions about the core."""

from __future__ import annotations

from benchmarks import asking

QUESTIONS = (
    "choice",
    "scan",
    "round_trips",
    "throughput",
    "handoff",
    "memory",
    "governance",
    "llm_calls",
)

main = asking.command("make bench-core", "benchmarks", "core", QUESTIONS)

if __name__ == "__main__":
    main()
