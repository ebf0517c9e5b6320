"""Run an export in a process that has no Keras, in the three ways there are.

    python load_without_keras.py VERSION JOB.json RESULT.npz

Through TensorFlow's C API, before Python's TensorFlow is imported; then with
`tf.saved_model.load` and with the loader of TensorFlow 1. Prints what
`saved_model_cli show --all` prints.
"""

import ctypes
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np

FLOAT, STRING = 1, 7  # TF_DataType
STRING_SIZE = 24  # sizeof(TF_TString)


class Buffer(ctypes.Structure):
    """TF_Buffer."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("deallocator", ctypes.c_void_p),
    )


class Output(ctypes.Structure):
    """TF_Output."""

    _fields_ = (("operation", ctypes.c_void_p), ("index", ctypes.c_int))


class CApi:
    """The C API of TensorFlow, as far as it loads and runs a SavedModel."""

    def __init__(self):
        package = Path(importlib.util.find_spec("tensorflow").origin).parent
        self.library = ctypes.CDLL(str(package / "libtensorflow_cc.so.2"))
        self.status = self.pointer("TF_NewStatus")()

    def pointer(self, name):
        """Return a function that returns a pointer."""
        function = getattr(self.library, name)
        function.restype = ctypes.c_void_p
        return function

    def check(self):
        """Raise if the last call failed."""
        if self.library.TF_GetCode(ctypes.c_void_p(self.status)):
            message = self.library.TF_Message
            message.restype = ctypes.c_char_p
            raise RuntimeError(message(ctypes.c_void_p(self.status)).decode())

    def operations(self):
        """Return the operations that are linked in, a serialized OpList."""
        buffer = Buffer.from_address(self.pointer("TF_GetAllOpList")())
        return ctypes.string_at(buffer.data, buffer.length)

    def load(self, version):
        """Return a session and its graph."""
        graph = ctypes.c_void_p(self.pointer("TF_NewGraph")())
        options = ctypes.c_void_p(self.pointer("TF_NewSessionOptions")())
        tags = (ctypes.c_char_p * 1)(b"serve")
        session = self.pointer("TF_LoadSessionFromSavedModel")(
            options,
            None,
            version.encode(),
            tags,
            1,
            graph,
            None,
            ctypes.c_void_p(self.status),
        )
        self.check()
        return ctypes.c_void_p(session), graph

    def output(self, graph, tensor):
        """Return the output of an operation that a tensor's name means."""
        name, index = tensor.split(":")
        operation = self.pointer("TF_GraphOperationByName")(graph, name.encode())
        if not operation:
            raise RuntimeError(f"no operation {name}")
        return Output(operation, int(index))

    def tensor(self, values):
        """Return a TF_Tensor of floats or strings."""
        shape = (ctypes.c_int64 * values.ndim)(*values.shape)
        is_string = values.dtype.kind == "S"
        size = values.size * STRING_SIZE if is_string else values.nbytes
        tensor = self.pointer("TF_AllocateTensor")(
            STRING if is_string else FLOAT, shape, values.ndim, ctypes.c_size_t(size)
        )
        data = self.data(tensor)
        if not is_string:
            ctypes.memmove(data, values.tobytes(), size)
            return tensor
        for i, value in enumerate(values.reshape(-1).tolist()):
            place = ctypes.c_void_p(data + i * STRING_SIZE)
            self.library.TF_StringInit(place)
            self.library.TF_StringCopy(place, value, ctypes.c_size_t(len(value)))
        return tensor

    def data(self, tensor):
        """Return the address of a tensor's data."""
        return self.pointer("TF_TensorData")(ctypes.c_void_p(tensor))

    def array(self, tensor):
        """Return the values of a TF_Tensor of floats or strings."""
        pointer = ctypes.c_void_p(tensor)
        length = self.library.TF_Dim
        length.restype = ctypes.c_int64
        shape = [length(pointer, i) for i in range(self.library.TF_NumDims(pointer))]
        data, count = self.data(tensor), int(np.prod(shape))
        if self.library.TF_TensorType(pointer) == FLOAT:
            values = np.frombuffer(ctypes.string_at(data, 4 * count), np.float32)
            return values.reshape(shape)
        strings = []
        for i in range(count):
            place = ctypes.c_void_p(data + i * STRING_SIZE)
            address = self.pointer("TF_StringGetDataPointer")(place)
            size = self.library.TF_StringGetSize
            size.restype = ctypes.c_size_t
            strings.append(ctypes.string_at(address, size(place)))
        return np.array(strings).reshape(shape)

    def run(self, session, graph, inputs, outputs):
        """Run a session: arrays by tensor name in, tensor names to arrays out."""
        feeds = (Output * len(inputs))(*(self.output(graph, t) for t in inputs))
        values = (ctypes.c_void_p * len(inputs))(*map(self.tensor, inputs.values()))
        fetches = (Output * len(outputs))(*(self.output(graph, t) for t in outputs))
        results = (ctypes.c_void_p * len(outputs))()
        self.library.TF_SessionRun(
            session,
            None,
            feeds,
            values,
            len(inputs),
            fetches,
            results,
            len(outputs),
            None,
            0,
            None,
            ctypes.c_void_p(self.status),
        )
        self.check()
        return [self.array(result) for result in results]


def main(version, job_file, result_file):
    """Run every signature in three ways, and save what they answer."""
    job = json.loads(Path(job_file).read_text())
    for signature in job.values():
        arrays = np.load(signature["arrays"])
        signature["arrays"] = {name: arrays[name] for name in arrays}
    results = {}

    def keep(way, name, answers):
        for output, values in zip(job[name]["outputs"], answers, strict=True):
            results[f"{way} {name} {output}"] = values

    def feeds(signature):
        return {
            tensor: signature["arrays"][name]
            for name, tensor in signature["inputs"].items()
        }

    api = CApi()
    session, graph = api.load(version)
    for name, signature in job.items():
        tensors = list(signature["outputs"].values())
        keep("C", name, api.run(session, graph, feeds(signature), tensors))
    linked = api.operations()
    assert "tensorflow" not in sys.modules

    for blocked in ("keras", "keras_dos", "tf_keras"):
        sys.modules[blocked] = None
    import tensorflow as tf
    from tensorflow.core.framework import op_def_pb2
    from tensorflow.python.tools import saved_model_cli

    functions = tf.saved_model.load(version).signatures
    for name, signature in job.items():
        tensors = {key: tf.constant(v) for key, v in signature["arrays"].items()}
        answers = functions[name](**tensors)
        keep("v2", name, [answers[key].numpy() for key in signature["outputs"]])
    with tf.Graph().as_default(), tf.compat.v1.Session() as v1:
        tf.compat.v1.saved_model.load(v1, ["serve"], version)
        for name, signature in job.items():
            tensors = list(signature["outputs"].values())
            keep("v1", name, v1.run(tensors, feeds(signature)))
    names = [op.name for op in op_def_pb2.OpList.FromString(linked).op]
    np.savez(
        result_file,
        linked=names,
        **{
            key: values.astype("S") if values.dtype == object else values
            for key, values in results.items()
        },
    )
    sys.argv = ["saved_model_cli", "show", "--dir", version, "--all"]
    saved_model_cli.main()


if __name__ == "__main__":
    main(*sys.argv[1:])
