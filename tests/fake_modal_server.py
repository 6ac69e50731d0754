"""A fake Modal server that accepts and records every request.

Modal's own client and command line talk to it over gRPC as to the real service. It builds and runs
nothing except a function that the test provides, so a test sees exactly what was requested.
"""

import asyncio
import io
import itertools
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from google.protobuf.message import Message
from grpclib.const import Handler
from grpclib.server import Server, Stream
from modal_proto.api_grpc import ModalClientBase

from tests.server import ROOT, free_port

BUILDER = "2026.10"


class PlainUnpickler(pickle.Unpickler):
    """Unpickles lists, dictionaries, strings, bytes and numbers, and refuses every class."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} is not a plain value")


class FakeModalServer:
    """A context manager that runs the server.

    Attributes
    ----------
    asked : name and contents of every request, in order
    deployed : computes the result of every remote call
    """

    def __init__(self, deployed: Callable[..., Any] = lambda: None) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.deployed = deployed
        self._numbers = itertools.count()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> "FakeModalServer":
        self._thread.start()
        self.port = free_port()
        self._run(self._start())
        return self

    async def _start(self) -> None:
        self._server = Server([self])
        await self._server.start("127.0.0.1", self.port)

    async def _stop(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    def __exit__(self, *_: object) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def command(self, *arguments: str) -> str:
        """Run `modal ARGUMENTS` in the root of the repository and return its output."""
        done = subprocess.run(
            [sys.executable, "-m", "modal", *arguments],
            cwd=ROOT, env=os.environ | self.settings, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def settings(self) -> dict[str, str]:
        return {
            "MODAL_SERVER_URL": f"http://127.0.0.1:{self.port}",
            "MODAL_TOKEN_ID": "ak-nobody",
            "MODAL_TOKEN_SECRET": "as-nobody",
            "MODAL_CONFIG_PATH": os.devnull,
        }

    def requests(self, name: str) -> list[Any]:
        return [request for asked, request in self.asked if asked == name]

    def functions(self) -> dict[str, Any]:
        """Return the created functions by name."""
        created = [request.function for request in self.requests("FunctionCreate")]
        return {function.function_name: function for function in created}

    # --- responses ------------------------------------------------------------------------

    def __mapping__(self) -> dict[str, Handler]:
        """Return a handler for every method of Modal's API, as grpclib expects."""
        every = type("Every", (ModalClientBase,), {})
        every.__abstractmethods__ = frozenset()  # type: ignore[attr-defined]
        return {
            path: handler._replace(func=self._responder(path.rpartition("/")[2], handler))
            for path, handler in every().__mapping__().items()
        }

    def _responder(
        self, name: str, handler: Handler
    ) -> Callable[[Stream[Any, Any]], Coroutine[Any, Any, None]]:
        async def answer(stream: Stream[Any, Any]) -> None:
            self.asked.append((name, request := await stream.recv_message()))
            await stream.send_message(self._reply(name, request, handler.reply_type()))

        return answer

    def _reply(self, name: str, request: Any, reply: Message) -> Message:
        """Fill in every id, and report every image as built."""
        for field in reply.DESCRIPTOR.fields:
            if field.type == field.TYPE_STRING and field.name.endswith("_id"):
                kind = "cs" if field.name == "class_id" else field.name[:2]
                setattr(reply, field.name, f"{kind}-{next(self._numbers)}")
        known: Any = reply
        if name == "EnvironmentGetOrCreate":
            known.metadata.settings.image_builder_version = BUILDER
        if name == "ImageGetOrCreate":
            known.metadata.image_builder_version = BUILDER
            known.result.status = 1
        if name == "FunctionCreate":
            known.function_data.ranked_functions.add().function.CopyFrom(request.function)
            known.handle_metadata.function_name = request.function.function_name
            known.function_id = request.existing_function_id
        if name == "FunctionGet":
            known.function.ranked_functions.add()
            known.handle_metadata.function_name = request.object_tag
            method = known.handle_metadata.method_handle_metadata["predict"]
            method.function_name, method.use_method_name = "InferenceService.predict", "predict"
        if name == "FunctionMap":
            known.pipelined_inputs.add()
        if name == "FunctionGetOutputs":
            self._compute(known.outputs.add())
        return reply

    def _compute(self, output: Any) -> None:
        """Compute the result of the latest remote call."""
        asked = self.requests("FunctionMap")[-1].pipelined_inputs[0].input
        output.data_format = asked.data_format
        try:
            arguments, named = PlainUnpickler(io.BytesIO(asked.args)).load()
            answer = pickle.dumps(self.deployed(*arguments, **named))
            PlainUnpickler(io.BytesIO(answer)).load()
        except Exception as error:  # noqa: BLE001 – every error is sent to the client
            output.result.status = output.result.GENERIC_STATUS_FAILURE
            output.result.exception = repr(error)
            output.result.data = pickle.dumps(error)
            return
        output.result.status = output.result.GENERIC_STATUS_SUCCESS
        output.result.data = answer

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)
