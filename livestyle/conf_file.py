"""Read YAML from an untrusted file: text, numbers, lists and mappings only.

Aliases are refused because they can expand without limit or form loops, tags because they can run code.
"""

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml.reader import Reader

from livestyle.errors import LivestyleError

MAX_BYTES = 128 * 2**10  # PyYAML parses this much in some seconds
MAX_DEPTH = 8  # of nested mappings and lists
MAX_NUMBER_LENGTH = 100  # characters; int() raises ValueError for 5,000 digits

Keys = tuple[str, ...]


@dataclass(frozen=True)
class ConfFile:
    """The content of a conf file."""

    values: dict[str, Any]
    lines: dict[Keys, int]
    """The line number, from 1, of every key and of every list entry: ("styles", "wave") -> 12, ("style_layers", "0") -> 20."""


def read_conf_file(path: Path, error: type[LivestyleError], kind: str = "conf file") -> ConfFile:
    """Read a conf file, or another file of this format. Keys are text as written; values are text, int, float, bool, None, lists
    or mappings.

    kind: what the file is, for messages.

    Dates are text. Anchors, aliases, tags, merge keys, duplicate keys, large files and deep nesting are refused. Raises `error`;
    the message names the file and the line, and says what to write.
    """
    data = _read_bytes(path, error, kind)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        line = data.count(b"\n", 0, cause.start) + 1
        raise error(f"{path}, line {line}: not UTF-8; save the file as UTF-8") from cause
    if found := Reader.NON_PRINTABLE.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise error(f"{path}, line {line}: the character U+{ord(found[0]):04X} is not text; delete it")
    return _Parser(path, text, error, kind).document()


def _read_bytes(path: Path, error: type[LivestyleError], kind: str) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # reading a pipe or a device can block or never end
            raise error(f"{path} is not a file; name a {kind}")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as cause:
        raise error(f"cannot read the {kind} {path}: {getattr(cause, 'strerror', None) or cause}") from cause
    if len(data) > MAX_BYTES:
        raise error(f"{path} is larger than {MAX_BYTES >> 10} KiB, the maximum for a {kind}")
    return data


class _Parser:
    """Builds values from PyYAML's events, and checks each event before it builds anything from it."""

    def __init__(self, path: Path, text: str, error: type[LivestyleError], kind: str) -> None:
        self.path, self.lines, self.error, self.kind = path, dict[Keys, int](), error, kind
        self.loader = yaml.SafeLoader(text)

    def document(self) -> ConfFile:
        """Parse the file's only document."""
        self._next()  # StreamStart
        if not isinstance(self._next(), yaml.DocumentStartEvent):
            raise self.error(f"{self.path} is not a {self.kind}: it has no keys")
        values = self._value(self._next(), ())
        self._next()  # DocumentEnd
        event = self._next()
        if not isinstance(event, yaml.StreamEndEvent):
            raise self._error(event, f"a second document begins; a {self.kind} has one")
        if not isinstance(values, dict):
            raise self.error(f"{self.path} is not a {self.kind}: it has no keys")
        return ConfFile(values, self.lines)

    def _next(self) -> Any:
        try:
            return self.loader.get_event()  # type: ignore[no-untyped-call]
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            raise self._error_at(mark, f"not YAML: {error.problem or error.context}") from error
        except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:  # numbers in %YAML and in escapes
            raise self._error_at(self.loader.get_mark(), "not YAML") from error

    def _check(self, event: Any) -> None:
        """Raise an error if the YAML event has an anchor, an alias or a tag, which a conf file may not contain."""
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise self._error(event, "anchors (&) and aliases (*) are not supported; write the value out, or quote it")
        if event.tag is not None:
            raise self._error(event, f"the tag {event.tag.replace('tag:yaml.org,2002:', '!!')!r:.40} is not supported; delete it")

    def _value(self, event: Any, keys: Keys) -> Any:
        self._check(event)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if len(keys) >= MAX_DEPTH:
            raise self._error(event, f"nested deeper than {MAX_DEPTH} levels, the maximum for a {self.kind}")
        return self._list(keys) if isinstance(event, yaml.SequenceStartEvent) else self._mapping(keys)

    def _list(self, keys: Keys) -> list[Any]:
        entries: list[Any] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            inside = (*keys, str(len(entries)))
            self.lines[inside] = event.start_mark.line + 1
            entries.append(self._value(event, inside))
        return entries

    def _mapping(self, keys: Keys) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            self._check(event)
            line: int = event.start_mark.line + 1
            if not isinstance(event, yaml.ScalarEvent):
                raise self._error(event, "a key has to be text; put a key that begins with a bracket in quotes")
            key = self._text(event)
            if key == "<<" and event.style is None:
                raise self._error(event, "merge keys (<<) are not supported; write the keys out")
            if key in entries:
                first = self.lines[*keys, key]
                raise self._error(event, f"{key!r:.60} is a duplicate key, first in line {first}; delete one")
            self.lines[*keys, key] = line
            entries[key] = self._value(self._next(), (*keys, key))
        return entries

    def _text(self, event: Any) -> str:
        text: str = event.value
        if found := Reader.NON_PRINTABLE.search(text):  # from an escape sequence such as "\0"
            raise self._error(event, f"the character U+{ord(found[0]):04X} cannot be part of a value")
        return text

    def _scalar(self, event: Any) -> Any:
        text = self._text(event)
        if not event.implicit[0]:  # quoted
            return text
        node = yaml.ScalarNode("", text, event.start_mark, event.end_mark)
        tag = self.loader.resolve(yaml.ScalarNode, text, event.implicit)  # type: ignore[no-untyped-call]
        kind = tag.rpartition(":")[2]
        if kind not in ("int", "float"):
            return {"null": None, "bool": yaml.SafeLoader.bool_values.get(text.lower())}.get(kind, text)
        try:
            if len(text) > MAX_NUMBER_LENGTH:
                raise ValueError
            read = self.loader.construct_yaml_int if kind == "int" else self.loader.construct_yaml_float
            return read(node)
        except (ValueError, OverflowError) as error:
            raise self._error(event, f"{text!r:.40} is not a valid number") from error

    def _error(self, event: Any, message: str) -> LivestyleError:
        return self._error_at(event.start_mark, message)

    def _error_at(self, mark: Any, message: str) -> LivestyleError:
        return self.error(f"{self.path}, line {mark.line + 1 if mark else 1}: {message}")
