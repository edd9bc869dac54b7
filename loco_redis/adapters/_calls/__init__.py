"""What all adapters are made of: a call of a model, its time in the slot, what it is settled at.

- `adapter.py`     `Adapter`: a scheduler, options, and what is wrapped
- `call.py`        `Call`: who makes it, what it is expected to take, what it has come to
- `passage.py`     `Passage`: its time in the slot, from just before it goes out until its end
- `schedulers.py`  the scheduler that was given, or the configured one

for calls that are HTTP requests:

- `http_call.py`   `HTTPCall`: one attempt at a provider
- `formats.py`, `answer.py`  what requests ask for, and what answers report
- `exchange.py`, `bodies.py`  a response whose closing or dropping ends the passage

and for those that a framework makes through objects of its own:

- `model_call.py`  `ModelCall`: told by the adapter what it asks for and what it has used
- `conduct.py`     `Conductor`: makes a framework's calls, and takes them through their passages
- `streams.py`     answers that come in pieces; `threads.py` plain calls for an event loop
- `telling.py`     how a passage learns what became of it; `failures.py` what errors say
- `loop_of.py`     plain code's way to the scheduler of an event loop
- `scheduled.py`   what stands for an object of a framework
"""
