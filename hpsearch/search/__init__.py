"""Searching a study: from a study file, or from the ledger, to its end."""
