# SPDX-License-Identifier: Apache-2.0
"""Liberty files as they are written, semicolons or not."""

import pytest

from prunus.synth.pdk.liberty import LibertyError, numbers, parse

TEXT = """/* by hand
*/
library(few) {
  capacitive_load_unit (1,pf) ;
  time_unit : "1ns";
  cell (INV) { area : 5.4 ;
    pin(A[3:0]) { direction : input }
    pin (Y) {
      timing() {
        when : "(A & !B)"
        sdf_cond : "X"
        values ("1, 2", \\
                "3,4");
      }
      timing() { timing_type : rising_edge; }
    };
  }
}
"""


def test_groups_and_attributes():
    library = parse(TEXT)
    assert (library.kind, library.name) == ("library", "few")
    assert library.text("capacitive_load_unit") == "1,pf"
    assert library.text("time_unit") == "1ns"
    cell = library.first("cell")
    assert (cell.name, cell.number("area")) == ("INV", 5.4)
    assert [pin.name for pin in cell.all("pin")] == ["A[3:0]", "Y"]
    assert cell.first("pin", "A[3:0]").text("direction") == "input"
    first, second = cell.first("pin", "Y").all("timing")
    assert (first.text("when"), first.text("sdf_cond")) == ("(A & !B)", "X")
    assert numbers(first.text("values")) == [1, 2, 3, 4]
    assert second.attributes == {"timing_type": "rising_edge"}


@pytest.mark.parametrize(("text", "message"), [
    ("", "file '' has no library"),
    ("library(x) {", "library 'x' is not closed"),
    ("library(x) { } }", "no Liberty at line 1"),
    ("/* a\nb */ library(x) {\n area : 1;\n ? }", r"no Liberty at line 4: '\? }'"),
])
def test_texts_that_are_none(text, message):
    with pytest.raises(LibertyError, match=message):
        parse(text)


def test_what_is_missing_is_named():
    library = parse(TEXT)
    with pytest.raises(LibertyError, match="library 'few' has no cell NAND"):
        library.first("cell", "NAND")
    with pytest.raises(LibertyError, match="cell 'INV' has no leakage"):
        library.first("cell").number("leakage")
