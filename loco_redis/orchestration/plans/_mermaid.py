"""A plan as text for Mermaid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from loco_redis.orchestration.plans.step import Step

_COLOURS = {
    "running": "fill:#cfe2ff,stroke:#0d6efd",
    "done": "fill:#d1e7dd,stroke:#198754",
    "failed": "fill:#f8d7da,stroke:#dc3545",
    "skipped": "fill:#e2e3e5,stroke:#6c757d",
    "cancelled": "fill:#fff3cd,stroke:#fd7e14",
}


def text(steps: Sequence[Step], states: Mapping[str, str]) -> str:
    numbers = {step.name: f"s{place}" for place, step in enumerate(steps)}
    lines = ["flowchart TD"]
    lines += [f'    {numbers[step.name]}["{_quoted(step.name)}"]' for step in steps]
    lines += [
        f"    {numbers[name]} --> {numbers[step.name]}"
        for step in steps
        for name in step.depends_on
        if name in numbers
    ]
    for state, colours in _COLOURS.items():
        those = [number for name, number in numbers.items() if states.get(name) == state]
        if those:
            lines.append(f"    classDef {state} {colours}")
            lines.append(f"    class {','.join(those)} {state}")
    return "\n".join(lines) + "\n"


def _quoted(name: str) -> str:
    """What has a meaning in Mermaid, or cannot be seen, by its number."""
    return "".join(c if c.isalnum() or c in " _-.:/" else f"#{ord(c)};" for c in name)
