"""What the network based a prediction on: activations, attribution, masked audio."""
