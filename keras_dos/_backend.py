"""The one backend this package runs on, checked before any other import."""

import os


def require_tensorflow_backend() -> None:
    """Raise unless Keras runs on TensorFlow.

    The environment variable is read first: with a backend that is not installed,
    `import keras` itself would fail with a message that names neither package.

    Raises:
        ImportError: If Keras is set to another backend.
    """
    backend = os.environ.get("KERAS_BACKEND")
    if not backend:
        import keras

        backend = keras.config.backend()
    if backend != "tensorflow":
        raise ImportError(
            "keras_dos needs the TensorFlow backend of Keras: its training data is a "
            "tf.data pipeline. Set the environment variable KERAS_BACKEND=tensorflow "
            "before the first `import keras`, or change `backend` in "
            f"~/.keras/keras.json. Received: KERAS_BACKEND={backend!r}."
        )
