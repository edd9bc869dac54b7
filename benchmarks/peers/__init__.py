"""The same work done by loco-redis and by others, on one server, in one run (docs/benchmarks.md).

ways/     how each peer guards a slot: a context manager around the body
tools/    how each task queue takes and serves jobs
peer.py   what is said of each: version, what it does not do
crew.py   processes that do as they are told, and member.py, their side of it
labour.py what a member does with slots
the rest  one question per file
"""
