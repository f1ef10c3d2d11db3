"""MLflow as a projection of the ledger, and its only writer."""
