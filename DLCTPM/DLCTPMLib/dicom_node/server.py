"""The receiving side: who may connect, what is taken from them, and what they are answered."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, MutableMapping
from weakref import WeakKeyDictionary

from pydicom.dataset import Dataset
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification
from pynetdicom.transport import ThreadedAssociationServer

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.dicom_node.log import Log
from DLCTPMLib.dicom_node.queue import MB, SeriesQueue
from DLCTPMLib.dicom_node.received import OUT_OF_RESOURCES, TOO_LARGE, RefusedError, received
from DLCTPMLib.dicom_node.settings import Caller, NodeSettings
from DLCTPMLib.volumes.reading import CT_CLASSES

TRANSFER_SYNTAXES = [
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGLosslessSV1,
    JPEGLossless,
    JPEGLSLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
    JPEG2000,
]
"""How pixels may come, what is preferred first: everything that the engine reads."""

LARGEST_PDU = 1 << 20
"""Bytes of one protocol data unit: callers are asked for less, and one that announces more is cut off."""

_ASKED_PDU = 1 << 17
_CALLER_NOT_RECOGNISED = (0x01, 0x01, 0x03)
"""Rejected permanently, by the service user, calling AE title not recognised (PS3.8 9.3.4)."""


class StoreServer:
    """Listens until it is closed.

    Args:
        settings: where it listens, and limits.
        callers: who may send; everybody on this machine where nobody is named.
        queue: where objects go.
        log: told what happens.

    Attributes:
        port: that it listens on.

    Raises:
        InputError: the address or port cannot be listened on.
    """

    def __init__(self, settings: NodeSettings, callers: tuple[Caller, ...], queue: SeriesQueue, log: Log):
        self._settings, self._callers, self._queue, self._log = settings, callers, queue, log
        self._counts: MutableMapping[Association, Counter] = WeakKeyDictionary()
        self._entity = AE(settings.ae_title)
        self._entity.maximum_associations = settings.associations
        self._entity.maximum_pdu_size = _ASKED_PDU
        self._entity.require_called_aet = True
        self._entity.add_supported_context(Verification)
        for sop_class in sorted(CT_CLASSES):
            self._entity.add_supported_context(sop_class, TRANSFER_SYNTAXES)
        handlers = [
            (evt.EVT_CONN_OPEN, self._opened),
            (evt.EVT_REQUESTED, self._requested),
            (evt.EVT_REJECTED, self._rejected),
            (evt.EVT_C_STORE, self._stored),
            (evt.EVT_RELEASED, self._ended, [True]),
            (evt.EVT_ABORTED, self._ended, [False]),  # also where the connection broke
        ]
        try:
            self._server = self._entity.make_server(
                (settings.bind, settings.port), evt_handlers=handlers, server_class=_guarded(self._may_connect)
            )
        except OSError as error:
            raise InputError(
                f"{settings.bind}:{settings.port}: cannot be listened on ({error.strerror}); choose another port or "
                "address"
            ) from error
        self._entity._servers.append(self._server)  # where AE.start_server keeps it, too
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more; associations are aborted, and their callers send again what was not answered."""
        self._entity.shutdown()
        self._thread.join()

    # who may

    def _may_connect(self, address: str) -> bool:
        if not self._callers or any(caller.calls_from(address) for caller in self._callers):
            return True
        self._log(f"{address}: refused, no address of a caller that is allowed")
        return False

    def _requested(self, event: evt.Event) -> None:
        title, address = _caller(event.assoc)
        allowed = [one for one in self._callers if one.ae_title == title and one.calls_from(address)]
        if self._callers and not allowed:
            self._log(f"{title}@{address}: refused, no caller that is allowed")
            event.assoc.acse.send_reject(*_CALLER_NOT_RECOGNISED)
            event.assoc.kill()  # waits until that is sent; the connection is closed next

    def _rejected(self, event: evt.Event) -> None:
        title, address = _caller(event.assoc)
        called = str(event.assoc.requestor.primitive.called_ae_title).strip()
        why = "too many associations" if called == self._settings.ae_title else "called this node by another title"
        self._log(f"{title}@{address}: refused, {why}")

    # what is taken

    def _opened(self, event: evt.Event) -> None:
        """Watch over what comes on a connection: no unit and no object beyond all measure is kept in memory."""
        connection = event.assoc.dul.socket
        receive, most = connection.recv, int(2 * self._settings.object_mb * MB) + LARGEST_PDU
        counts = self._counts[event.assoc] = Counter()

        def recv(size: int) -> bytearray:
            counts["bytes"] += size
            if size > LARGEST_PDU or counts["bytes"] > most:
                self._log(f"{event.assoc.requestor.address}: cut off, it sends more than is taken as one object")
                raise ConnectionError("more than is taken")
            return receive(size)

        connection.recv = recv

    def _stored(self, event: evt.Event) -> Dataset | int:
        counts = self._counts[event.assoc]
        counts["bytes"] = 0
        request = event.request
        try:
            if len(request.DataSet.getbuffer()) > self._settings.object_mb * MB:
                raise RefusedError(TOO_LARGE, "is larger than is taken")
            said = str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID)
            one = received(event.encoded_dataset(), *said)
            self._queue.store(one, event.assoc)
        except RefusedError as refused:
            if refused.series and refused.status != OUT_OF_RESOURCES:
                self._queue.refused(refused.series, refused.instance)
            self._log("{}@{}: an object {}, refused".format(*_caller(event.assoc), refused.words))
            counts["refused"] += 1
            return _answer(refused.status, refused.words)
        counts["taken"] += 1
        return 0x0000

    def _ended(self, event: evt.Event, whole: bool) -> None:
        counts = self._counts[event.assoc]
        names = self._queue.ended(event.assoc, whole)
        if counts["taken"] or counts["refused"]:
            how = "" if whole else ", cut off"
            self._log(
                "{}@{}: {} objects of {} series taken, {} refused{}".format(
                    *_caller(event.assoc), counts["taken"], len(names), counts["refused"], how
                )
            )


def _guarded(may_connect: Callable[[str], bool]) -> type[ThreadedAssociationServer]:
    class GuardedServer(ThreadedAssociationServer):
        """Closes the connections of strangers before a byte of theirs is read."""

        def verify_request(self, request, client_address) -> bool:
            return may_connect(client_address[0])

    return GuardedServer


def _caller(association: Association) -> tuple[str, str]:
    return str(association.requestor.ae_title).strip() or str(
        getattr(association.requestor.primitive, "calling_ae_title", "")
    ).strip(), association.requestor.address


def _answer(status: int, words: str) -> Dataset:
    answer = Dataset()
    answer.Status, answer.ErrorComment = status, f"Object {words}"[:64]
    return answer
