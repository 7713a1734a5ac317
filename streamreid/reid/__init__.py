"""Person re-identification: networks, the QAConv matching layer, fast scoring, weights."""
