"""Explanations of a prediction: activations, attribution and masked audio."""
