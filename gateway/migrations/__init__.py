"""The city's tables as a chain of revisions, for SQLite and PostgreSQL alike.

``gateway.schema`` runs them; ``scripts/new_revision.py`` writes the next one.
"""
