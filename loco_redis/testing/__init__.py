"""For tests: the reference model of the scripts, and the invariants of their state.

- `model.step(state, op, now)`: what a script does, in plain Python; `ops` are its operations.
- `dump.parse(reply)`: the whole state in Redis as a comparable value; `model_dump.dump(state)`:
  the same of the model.
- `invariants.check(dump)`: raises `InvariantViolation` unless the numbered invariants of
  `lua/README.md` hold; `check_at_rest`, `check_progress` for an idle state and for two in a row.
- `fake_provider.FakeProvider`: an LLM provider on loopback that does what a test tells it.
"""
