"""Figures from arrays and rows: what features, predictions and the rows of a comparison come to.

Nothing is trained here but a linear model on features, and nothing of the library is imported but its errors.
"""
