"""Tables of the site: what is asked for never becomes SQL, but for names of the table itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invirt.web import site

WORDS = st.dictionaries(
    st.sampled_from(["words", "order", "page", "state", "host", "owner", "x"]),
    st.text(max_size=40),
    max_size=7,
)


@given(WORDS, st.sampled_from(sorted(site.LISTS)))
def test_only_names_of_the_table_become_sql(values: dict[str, str], name: str) -> None:
    table = site.LISTS[name]
    query, asked, shown = site.query(table, values)
    plain, _, _ = site.query(table, {})
    own = set(table.columns.values()) | {table.order.lstrip("-"), *table.filters, *table.searched}
    left = query
    for known in sorted(own, key=len, reverse=True):
        left = left.replace(known, "")
    for given_word in (value for value in values.values() if len(value) > 3 and not value.isascii()):
        assert given_word not in left
    assert set(asked) <= {"words", *table.filters} and 1 <= shown["page"] <= 10_000
    assert plain.startswith(query[: query.index(" WHERE ")])


@pytest.mark.parametrize(("typed", "sought"), [("a%b", r"%a\%b%"), ("_", r"%\_%"), ("\\", r"%\\%")])
def test_words_are_sought_as_they_are(typed: str, sought: str) -> None:
    _, asked, _ = site.query(site.LISTS["machines"], {"words": typed})
    assert asked["words"] == sought


def test_an_order_that_is_none_is_the_table_s() -> None:
    for order in ("name; DROP TABLE machines", "--name", "machine_id", ""):
        assert site.query(site.LISTS["machines"], {"order": order})[2]["order"] == "name"
    assert site.query(site.LISTS["machines"], {"order": "-memory"})[2]["order"] == "-memory"
