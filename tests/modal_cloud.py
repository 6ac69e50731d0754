"""A cloud that says yes to everything and remembers what it was asked.

Modal's own client and command line talk to it as to the real one, over gRPC; nothing is built or
run, except what a test gives it to run. So it is seen exactly what would have been asked for.
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


class Plain(pickle.Unpickler):
    """Of lists, dictionaries, texts, bytes and numbers alone; anything else is a class."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} is not plain")


class ModalCloud:
    """Use it in `with`. `asked`: every request's name and contents, in order.

    deployed: whatever method is called remotely, this computes its answer.
    """

    def __init__(self, deployed: Callable[..., Any] = lambda: None) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.deployed = deployed
        self._numbers = itertools.count()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> "ModalCloud":
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
        """`modal ARGUMENTS`, from the root of the repository; what it printed."""
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
        """What was created, by name."""
        created = [request.function for request in self.requests("FunctionCreate")]
        return {function.function_name: function for function in created}

    # --- inside ---------------------------------------------------------------------------

    def __mapping__(self) -> dict[str, Handler]:
        """For grpclib: every call of Modal's, all answered alike."""
        every = type("Every", (ModalClientBase,), {})
        every.__abstractmethods__ = frozenset()  # type: ignore[attr-defined]
        return {
            path: handler._replace(func=self._answering(path.rpartition("/")[2], handler))
            for path, handler in every().__mapping__().items()
        }

    def _answering(
        self, name: str, handler: Handler
    ) -> Callable[[Stream[Any, Any]], Coroutine[Any, Any, None]]:
        async def answer(stream: Stream[Any, Any]) -> None:
            self.asked.append((name, request := await stream.recv_message()))
            await stream.send_message(self._yes(name, request, handler.reply_type()))

        return answer

    def _yes(self, name: str, request: Any, reply: Message) -> Message:
        """Every id that can be given is given; what is to be built is built."""
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
        """The answer to the latest call."""
        asked = self.requests("FunctionMap")[-1].pipelined_inputs[0].input
        output.data_format = asked.data_format
        try:
            arguments, named = Plain(io.BytesIO(asked.args)).load()
            answer = pickle.dumps(self.deployed(*arguments, **named))
            Plain(io.BytesIO(answer)).load()
        except Exception as error:  # noqa: BLE001 – it crosses, whatever it is
            output.result.status = output.result.GENERIC_STATUS_FAILURE
            output.result.exception = repr(error)
            output.result.data = pickle.dumps(error)
            return
        output.result.status = output.result.GENERIC_STATUS_SUCCESS
        output.result.data = answer

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)
