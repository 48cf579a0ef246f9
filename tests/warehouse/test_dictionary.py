"""The dictionary is true, and every SQL file documents itself."""

import duckdb
import pytest

from warehouse import dictionary
from warehouse.relations import relations


def test_the_dictionary_is_up_to_date():
    assert dictionary.FILE.read_text(encoding="utf-8") == dictionary.text()


@pytest.mark.parametrize("kind", ["staging", "marts", "checks"])
def test_every_sql_file_is_one_select_that_starts_with_its_grain(kind):
    files = relations(kind)
    assert len(files) >= 5
    for relation in files.values():
        assert relation.sql.startswith("-- One row per "), relation.name
        (statement,) = duckdb.extract_statements(relation.sql)
        assert statement.type == duckdb.StatementType.SELECT


def test_every_column_of_every_view_is_documented():
    columns = dictionary.columns_of_views()
    for relation in (*relations("staging").values(), *relations("marts").values()):
        names = [name for name, _ in columns[relation.name]]
        assert names and len(set(names)) == len(names)
        for name in names:
            assert dictionary.meaning_of(relation, name), f"{relation.name}.{name}"
        assert set(relation.meanings) <= set(names), relation.name
