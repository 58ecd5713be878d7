"""The table of facts: what is right is read, and each mistake is named with its line and a remedy."""

from __future__ import annotations

from test_data import error, written

from helpers.data.facts import Fact, load_facts


def test_facts_are_read_and_checked(tmp_path):
    head = "asset,field,value,split,documents"
    good = written(tmp_path, head, 'A,site,"Here, there",trained,a;b', "B,site,Else,new,", name="facts.csv")
    assert load_facts(good) == [
        Fact("A", "site", "Here, there", "trained", ("a", "b")),
        Fact("B", "site", "Else", "new"),
    ]
    bad = written(tmp_path, head, "A,site,Here,trained,a", "A,site,,trained,a", name="bad.csv")
    assert error(load_facts, bad).startswith(":3: the column 'value' is empty. Mend the row")
    bad = written(tmp_path, head, "A,site,Here, there,trained,a", name="bad.csv")
    assert error(load_facts, bad).startswith(":2: there are more cells than columns")
    bad = written(tmp_path, "asset,field,value,documents", name="bad.csv")
    assert error(load_facts, bad).startswith(":1: the column 'split' is missing. The first line must be")
