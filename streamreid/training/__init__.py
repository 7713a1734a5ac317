"""Training QAConv: losses, graph sampling, augmentation, the trainer."""
