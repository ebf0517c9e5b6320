"""Deep Over-sampling for Keras."""
