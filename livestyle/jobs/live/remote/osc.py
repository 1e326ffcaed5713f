"""Receive OSC messages by UDP, in a thread of their own."""

import re
import socket
import struct
from collections.abc import Iterator
from threading import Event

from livestyle.errors import DeviceError, InputError
from livestyle.jobs.live.remote.messages import QUEUE_LENGTH, Message, check_message
from livestyle.streaming.channel import Channel

LOOPBACK = "127.0.0.1"
LARGEST_PACKET = 4096  # bytes
DEEPEST_BUNDLE = 4  # of nested bundles
POLL_SECONDS = 0.1
"""The longest time for which the thread waits for a packet before it checks whether to end."""
PAUSE_SECONDS = 0.01
"""The thread pauses after every QUEUE_LENGTH messages, as a flood of them would take a core from painting."""

BUNDLE = b"#bundle\0"
MESSAGE = re.compile(rb"(/[ -~]*\0{1,4})(,[ifhdsTF]*\0|\Z)")
"""The address of a message, and types of arguments that a control may take. python-osc prints a line for each unknown type."""


class OscReceiver:
    """Receives the messages of OSC programs at a UDP port.

    address: "PORT" for messages from this machine only, or "HOST:PORT" to receive at another address of this machine;
        0.0.0.0 is all of them. Port 0 is a free one.

    Raises InputError if the address is not of this form, DeviceError if nothing can be received there or python-osc is missing.
    """

    def __init__(self, address: str) -> None:
        try:
            from pythonosc.osc_message import OscMessage
        except ImportError as error:
            raise DeviceError("OSC needs python-osc; pip install python-osc") from error
        self._parse = OscMessage
        self._closing = Event()
        self._socket = _bind(*parse_address(address))
        self.port: int = self._socket.getsockname()[1]
        self._received = Channel(self._receive(), QUEUE_LENGTH, drop_oldest=True)

    @property
    def dropped(self) -> int:
        """Messages dropped because newer ones arrived before they were read."""
        return self._received.dropped

    def received(self) -> list[Message | InputError]:
        """Return the messages since the last call, and an error for each wrong one. Raises DeviceError if the port failed."""
        return self._received.poll_all()

    def close(self) -> None:
        """End the thread and free the port. Idempotent."""
        self._closing.set()
        self._received.close()
        self._socket.close()

    def _receive(self) -> Iterator[Message | InputError]:
        messages = 0
        while not self._closing.is_set():
            try:
                packet = self._socket.recv(2**16)  # as large as a packet can be: Windows raises an error for a larger packet
            except TimeoutError:
                continue
            except OSError as error:
                raise DeviceError(f"OSC messages are no longer received: {error.strerror or error}") from error
            for message in self._messages(packet):
                yield message
                messages += 1
                if messages % QUEUE_LENGTH == 0:
                    self._closing.wait(PAUSE_SECONDS)

    def _messages(self, packet: bytes) -> Iterator[Message | InputError]:
        """Check the messages of a packet, at once whatever their time tags."""
        try:
            if len(packet) > LARGEST_PACKET:
                raise InputError(f"an OSC packet has more than {LARGEST_PACKET} bytes")
            parts = list(split_bundle(packet))
        except InputError as error:
            yield error
            return
        for part in parts:
            try:
                begin = MESSAGE.match(part)
                if begin is None or begin.end(1) % 4:  # each string is padded to a multiple of 4 bytes
                    raise InputError("an OSC message is damaged, or has arguments other than a number, a text, true or false")
                try:
                    message = self._parse(part)
                    address, arguments = message.address, message.params
                except Exception as error:  # the bytes come from outside; python-osc's ParseError is not all that it raises
                    raise InputError("an OSC message is damaged") from error
                yield check_message(address, arguments)
            except InputError as error:
                yield error


def split_bundle(packet: bytes, depth: int = 0) -> Iterator[bytes]:
    """Yield the messages of an OSC packet: those of a bundle, which may contain bundles, or the packet itself.

    python-osc's own parser of bundles never ends if the size of a part is negative.

    Raises InputError if the size of a part is wrong, or the bundles are nested too deeply.
    """
    if not packet.startswith(BUNDLE):
        yield packet
        return
    if depth == DEEPEST_BUNDLE or len(packet) < 16:
        raise InputError("an OSC bundle is damaged, or nested too deeply")
    start = 16  # after the time tag
    while start < len(packet):
        size = struct.unpack_from(">i", packet, start)[0] if start + 4 <= len(packet) else 0
        if not 0 < size <= len(packet) - start - 4:
            raise InputError("an OSC bundle is damaged")
        yield from split_bundle(packet[start + 4 : start + 4 + size], depth + 1)
        start += 4 + size


def parse_address(address: str) -> tuple[str, int]:
    """Parse "PORT", "HOST:PORT" or "[IPV6]:PORT" into host and port. Raises InputError."""
    host, colon, port = address.rpartition(":")
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535 or (colon and not host):
        raise InputError(f"{address!r:.60} is not an OSC address; write a port, such as 9000, or HOST:PORT")
    return host.removeprefix("[").removesuffix("]") or LOOPBACK, int(port)


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.settimeout(POLL_SECONDS)
            bound.bind(address)
        except OSError:
            bound.close()
            raise
    except (OSError, UnicodeError) as error:  # UnicodeError: a host name that cannot be encoded
        reason = getattr(error, "strerror", None) or error
        raise DeviceError(
            f"cannot receive OSC messages at {host}:{port}: {reason}; use another port, or an address of this machine"
        ) from error
    return bound
