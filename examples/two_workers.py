"""Train on two workers: here two processes of this machine, elsewhere two machines.

Started without TF_CONFIG it starts both workers and waits for them. On a cluster, start
it once per machine with TF_CONFIG set, as docs/distributed.md says.

    python examples/two_workers.py
"""

import json
import os
import socket
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def start_two() -> int:
    """Start both workers; return the first error code."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()  # The workers open them again.
    workers = []
    for index in range(2):
        task = {"type": "worker", "index": index}
        config = json.dumps({"cluster": {"worker": addresses}, "task": task})
        environment = os.environ | {"TF_CONFIG": config}
        workers.append(subprocess.Popen([sys.executable, __file__], env=environment))
    return max(abs(worker.wait()) for worker in workers)


def train() -> None:
    """Train as one of the workers."""
    import tensorflow as tf

    # Before anything else touches TensorFlow's devices.
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    index = strategy.cluster_resolver.task_id

    import keras
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    from keras_dos import DOSModel, OverloadingCallback, make_imbalanced

    x, y = load_digits(return_X_y=True)
    x, x_test, y, y_test = train_test_split(x / 16, y, test_size=0.3, random_state=0)
    kept = make_imbalanced(y, reduction_rate=0.8, minority=range(4))
    with strategy.scope():
        keras.utils.set_random_seed(0)  # The same weights on every worker.
        inputs = keras.Input((64,))
        embedding = keras.layers.Dense(64, activation="relu")(inputs)
        p = keras.layers.Dense(10, activation="softmax")(embedding)
        model = DOSModel(inputs, {"embedding": embedding, "probabilities": p})
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(
        x[kept],
        y[kept],
        batch_size=64,  # 32 on each of two workers.
        epochs=18,
        validation_data=(x_test, y_test),
        callbacks=[OverloadingCallback(k=5)],
        verbose=2 if index == 0 else 0,
    )
    loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"worker {index}: test accuracy {accuracy:.4f}, loss {loss:.4f}", flush=True)


if __name__ == "__main__":
    if "TF_CONFIG" in os.environ:
        train()
    else:
        sys.exit(start_two())
