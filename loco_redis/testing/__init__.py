"""For tests: of this project, and of those who use it.

For users' tests, listed in `__init__.pyi` and imported when they are first used (docs/testing.md):

- `SyncTestScheduler`: the scheduling decisions, played in memory on a virtual clock.
- `mock_agent`, `mock_resource`: what is played; `RunResult`: what came of it.
- `plugin`: pytest finds it by itself; fixtures with a server and schedulers.
- `fake_provider.FakeProvider`: an LLM provider on loopback that does what a test tells it.

The reference model of the scripts, and the invariants of their state:

- `model.step(state, op, now)`: what a script does, in plain Python; `ops` are its operations.
- `dump.parse(reply)`: the whole state in Redis as a comparable value; `model_dump.dump(state)`:
  the same of the model.
- `invariants.check(dump)`: raises `InvariantViolation` unless the numbered invariants of
  `lua/README.md` hold; `check_at_rest`, `check_progress` for an idle state and for two in a row.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
