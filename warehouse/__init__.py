"""Storage and questions: typed tables in a DuckLake, marts in SQL, a read-only SQL sandbox.

Imports nothing else of the project, no torch and no prefect. `lake` writes, `read` answers,
`workbench` runs SQL that a person typed, `checks` looks for rows that break a rule; `tables` says
what there is.
"""
