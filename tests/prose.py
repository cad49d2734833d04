"""Refuse docstrings and comments of `src/` whose sentences begin with a pronoun: a part of the lint step.

    python tests/prose.py [FOLDER …]

A sentence begins with the noun of the field, such as "The client", and a function's docstring with a verb.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent

WORDS = "Who|Whoever|Whose|Nobody|Somebody|Someone|Anybody|Anyone|Everybody|Everyone|What|Whatever"
SENTENCE = re.compile(rf"(?:\A|(?<=[.!?:]\s)|(?<=\n\n))\s*(?P<word>{WORDS})\b(?P<rest>[^.?!\n]*)(?P<end>[.?!\n]|\Z)")
JS_COMMENT = re.compile(r"/\*\*(?P<block>.*?)\*/|(?:^|\s)//(?P<line>[^\n]*)", re.DOTALL)


def faults(text: str) -> Iterator[tuple[int, str]]:
    """Find the sentences of a text that begin with a pronoun; questions may.

    Yields:
        The line in the text, from 0, and how the sentence begins.
    """
    for found in SENTENCE.finditer(text):
        if found["end"] != "?":
            yield text.count("\n", 0, found.start("word")), f"{found['word']}{found['rest']}"[:60].strip()


def python_prose(source: str) -> Iterator[tuple[int, str]]:
    """The docstrings of a module and all that is in it, and its comments, each with its first line."""
    for node in ast.walk(ast.parse(source)):
        value = node.value if isinstance(node, ast.Expr) else None
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield value.lineno, value.value
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("# ")


def script_prose(source: str) -> Iterator[tuple[int, str]]:
    """The comments of a TypeScript module, each with its first line."""
    for found in JS_COMMENT.finditer(source):
        line = source.count("\n", 0, found.start()) + 1
        if found["line"] is not None:
            yield line, found["line"].strip()
        else:
            yield line, re.sub(r"^\s*\* ?", "", found["block"], flags=re.MULTILINE).strip()


def main(folders: list[str]) -> int:
    count = 0
    for folder in folders or ["src/cosession", "src/cosession-js/src"]:
        for path in sorted((REPOSITORY / folder).rglob("*")):
            read = {".py": python_prose, ".ts": script_prose, ".tsx": script_prose}.get(path.suffix)
            if read is None or "node_modules" in path.parts:
                continue
            for line, text in read(path.read_text()):
                for offset, begin in faults(text):
                    count += 1
                    where = f"{path.relative_to(REPOSITORY)}:{line + offset}"
                    print(f"{where}: begin with the noun of the field, not: {begin}")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
