"""Rows that someone may add to the two tables, of suites and of kernels: served, or refused.

One file of csrc/ is compiled with such rows and linked in front of the rest, as is
platform/: it holds the data that are hidden.
"""

import pytest
from c_core.core import CSRC, HERE, KERNELS, built, kernel_or_skip, run

from pysframe import CipherSuite

HIDDEN = " ".join(map(str, sorted((CSRC / "platform").glob("*.c"))))
FLAGS = "-std=gnu11 -O1 -Wall -Wextra -Werror"


def said_by(folder, file: str, old: str, new: str, main: str) -> list[str]:
    """What a program prints whose `file` of csrc/ has `new` in the place of `old`."""
    source = (CSRC / file).read_text()
    assert source.count(old) == 1, f"{file}: {old}"
    program = source.replace(old, new) + f"\n#include <stdio.h>\nint main(void)\n{{\n{main}\n}}\n"
    (folder / "patched.c").write_text(program)
    library = f"-I{CSRC} -I{HERE} -L{built()} -lsfr -Wl,-rpath,{built()}"
    run(f"gcc {FLAGS} {folder}/patched.c {HIDDEN} {library} -o {folder}/patched")
    return run(f"{folder}/patched").splitlines()


# ---- suites ----

# nh, nka, nk, nn, nt; the first of each kind is what the others are made from.
GCM, CTR_HMAC = (32, 0, 16, 12, 16), (32, 16, 48, 12, 10)
SERVED = [
    GCM, (64, 0, 16, 12, 16), (32, 0, 32, 12, 16), (64, 0, 32, 12, 16),
    CTR_HMAC, *((32, 16, 48, 12, nt) for nt in (4, 8, 9, 12, 16)), (64, 32, 96, 12, 16),
]  # fmt: skip
REFUSED = [
    *((32, 0, 16, 12, nt) for nt in (0, 4, 8, 10, 12, 13, 14, 15, 17, 32)),
    (20, 0, 16, 12, 16), (48, 0, 32, 12, 16), (32, 0, 24, 12, 16), (32, 0, 48, 12, 16),
    (32, 0, 16, 8, 16), (32, 0, 16, 16, 16),
    *((32, 16, 48, 12, nt) for nt in (0, 1, 3, 5, 6, 7, 17, 32)),
    (64, 16, 80, 12, 10), (32, 32, 64, 12, 10), (32, 24, 56, 12, 10), (48, 32, 80, 12, 10),
    (32, 16, 47, 12, 10), (32, 16, 16, 12, 10), (32, 16, 48, 11, 10), (32, 16, 48, 13, 10),
]  # fmt: skip


def test_rows_that_no_family_serves_are_not_found(tmp_path):
    rows = [*SERVED, *REFUSED]
    text = "".join(f"{{{100 + i}, {', '.join(map(str, row))}}}," for i, row in enumerate(rows))
    main = f'for (int i = 100; i < {100 + len(rows)}; i++) printf("%d\\n", sfr_suite_find(i) != 0);'
    table = "};\n#define SUITES"
    found = said_by(tmp_path, "hash/suites.c", table, text + table, main)
    assert found == ["1"] * len(SERVED) + ["0"] * len(REFUSED)


@pytest.mark.parametrize("row", SERVED)
def test_python_takes_what_c_takes(row):
    assert CipherSuite._new_member_(CipherSuite, 100, *row) == 100


@pytest.mark.parametrize("row", REFUSED)
def test_python_refuses_what_c_refuses(row):
    with pytest.raises(ValueError, match="no cipher family serves a suite with"):
        CipherSuite._new_member_(CipherSuite, 100, *row)


def test_a_suite_is_found_by_its_number_wherever_it_stands(tmp_path):
    row = "{4, 32, 0, 16, 12, 16},"
    main = 'printf("%d %d\\n", sfr_suite_find(4)->id, sfr_suite_find(61440)->id);'
    said = said_by(tmp_path, "hash/suites.c", row, f"{{61440, 32, 0, 16, 12, 16}}, {row}", main)
    assert said == ["4 61440"]


# ---- kernels ----

STATES = """
    sfr_init(NULL);
    for (size_t i = 0; i < sfr_kernel_count(); i++)
        printf("%s: %s\\n", kernels[i].name, sfr_kernel_reason(&kernels[i]));
    printf("%d\\n", kernels[1].ops[SFR_CTR_HMAC_128] == &sfr_ctr_hmac128_aesni);
"""


def test_a_kernel_borrows_what_it_lacks(tmp_path):
    kernel_or_skip("vaes256")
    lacking = "&sfr_gcm256_vaes256, NULL, NULL}"
    own = "&sfr_gcm256_vaes256, &sfr_ctr_hmac128_vaes256, &sfr_ctr_hmac256_vaes256}"
    said = said_by(tmp_path, "aead/dispatch.c", own, lacking, STATES)
    assert "vaes256: " in said and "aesni: " in said and said[-1] == "1"


def test_a_kernel_with_nothing_to_borrow_is_refused_in_words(tmp_path):
    own, lacking = "{&sfr_gcm128_aesni, &sfr_gcm256_aesni,", "{&sfr_gcm128_aesni, NULL,"
    said = said_by(tmp_path, "aead/dispatch.c", own, lacking, STATES)
    assert "aesni: aesni lacks a cipher family that no narrower kernel has" in said


def test_the_table_in_the_source_is_the_ladder(core):
    ffi, lib = core
    kernels = map(lib.sfr_kernel_at, range(lib.sfr_kernel_count()))
    assert tuple(ffi.string(lib.sfr_kernel_name(k)).decode() for k in kernels) == KERNELS
