"""CipherSuite: the registry's numbers, names and sizes."""

import pytest
from figures import everywhere

from pysframe.errors import MisuseError
from pysframe.suites import CipherSuite


@pytest.mark.parametrize("row", everywhere("suites"), ids=lambda row: row["name"])
def test_number_name_and_sizes_are_those_of_the_registry(row):
    suite = CipherSuite(row["id"])
    assert suite.name == row["name"]
    assert (suite.Nh, suite.Nka, suite.Nk) == (row["nh"], row["nka"] or 0, row["nk"])
    assert (suite.Nn, suite.Nt) == (row["nn"], row["nt"])
    assert suite.hash_name == row["hash"]
    assert suite.is_gcm == (row["mode"] == "gcm")


def test_there_are_no_others():
    assert {suite.value for suite in CipherSuite} == {row["id"] for row in everywhere("suites")}


@pytest.mark.parametrize("suite", CipherSuite, ids=lambda suite: suite.name)
def test_sizes_fit_together(suite):
    assert suite.max_overhead == 17 + suite.Nt
    assert suite.Nk == (suite.Nka + suite.Nh if suite.Nka else suite.Nk)
    assert suite.has_short_tag == suite.name.endswith("_32")
    assert suite.name.endswith(f"_{8 * suite.Nt}")


def test_a_suite_is_its_number():
    assert CipherSuite.AES_128_GCM_SHA256_128 == 4
    assert CipherSuite(CipherSuite.AES_128_GCM_SHA256_128) is CipherSuite.AES_128_GCM_SHA256_128


@pytest.mark.parametrize("number", [0, 9, -1, 0xF000, "4", None, 4.5])
def test_an_unknown_suite_is_refused_with_the_list_of_suites(number):
    with pytest.raises(MisuseError, match="4 AES_128_GCM_SHA256_128"):
        CipherSuite(number)
