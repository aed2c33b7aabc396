"""The files of the page, and the headers that guard it.

Chalice is not known here. The page may load nothing but its own files, and send nothing
anywhere but to the API beside it and to the bucket that takes photos.
"""

import hashlib
import html
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from chalice_app.page.bundle import bundle

STATIC = Path(__file__).parent / "static"
SCRIPT = "page.js"
_ENTRY = "main.js"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_YEAR = 31_536_000


@dataclass(frozen=True)
class PageFile:
    """A file as it is sent."""

    body: str
    headers: dict[str, str]


@dataclass(frozen=True)
class Site:
    """Everything that is sent, read once a process.

    Attributes
    ----------
    version : stands in the address of each file, which so may be kept for ever.
    """

    index: str
    files: dict[str, str]
    version: str


@cache
def site() -> Site:
    """Return the page's files."""
    read = {path.name: path.read_text("utf-8") for path in sorted(STATIC.iterdir())}
    index = read.pop("index.html")
    modules = {name: text for name, text in read.items() if name.endswith(".js")}
    files = {name: text for name, text in read.items() if name not in modules}
    files[SCRIPT] = bundle(modules, _ENTRY)
    digest = hashlib.sha256()
    for name, text in sorted(files.items()):
        digest.update(f"{name}\0{text}\0".encode())
    return Site(index, files, digest.hexdigest()[:12])


def index(base_url: str, upload_url: str) -> PageFile:
    """Return the page itself.

    Parameters
    ----------
    base_url : address of the API; its path is what the page asks, on the host it came from.
    upload_url : where photos are sent to.
    """
    base = html.escape(urlsplit(base_url).path.rstrip("/"), quote=True)
    made = site()
    body = made.index.replace("{{base}}", base).replace("{{files}}", f"{base}/page/{made.version}")
    return PageFile(
        body,
        {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Security-Policy": policy(upload_url),
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
            "Referrer-Policy": "no-referrer",
            "Strict-Transport-Security": f"max-age={_YEAR}",
            "X-Frame-Options": "DENY",
        },
    )


def policy(upload_url: str) -> str:
    """Return the Content-Security-Policy (CSP level 3) of the page.

    Trusted types without a policy: no text ever becomes HTML or a script. `blob:` is for
    photos that the user chose, which stay in the browser.
    """
    parts = urlsplit(upload_url)
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' blob:",
            f"connect-src 'self' {parts.scheme}://{parts.netloc}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def file(version: str, name: str) -> PageFile | None:
    """Return a file of the page, or None where there is none of that name.

    An older version is answered with the present file, which then must not be kept.
    """
    made = site()
    body = made.files.get(name)
    if body is None:
        return None
    keep = f"public, max-age={_YEAR}, immutable" if version == made.version else "no-store"
    return PageFile(body, {"Content-Type": _TYPES[Path(name).suffix], "Cache-Control": keep})
