"""Links: rates that follow what was measured, counts, failures in a row; one statement for all that was heard."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given
from queue_world import QueueWorld

from holdfast.operations.batches.links import RATE_S, SECONDS_MIN, Link, LinkBook, put_links, read_links
from holdfast.operations.batches.rows import ERROR_CHARS
from holdfast.operations.codes import Code

MEGABYTE = 1_000_000


def test_the_first_success_is_the_rate() -> None:
    link = Link("A", "B").after_success(2, 10 * MEGABYTE, 5.0, 7)
    assert link == Link("A", "B", 2 * MEGABYTE, 2, 10 * MEGABYTE, last_success_us=7)


def test_the_rate_follows_what_was_measured_last() -> None:
    link = Link("A", "B").after_success(1, 100 * MEGABYTE, 10.0, 0)
    after_little = link.after_success(1, MEGABYTE, 1.0, 0)
    assert 9.9 * MEGABYTE < (after_little.rate_bytes_s or 0) < 10 * MEGABYTE
    after_much = link.after_success(1, int(3 * RATE_S * MEGABYTE), 3 * RATE_S, 0)
    assert MEGABYTE < (after_much.rate_bytes_s or 0) < 1.5 * MEGABYTE


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 10**12), st.floats(0, 1e5, allow_nan=False)), min_size=1))
def test_a_rate_lies_among_what_was_measured(measured: list[tuple[int, int, float]]) -> None:
    link = Link("A", "B")
    rates = []
    for n_files, size, seconds in measured:
        link = link.after_success(n_files, size, seconds, 0)
        rates.append(size / max(seconds, n_files * SECONDS_MIN))
    assert link.rate_bytes_s is not None
    assert min(rates) * 0.999 <= link.rate_bytes_s <= max(rates) * 1.001
    assert link.size_done == sum(size for _, size, _ in measured)


def test_failures_count_in_a_row_until_a_success() -> None:
    link = Link("A", "B").after_failure(3, Code.SOURCE_FAILED, "away", 5).after_failure(1, Code.DAMAGED, "x" * 5000, 6)
    assert (link.n_failed_row, link.n_failed, link.last_code, link.last_failure_us) == (4, 4, Code.DAMAGED, 6)
    assert link.last_error == "x" * ERROR_CHARS
    after = link.after_success(1, 1, 1.0, 7)
    assert (after.n_failed_row, after.n_failed, after.last_code) == (0, 4, Code.DAMAGED)


def test_what_was_heard_is_written_and_read_again(world: QueueWorld) -> None:
    book = LinkBook()
    book.note_failure("A", "B", n_files=2, code=Code.SOURCE_FAILED, error="away", now_us=1)
    book.note_success("A", "B", n_files=4, size=8 * MEGABYTE, seconds=2.0, now_us=2)
    book.note_success("C", "B", size=MEGABYTE, seconds=1.0, now_us=3)
    book.note_failure("C", "D", code=Code.DESTINATION_FULL, error="full", now_us=4)
    expected = {
        ("A", "B"): Link("A", "B", 4 * MEGABYTE, 4, 8 * MEGABYTE, 0, 2, "away", Code.SOURCE_FAILED, 1, 2),
        ("C", "B"): Link("C", "B", MEGABYTE, 1, MEGABYTE, last_success_us=3),
        ("C", "D"): Link("C", "D", None, 0, 0, 1, 1, "full", Code.DESTINATION_FULL, 4, None),
    }
    with world.queue.write() as connection:
        assert read_links(connection) == {}
        book.write(connection)
    book.clear()
    with world.queue.read() as connection:
        assert read_links(connection) == expected
        assert read_links(connection, [("C", "D"), ("X", "Y")]) == {("C", "D"): expected["C", "D"]}
    with world.queue.write() as connection:
        book.write(connection)
        assert read_links(connection) == expected, "nothing new was heard"


def test_several_write_of_the_same_link(world: QueueWorld) -> None:
    books = [LinkBook(), LinkBook()]
    for number, book in enumerate(books):
        book.note_success("A", "B", n_files=number + 1, size=MEGABYTE, seconds=1.0, now_us=number)
    for book in books:
        with world.queue.write() as connection:
            book.write(connection)
    with world.queue.read() as connection:
        link = read_links(connection)["A", "B"]
    assert (link.n_done, link.size_done, link.rate_bytes_s) == (3, 2 * MEGABYTE, pytest.approx(MEGABYTE))


def test_a_transaction_that_is_undone_loses_nothing(world: QueueWorld) -> None:
    book = LinkBook()
    book.note_success("A", "B", size=MEGABYTE, seconds=1.0, now_us=0)

    def write_and_fail() -> None:
        with world.queue.write() as connection:
            book.write(connection)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    with world.queue.write() as connection:
        book.write(connection)
    with world.queue.read() as connection:
        assert read_links(connection)["A", "B"].n_done == 1


def test_a_book_takes_little_room_however_much_is_heard() -> None:
    book = LinkBook()
    for number in range(1000):
        book.note_success("A", "B", size=10, seconds=0.5, now_us=number)
    heard = book.applied({})["A", "B"]
    assert (heard.n_done, heard.size_done, heard.last_success_us) == (1000, 10_000, 999)
    assert sum(map(len, book._heard.values())) == 1


def test_an_inventory_has_the_links_of_many_sites(world: QueueWorld) -> None:
    names = [f"S{number:02}" for number in range(40)]
    links = [Link(source, destination, 1.5, 2, 3) for source in names for destination in names]
    with world.queue.write() as connection:
        put_links(connection, links)
        assert list(read_links(connection).values()) == links
