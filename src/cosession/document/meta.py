"""The metadata of a session: its schema version, title, origin and policy."""

from collections.abc import Mapping
from typing import Any

from .policy import Policy, read_policy
from .record import Record
from .values import JsonObject, checked, checked_object, checked_text, transaction

SCHEMA = 1
"""The version of the schema that this package reads and writes."""

MAX_TITLE = 1000
"""Characters: a list shows the titles of many sessions, and a document may hold megabytes."""


class Meta(Record):
    """A view over the session's metadata."""

    __slots__ = ()

    @property
    def schema(self) -> int:
        """The schema's version; 0 while the server hasn't initialised the session."""
        return self._integer("schema", 0)

    @property
    def title(self) -> str:
        """The title, cut off at `MAX_TITLE` characters."""
        return self._string("title")[:MAX_TITLE]

    @property
    def created_at(self) -> str | None:
        """The time at which the server made it."""
        return self._optional_string("created_at")

    @property
    def forked_from(self) -> JsonObject | None:
        """{session, version} that it was forked from, if it was."""
        return self._optional_object("forked_from")

    @property
    def rules(self) -> Policy:
        """The policy: the agents of the session, and how a prompt is handled that arrives while one works."""
        return read_policy(self._object("policy"))

    def set_title(self, title: str) -> None:
        """Set the title."""
        self.write({"title": checked_text(title, "The title")})

    def set_policy(self, policy: Policy) -> None:
        """Set the policy; only the server does."""
        self.write({"policy": checked_object(policy.to_json(), "The policy")})

    def initialise(self, *, created_at: str, title: str, forked_from: Mapping[str, Any] | None) -> None:
        """Write the metadata of a new session; a session that has a schema already stays as it is."""
        with transaction(self.shared):
            if self.schema:
                return
            fields: JsonObject = {"schema": SCHEMA, "created_at": checked_text(created_at)}
            if checked_text(title):  # an empty one would win over the title that a client gave before its first sync
                fields["title"] = title
            if forked_from is not None:
                fields["forked_from"] = checked(forked_from, "What it is forked from")
            self.write(fields)
