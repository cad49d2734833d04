"""Static files: pages, and the built JavaScript client."""

import asyncio
import os
from pathlib import Path
from urllib.parse import unquote

from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from .edge.security_headers import InlineScripts, page_policy


class Pages(StaticFiles):
    """Files that a browser revalidates each time, so that a page and its client are of one version.

    A page may have inline scripts: its policy names each by its hash.

    Args:
        directory: the folder. Names in it that begin with a dot aren't served, except `.well-known`.
        html: whether `index.html` stands for its folder.
        check_dir: whether the folder must be there.
        besides: a folder in it, of which nothing is served.
        shared: whether pages of every origin may load the files.
        inline_styles: whether elements of a page may have a `style`.
    """

    def __init__(
        self,
        *,
        directory: Path,
        html: bool = False,
        check_dir: bool = True,
        besides: Path | None = None,
        shared: bool = False,
        inline_styles: bool = False,
    ) -> None:
        super().__init__(directory=directory, html=html, check_dir=check_dir)
        self._besides = besides and besides.resolve()
        self._shared = shared
        self._inline_styles = inline_styles

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        """Find a file, unless it is hidden or in the excluded folder."""
        hidden = any(name.startswith(".") and name not in (".", ".well-known") for name in path.split(os.sep))
        found, status = ("", None) if hidden else super().lookup_path(path)
        if found and self._besides is not None and Path(found).is_relative_to(self._besides):
            return "", None
        return found, status

    def get_path(self, scope: Scope) -> str:
        """Return the path of the file."""
        return os.path.normpath(os.path.join(*unquote(super().get_path(scope)).split("/")))

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Serve one file.

        Raises:
            HTTPException: the method is not allowed, or there is no such file.
        """
        if scope["method"] not in ("GET", "HEAD"):  # older versions of starlette don't name the methods
            raise HTTPException(405, headers={"allow": "GET, HEAD"})
        response = await super().get_response(path, scope)
        response.headers["cache-control"] = "no-cache"
        if self._shared:
            response.headers["cross-origin-resource-policy"] = "cross-origin"
        if isinstance(response, RedirectResponse):  # to the folder, relative to the requested path
            query = scope["query_string"].decode("latin-1")
            response.headers["location"] = f"./{scope['path'].rpartition('/')[2]}/{query and '?'}{query}"
        if isinstance(response, FileResponse) and response.media_type == "text/html":
            policy = await asyncio.to_thread(self._policy_of, Path(response.path))
            response.headers["content-security-policy"] = policy
        return response

    def _policy_of(self, page: Path) -> str:
        scripts = InlineScripts(page.read_text(errors="replace")).texts
        return page_policy(scripts, inline_styles=self._inline_styles)
