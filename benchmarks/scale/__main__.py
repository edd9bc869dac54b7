"""`python -m benchmarks.scale`: the questions about size."""

from __future__ import annotations

from benchmarks import asking

QUESTIONS = ("limit", "inside", "cuts", "large", "reclaim", "cluster", "simulation")

main = asking.command("make bench-scale", "benchmarks.scale", "scale", QUESTIONS)

if __name__ == "__main__":
    main()
