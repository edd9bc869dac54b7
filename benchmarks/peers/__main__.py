"""`make bench-peers`: others at the same work, on the same server, in the same run."""

from benchmarks import asking

QUESTIONS = (
    "grants",
    "queues",
    "in_memory",
    "utilisation",
    "killed",
    "handoff",
    "growth",
    "fairness",
    "long_holder",
)

main = asking.command("make bench-peers", "benchmarks.peers", "peers", QUESTIONS)

if __name__ == "__main__":
    main()
