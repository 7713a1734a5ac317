"""Pure decisions: calibrated probabilities, physical constraints, assignment, identity ledger."""
