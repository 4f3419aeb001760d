"""What members and a service send each other: read back as it was, and nothing else is read."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pysframe.keyservice import Refusal, Refused, SealedKey
from pysframe.keyservice.entries import After, Entry, Have, Joined, Left, Need, Renewed
from pysframe.keyservice.wire import (
    body_of,
    read_entry,
    read_post,
    write_body,
    write_entry,
    write_post,
)

POSTS = [
    Renewed(0, "a.b.c", "d.e.f"),
    SealedKey("a.b.c", {"bob": b"sealed", "carol": b""}),
    Have("alice", "bob", 3, 64),
    Need("alice", "bob"),
    After(17),
    Left(0, "alice"),
]
BODIES = [Joined(8, 3, "a.b.c", "d.e.f"), Renewed(8, "a.b.c", "d.e.f"), Left(8, "bob"), *POSTS[1:4]]
NAMES = [type(value).__name__ for value in POSTS]


@pytest.mark.parametrize("post", POSTS, ids=NAMES)
def test_a_post_is_read_as_it_was_written(post):
    assert read_post(write_post(post)) == post


@pytest.mark.parametrize("body", BODIES, ids=lambda body: type(body).__name__)
def test_an_entry_is_read_as_it_was_written(body):
    stored = write_body(body)
    index = getattr(body, "index", 0)
    assert body_of(stored, 8, index) == body
    assert read_entry(write_entry(12, 8, index, stored)) == Entry(12, body)


def test_nobody_posts_that_somebody_has_joined():
    with pytest.raises(Refused, match="type of the message must be one of"):
        read_post(write_body(Joined(1, 0, "a.b.c", "d.e.f")))


@pytest.mark.parametrize("post", POSTS, ids=NAMES)
def test_a_field_too_many_too_few_or_of_another_type_is_refused(post):
    fields = json.loads(write_post(post))
    for field in fields:
        for changed in (
            {key: value for key, value in fields.items() if key != field},
            {**fields, field: None},
            {**fields, field + "x": 1},
        ):
            with pytest.raises(Refused) as caught:
                read_post(json.dumps(changed).encode())
            assert caught.value.reason in (Refusal.MALFORMED, Refusal.VERSION)


def test_what_is_too_long_is_refused():
    for post in (Renewed(0, "a" * 4097, "b"), Renewed(0, "a", "b" * 4097)):
        with pytest.raises(Refused) as caught:
            read_post(write_post(post))
        assert caught.value.reason is Refusal.LIMIT
    with pytest.raises(Refused, match="longer than"):
        read_post(b" " * (1 << 20) + b"{}")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
)


@given(st.sampled_from(POSTS), st.data())
def test_any_value_in_any_field_is_read_or_refused(post, data):
    fields = json.loads(write_post(post))
    fields[data.draw(st.sampled_from([*fields]))] = data.draw(JSON)
    for read, text in (
        (read_post, fields),
        (
            read_entry,
            {"v": 1, "type": "entry", "seq": 1, "revision": 1, "index": 0, "body": fields},
        ),
    ):
        try:
            read(json.dumps(text).encode())
        except Refused as refusal:
            assert str(refusal)
