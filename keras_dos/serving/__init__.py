"""From a trained model to a folder that TensorFlow Serving serves."""

from keras_dos.serving.export import export_servable

__all__ = ["export_servable"]
