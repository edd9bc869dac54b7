"""Texts as somebody hostile would choose them."""

from __future__ import annotations

from hypothesis import strategies as st

#: Escape sequences, separators of rows and members, globs, RESP, Lua, format strings, bidi.
HOSTILE = (
    "\x1b[2J\x1b[1;31mroot\x1b[0m",
    "\x1b]0;title\x07",
    "\x9b31m",
    "a\r\nError: b",
    "a\n[GRANT] b",
    "\u202eevil\u202c",
    "zero\u200bwidth\ufeff",
    "a|b|c",
    "a:b:1",
    "loco:{llm}:vars",
    "{llm}",
    "*3\r\n$3\r\nSET\r\n",
    "']] redis.call('FLUSHALL') --",
    "%s%n{0}{agent.__class__}",
    "../../etc/passwd",
    "--help",
    "[bold red]rich[/]",
    "__other__",
    "#agents",
    "!tenant",
    "acme/",
    "/x",
    "a*?[b]\\",
    "\x1f",
    "-0",
    "NaN",
    "\U0010ffff",
    "e\u0301",
    "x" * 512,
)

texts = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(max_size=40),
    st.text(alphabet=st.characters(categories=["Cc", "Cf", "Zl", "Zp", "Cs", "Nd"]), max_size=20),
)
