"""Structured logs: one JSON object a line, or text for people; key and values stand apart from the message.

One line at INFO for each transition of an object; times of phases at DEBUG. kopf, aiohttp and the client log through
the same handler, so a collector sees one format.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import sys
from typing import Any, Final, TextIO

_PLAIN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_NOISY: Final = {"aiohttp.access": logging.WARNING, "asyncio": logging.WARNING, "kopf": logging.WARNING}


def configure(form: str, level: str, stream: TextIO | None = None) -> None:
    """Send every logger of the process to ``stream`` (stderr) as ``json`` or ``text``."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name, least in _NOISY.items():
        logging.getLogger(name).setLevel(max(least, logging.getLevelName(level)))


def extras(record: logging.LogRecord) -> dict[str, Any]:
    """The key/values of a record: everything that ``extra=`` added, kopf's object references left out."""
    return {
        key: value
        for key, value in vars(record).items()
        if key not in _PLAIN and not key.startswith("k8s_") and key != "settings"
    }


def _time(record: logging.LogRecord) -> str:
    moment = dt.datetime.fromtimestamp(record.created, tz=dt.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, then the extras."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON; values that JSON does not know are written as text."""
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **extras(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """For a terminal: time, level, message, then key=value pairs."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line, followed by the traceback where there is one."""
        pairs = "".join(f" {key}={value}" for key, value in extras(record).items())
        text = f"{_time(record)[11:23]} {record.levelname:<7} {record.getMessage()}{pairs}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text
