"""What the tests of the document stand on."""

import pytest
from document.samples import AT

from cosession.document import SessionDocument


@pytest.fixture
def session() -> SessionDocument:
    """A session that the server has initialised."""
    document = SessionDocument()
    document.initialise(created_at=AT, title="Trip")
    return document
