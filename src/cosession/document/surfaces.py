"""Surfaces: generated user interfaces in A2UI 0.9 terms. A2UI's messages become edits of the document.

createSurface makes the Map whole, updateComponents sets entries of `components`, updateDataModel writes a path of
`data`, deleteSurface removes the Map. The agent that made a surface may write all of it; people write only `data`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pycrdt import Map

from cosession.errors import BadDocument

from .record import Record, Records
from .tree import Tree
from .values import JsonObject, checked, checked_id, checked_object, to_shared, transaction


class Surface(Record):
    """A view over one surface."""

    __slots__ = ()

    @property
    def catalog_id(self) -> str:
        """The catalog that its components are of."""
        return self._string("catalogId")

    @property
    def agent(self) -> str | None:
        """The participant id of the agent that made it, if written; others may then change only the data."""
        return self._optional_string("agent")

    @property
    def theme(self) -> JsonObject | None:
        """The theme, if it has one."""
        return self._optional_object("theme")

    @property
    def components(self) -> dict[str, JsonObject]:
        """The components by id; `root` is the one that is rendered."""
        return {key: item for key, item in self._object("components").items() if isinstance(item, dict)}

    @property
    def data(self) -> Tree | None:
        """The data model; people write to it as well. None where a foreign client made the surface without one."""
        data = self._map("data")
        return None if data is None else Tree(data)

    def update_components(self, components: Sequence[Mapping[str, Any]]) -> None:
        """Set components, each under its `id`; the others stay.

        Raises:
            BadDocument: a component has no id, or the surface can't hold any.
        """
        prepared = [checked_object(component, "A component") for component in components]
        shared = self._map("components")
        if shared is None:
            raise BadDocument("The surface can't hold components; the agent that made it must make it anew.")
        with transaction(self.shared):
            for component in prepared:
                Record(shared).write({checked_id(component.get("id"), "A component's id"): component})

    def update_data(self, pointer: str, value: Any) -> None:
        """Write a place of the data model.

        Args:
            pointer: a JSON Pointer, e.g. "/guests/0/name"; "/" or "" is the whole.
            value: the new value; for the whole, an object.

        Raises:
            BadDocument: the pointer leads nowhere, the value isn't JSON, or there is no data model.
        """
        data = self.data
        if data is None:
            raise BadDocument("The surface has no data model; the agent that made it must make it anew.")
        if pointer in ("", "/"):
            whole = checked_object(value, "The data model")
            with transaction(self.shared):
                for key in data.to_json().keys() - whole.keys():
                    data.delete([key])
                for key, item in whole.items():
                    data.set([key], item)
        else:
            data.set([_unescape(segment) for segment in pointer.removeprefix("/").split("/")], value)


class Surfaces(Records[Surface]):
    """The surfaces by id."""

    __slots__ = ()

    kind = Surface

    def create(
        self,
        id: str,  # noqa: A002 - the field's name
        *,
        catalog_id: str,
        agent: str | None = None,
        theme: Mapping[str, Any] | None = None,
        components: Sequence[Mapping[str, Any]] = (),
        data: Mapping[str, Any] | None = None,
    ) -> Surface:
        """Make a surface, whole.

        Args:
            id: unique in the session.
            catalog_id: the catalog that its components are of.
            agent: the participant id of the agent that makes it; without it every agent may change all of it.
            theme: the theme.
            components: A2UI components, each with an `id`.
            data: the initial data model.

        Raises:
            BadDocument: a value doesn't fit, or the id is in use.
        """
        prepared = [checked_object(component, "A component") for component in components]
        fields: JsonObject = {
            "catalogId": checked_id(catalog_id, "The catalog's id"),
            "components": Map({checked_id(item.get("id"), "A component's id"): item for item in prepared}),
            "data": to_shared(checked_object(data or {}, "The data model")),
        }
        if agent is not None:
            fields["agent"] = checked_id(agent, "The agent's id")
        if theme is not None:
            fields["theme"] = checked(theme, "The theme")
        with transaction(self.shared):
            if checked_id(id, "A surface's id") in self.shared:
                raise BadDocument(f"There is a surface {id!r} already; delete it first or choose another id.")
            shared: Map[Any] = Map(fields)
            self.shared[id] = shared
        return Surface(shared)

    def delete(self, id: str) -> None:  # noqa: A002 - the field's name
        """Remove a surface; a missing one is no error."""
        if id in self.shared:
            del self.shared[id]


def _unescape(segment: str) -> str:
    return segment.replace("~1", "/").replace("~0", "~")
