"""The control API under /_emulator/ on the main port: faults, lag, log and state, for programs.

A browser's page must not reach it: every request needs the header `X-Emulator: 1`, which a page of
another origin may only send after a preflight, and preflights are refused; a Host other than the
loopback's is refused too (DNS rebinding).
"""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from shotmedia.emulator.errors import Refusal
from shotmedia.emulator.wire import Request, Response

if TYPE_CHECKING:
    from shotmedia.emulator.server import Emulator

PREFIX = "/_emulator/"
MAX_BODY = 1024 * 1024


def is_control(request: Request) -> bool:
    """Whether the request is for the control API."""
    return request.raw_path.startswith(PREFIX)


def answer(emulator: "Emulator", request: Request) -> Response:
    """The answer, JSON always; 403 without the header or from anywhere but 127.0.0.1."""
    host = request.headers.get("host").partition(":")[0].lower()
    if (
        request.headers.get("x-emulator") != "1"
        or request.client != "127.0.0.1"
        or host not in ("127.0.0.1", "localhost")
        or request.headers.get("origin")
    ):
        return _json(403, {"error": "The control API needs `X-Emulator: 1`, from 127.0.0.1."})
    try:
        return _json(200, _result(emulator, request))
    except Refusal as error:
        return _json(error.status, {"error": error.message})
    except (KeyError, TypeError, ValueError) as error:
        return _json(400, {"error": str(error.args[0] if error.args else error)})


def _json(status: int, value: Any) -> Response:
    body = (json.dumps(value) + "\n").encode()
    return Response(status, {"Content-Type": "application/json", "Cache-Control": "no-store"}, body)


def _document(request: Request) -> Any:
    if (request.body.length or 0) > MAX_BODY:
        raise ValueError("the body is too long")
    return json.loads(request.body.read() or b"null")


def _result(emulator: "Emulator", request: Request) -> Any:
    words = [unquote(word) for word in request.raw_path.removeprefix(PREFIX).split("/") if word]
    what, name = [*words, "", ""][:2]
    method = request.method
    match method, what:
        case "GET", "state":
            return emulator.state()
        case "GET", "log":
            since = int(request.arg("since") or 0)
            return [asdict(record) for record in list(emulator.log) if record.number > since]
        case "DELETE", "log":
            emulator.log.clear()
        case "GET", "traffic":
            return emulator.traffic.of(name, request.arg("direction") or "in")
        case "PUT", "lag":
            emulator.lag = float(_document(request))
        case "PUT", "clock":
            emulator.clock_offset = float(_document(request))
        case "GET", "faults":
            return emulator.state()["faults"]
        case (("PUT" | "POST"), "faults"):
            return emulator.faults(name, **_fields(_document(request))).as_dict()
        case "DELETE", "faults":
            emulator.clear_faults(name or None)
        case "PUT", "cors":
            emulator.set_cors(name, _document(request))
        case "PUT", "list_bucket":
            if not isinstance(allowed := _document(request), bool):
                raise ValueError("list_bucket takes true or false")
            emulator.set_list_bucket(name, allowed)
        case "POST", "replicate":
            return {"copies": emulator.replicate_due(everything=True)}
        case _:
            raise Refusal("NotFound", 404, f"There is no {method} {request.raw_path}.")
    return {"ok": True}


def _fields(document: Any) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise ValueError('a fault is an object such as {"status": 503}')
    return document
