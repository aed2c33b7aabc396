"""A photo on a slow network: the bar advances, and only what stands still is given up."""

import re
import socket
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.browser.pretended import BASE, Pretended, jpeg, send, sign_in

# More than the buffers between browser and store take in at once.
LARGE = 9_500_000
HEADERS = "Access-Control-Allow-Origin: *\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class SlowStore:
    """A bucket that reads a photo in portions, each when the test says so."""

    def __init__(self) -> None:
        self.photos = 0
        self._portions = threading.Semaphore(0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def read(self, megabytes: int) -> None:
        """Take in so much more."""
        self._portions.release(megabytes)

    def close(self) -> None:
        self._listener.close()
        self.read(1000)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            head = b"".join(iter(stream.readline, b"\r\n"))
            found = re.search(rb"(?i)content-length: (\d+)", head)
            left = int(found[1]) if found else 0
            while left > 0:
                self._portions.acquire()
                portion = len(stream.read(min(left, 1_000_000)))
                if not portion:
                    return  # the browser has given up
                left -= portion
            self.photos += head.startswith(b"POST")
            connection.sendall(b"HTTP/1.1 204 No Content\r\n" + HEADERS.encode())


@pytest.fixture
def store() -> Iterator[SlowStore]:
    made = SlowStore()
    yield made
    made.close()


@pytest.fixture
def page(store: SlowStore, service: Pretended, new_page: Open) -> Page:
    """The page with a slow store, in a time that the test moves on."""
    service.bucket = store.url
    # A site may ask this computer for something only where the visitor allows it.
    opened = new_page(permissions=["local-network-access"])
    opened.clock.install()
    service.serve(opened)
    opened.goto(f"{BASE}/")
    sign_in(opened)
    return opened


def sent_share(page: Page) -> float:
    return float(page.locator("progress").evaluate("bar => bar.value"))


def grows_from(page: Page, before: float) -> float:
    """Wait until more is sent than before, and return how much."""
    for _ in range(100):
        if (now := sent_share(page)) > before:
            return now
        page.wait_for_timeout(100)
    raise AssertionError(f"the bar stays at {before}")


def large() -> dict[str, object]:
    small = jpeg("large.jpg")
    return {**small, "buffer": small["buffer"].ljust(LARGE, b"\0")}


def test_the_bar_of_a_slow_upload_advances(page: Page, store: SlowStore) -> None:
    send(page, large())
    seen = [grows_from(page, 0.0)]
    bar = page.get_by_role("progressbar", name="Upload of large.jpg")
    page.wait_for_timeout(300)  # the buffers are full
    seen.append(sent_share(page))
    for _ in range(2):  # longer in all than silence may last: slow is not lost
        page.clock.fast_forward(55_000)
        store.read(2)  # less would leave too little room for the browser to write on
        seen.append(grows_from(page, seen[-1]))
        expect(page.get_by_text(re.compile(r"Sending, \d+ %"))).to_be_visible()
    assert seen == sorted(seen)
    assert 0 < seen[0] < seen[-1] < 1
    expect(bar).to_be_visible()
    store.read(100)
    expect(page.get_by_role("button", name="Face 1: Unknown")).to_be_visible()
    assert store.photos == 1


def test_an_upload_that_stands_still_is_given_up_and_begun_again(
    page: Page, store: SlowStore
) -> None:
    send(page, large())
    grows_from(page, 0.0)
    page.wait_for_timeout(300)  # the buffers are full
    page.clock.fast_forward(61_000)
    expect(page.get_by_text("It goes on by itself")).to_be_visible()
    store.read(100)
    page.clock.fast_forward(2_000)
    expect(page.get_by_role("button", name="Face 1: Unknown")).to_be_visible()
    assert store.photos == 1
