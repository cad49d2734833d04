"""What commands write into the project's README, between two markers."""

from processes import ROOT

README = ROOT / "README.md"


def write_between(begin: str, end: str, text: str) -> None:
    """Put text into the README, in the place of the last one.

    Args:
        begin: the line before it.
        end: the line behind it.
        text: whole lines.

    Raises:
        ValueError: the README has no place for it.
    """
    before, found, rest = README.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{README} has no place for that: put the lines {begin!r} and {end!r} into it.")
    README.write_text(before + begin + text + end + after)
