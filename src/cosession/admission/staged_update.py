"""An update that is in the index while it is judged, and is taken back unless it is admitted."""

from cosession.protocol import UpdateHeader

from .item_index import ItemIndex, Undo


class StagedUpdate:
    """An update that is in the index and not in the document: it is being judged.

    Args:
        index: the index.
        header: the update's header.

    Attributes:
        undo: the steps that take it back, except for its clocks.
        grown: the number of structs that the index has grown by.
    """

    __slots__ = ("_header", "_index", "_is_in", "_roots", "_structs", "undo")

    def __init__(self, index: ItemIndex, header: UpdateHeader) -> None:
        self.undo: Undo = []
        self._index = index
        self._header = header
        self._roots, self._structs = len(index.roots), index.structs
        self._is_in = True

    @property
    def grown(self) -> int:
        return self._index.structs - self._structs

    def take_back(self) -> None:
        """Take the update out of the index, unless that was done."""
        if not self._is_in:
            return
        self._is_in = False
        index = self._index
        index.take_back(self.undo, self._header.brings)
        while len(index.roots) > self._roots:
            index.roots.popitem()
