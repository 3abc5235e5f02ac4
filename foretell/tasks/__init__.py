"""Labelled tasks on text: what a sample is, how it becomes tokens, its head, loss and score."""
