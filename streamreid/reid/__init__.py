"""Person re-identification networks, the QAConv matching layer, its fast scoring and its weights."""
