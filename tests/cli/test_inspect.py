"""pysframe inspect: the header of RFC 9605 4.3 in words, and what is wrong with a bad one."""

import io
import json
import os
import re
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pysframe import CipherSuite, Header, MalformedFrame
from pysframe.cli import main
from pysframe.demo.anatomy import Anatomy

# The frame of RFC 9605 C.3, suite 4: KID 0x123, CTR 0x4567, 21 bytes of payload.
FRAME = "9901234567b7412c2513a1b66dbb48841bbaf17f598751176ad847681a69c6d0b091c07018ce4adb34eb"


def inspect(capsys, *words):
    status = main(["inspect", *words])
    return status, capsys.readouterr()


def inspect_json(capsys, *words):
    status, captured = inspect(capsys, "--json", *words)
    return status, json.loads(captured.out)


def test_every_bit_is_explained(capsys):
    status, captured = inspect(capsys, FRAME, "--suite", "4")
    assert status == 0
    assert captured.out.splitlines() == [
        "42 bytes from the command line, as hex",
        "byte 0        99          config byte",
        "              1... ....   X = 1: the KID has bytes of its own",
        "              .001 ....   K = 1: KID length - 1, so 2 bytes",
        "              .... 1...   Y = 1: the CTR has bytes of its own",
        "              .... .001   C = 1: CTR length - 1, so 2 bytes",
        "bytes 1-2     0123        KID = 291 (0x123)",
        "bytes 3-4     4567        CTR = 17767 (0x4567)",
        "bytes 5-25    b7412c25..  ciphertext",
        "bytes 26-41   47681a69..  tag",
        "",
        "Well-formed: KID 291, CTR 17767 in 5 bytes, 21 bytes of ciphertext, 16 of tag",
    ]


def test_as_json(capsys):
    status, found = inspect_json(capsys, FRAME, "--suite", "AES_128_GCM_SHA256_128")
    assert status == 0 and found["ok"] and found["problems"] == []
    assert (found["kid"], found["kid_hex"], found["ctr"]) == (0x123, "123", 0x4567)
    assert found["config_bits"] == {"X": 1, "K": 1, "Y": 1, "C": 1}
    sizes = (found["header_size"], found["payload_size"], found["tag_size"])
    assert sizes == (5, 21, CipherSuite.AES_128_GCM_SHA256_128.Nt)


@pytest.mark.parametrize(
    ("given_hex", "problem"),
    [
        ("", "there is no header"),
        ("0805", "the CTR 5 has its own bytes; values 0-7 go into the config byte"),
        ("8003", "the KID 3 has its own bytes; values 0-7 go into the config byte"),
        ("90000a", "the KID 0xa starts with a zero byte"),
        ("0900ff", "the CTR 0xff starts with a zero byte"),
        ("99", "the KID has 2 bytes, and only 0 are there"),
        ("990123", "the CTR has 2 bytes, and only 0 are there"),
        ("9901234567 --suite 4", "the tag has 16 bytes, and only 0 are there"),
        ("99012345ff --clear 4", "the KID has 8 bytes, and only 0 are there"),
        ("99 --clear 5", "5 clear bytes were named, and it has 1"),
    ],
)
def test_what_is_wrong_is_said(capsys, given_hex, problem):
    digits, *options = given_hex.split(" ")
    status, captured = inspect(capsys, digits, *options)
    assert status == 1 and f"WRONG: {problem}" in captured.out
    status, found = inspect_json(capsys, digits, *options)
    assert status == 1 and not found["ok"] and any(problem in each for each in found["problems"])


def test_the_shortest_form_is_shown(capsys):
    assert "demands the shortest form, 192345; this is 9900012345" in (
        inspect(capsys, "99000123456700")[1].out
    )


def test_where_the_bytes_come_from(capsys, tmp_path, monkeypatch):
    raw, text = tmp_path / "frame.bin", tmp_path / "frame.txt"
    raw.write_bytes(bytes.fromhex(FRAME))
    text.write_text("0x99, 0x01, 0x23,\n45:67 b7\n")
    assert inspect_json(capsys, str(raw))[1]["ctr"] == 0x4567
    assert inspect_json(capsys, str(text))[1]["ctr"] == 0x4567
    for content in (raw.read_bytes(), text.read_bytes()):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        assert inspect_json(capsys, "-")[1]["ctr"] == 0x4567


@pytest.mark.parametrize("size", [1, 127, 128, 255, 256, 2048, 60_000])
@pytest.mark.parametrize("separator", ["", ":", " ", "\n"])
def test_hex_of_any_length(capsys, size, separator):
    """Past 255 characters hex is no file name, past 4095 no path; nobody asks whether it is one."""
    frame = bytes.fromhex("9901234567")[:size].ljust(size, b"\xab")
    status, captured = inspect(capsys, frame.hex(*(separator or ())))
    count = "1 byte" if size == 1 else f"{size} bytes"
    assert captured.out.startswith(f"{count} from the command line, as hex\n")
    assert status == (1 if size == 1 else 0)


def test_a_file_whose_name_is_hex_comes_first(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "00").write_bytes(bytes.fromhex(FRAME))
    assert inspect(capsys, "00")[1].out.startswith("42 bytes from 00\n")
    (tmp_path / "99").mkdir()
    assert "from the command line, as hex" in inspect(capsys, "99")[1].out


def test_what_is_no_regular_file_is_read(capsys, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for content in (bytes.fromhex(FRAME), FRAME.encode()):
        writer = threading.Thread(target=pipe.write_bytes, args=(content,))
        writer.start()
        assert inspect_json(capsys, str(pipe))[1]["ctr"] == 0x4567
        writer.join()
    reading, writing = os.pipe()
    os.write(writing, FRAME.encode())
    os.close(writing)
    assert inspect_json(capsys, f"/dev/fd/{reading}")[1]["ctr"] == 0x4567
    os.close(reading)


def test_an_empty_file_holds_no_header(capsys, tmp_path):
    (tmp_path / "empty").touch()
    status, captured = inspect(capsys, str(tmp_path / "empty"))
    assert status == 1 and "WRONG: there is no header" in captured.out


def test_the_columns_stay_apart_for_large_frames(capsys, tmp_path):
    """The positions of a video frame's bytes are wider than their column."""
    (tmp_path / "frame").write_bytes(bytes.fromhex("9901234567") + bytes(2_000_000))
    out = inspect(capsys, str(tmp_path / "frame"))[1].out
    assert re.search(r"^bytes 5-2000004 00000000\.\. +ciphertext and tag$", out, re.M)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (".", "Is a directory"),
        ("/dev/zero", "holds more than 64 MiB, which is no single frame"),
        ("ab/" * 1500, "is neither a file nor hex digits"),
        ("xy" * 200, "is neither a file nor hex digits"),
    ],
)
def test_what_is_neither_is_said_in_one_line(capsys, name, why):
    status, captured = inspect(capsys, name)
    assert status == 2 and captured.out == "" and why in captured.err
    assert captured.err.count("\n") == 1 and len(captured.err) < 150


def test_kid_layouts(capsys):
    assert inspect_json(capsys, "990211456700", "--mls", "4,6")[1]["kid_fields"] == {
        "epoch": 1,
        "sender_index": 33,
        "context": 0,
    }
    status, captured = inspect(capsys, "990211456700", "--ratchet", "4")
    assert status == 0 and "KID: generation 33, ratchet_step 1" in captured.out


@pytest.mark.parametrize(
    "words",
    [
        ["no-such-file"],
        ["123"],
        ["00", "--suite", "9"],
        ["00", "--suite", "AES"],
        ["00", "--mls", "60,60"],
        ["00", "--mls", "4"],
        ["00", "--ratchet", "x"],
        ["00", "--clear", "-1"],
    ],
)
def test_wrong_usage_exits_2(capsys, words):
    status, captured = inspect(capsys, *words)
    assert status == 2 and captured.out == "" and captured.err.startswith("pysframe inspect: ")


@given(st.binary(max_size=24))
def test_it_agrees_with_the_library(data):
    anatomy = Anatomy.of(data)
    try:
        header = Header.parse(data)
    except MalformedFrame:
        assert anatomy.problems
    else:
        assert not anatomy.problems
        assert (anatomy.kid, anatomy.ctr, anatomy.size) == (header.kid, header.ctr, header.size)


@given(st.binary(max_size=40), st.integers(0, 4), st.sampled_from([None, 4, 16]))
def test_every_byte_is_shown_once(data, clear, tag):
    anatomy = Anatomy.of(data, clear=clear, tag=tag)
    shown = b"".join(field.data for field in anatomy.fields)
    assert shown == data or (anatomy.size is None and data.startswith(shown))
