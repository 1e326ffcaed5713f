"""Recognise weights files of other frameworks by name, first bytes and last bytes, for error messages only."""

from pathlib import Path

SSTABLE_MAGIC = bytes.fromhex("57fb808b247547db")  # the last bytes of every TensorFlow V1 checkpoint and V2 .index


def describe_format(file: Path) -> str:
    """Name the format of a file that is not valid safetensors: "a TensorFlow checkpoint"."""
    if file.is_dir():
        return "a folder"
    try:
        with file.open("rb") as stream:
            head = stream.read(64)
            stream.seek(max(0, file.stat().st_size - 8))
            tail = stream.read()
    except OSError as error:
        return f"a file that cannot be read ({error.strerror})"
    if not head:
        return "an empty file"
    if tail == SSTABLE_MAGIC or ".ckpt" in file.name or ".data-" in file.name:
        return "a TensorFlow checkpoint"
    if file.suffix == ".pb" or _is_graph(head):
        return "a TensorFlow graph"
    if head.startswith(b"\x89HDF"):
        return "a Keras or HDF5 file"
    if head.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04")):
        return "a pickle (PyTorch's .pth or .pt)"
    return "not safetensors, or damaged"


def _is_graph(head: bytes) -> bool:
    """Whether this is a frozen GraphDef (protobuf): it starts with a node (field 1), which starts with its name (field 1)."""
    position = next((i + 1 for i, byte in enumerate(head[1:11], 1) if byte < 0x80), 0)  # after the node's length, a varint
    name = head[position + 2 : position + 5]
    return head[0] == 0x0A and position > 0 and head[position] == 0x0A and len(name) == 3 and name.isascii() and name.isalnum()
