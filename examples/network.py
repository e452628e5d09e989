"""libcomputenetwork from Python, with nothing but ctypes: makes a network, hears of it, and takes it away.

    LD_LIBRARY_PATH=PREFIX/lib python3 network.py
"""

import ctypes
import json
import threading
import uuid
from ctypes import POINTER, byref, c_int32, c_uint32, c_void_p

library = ctypes.CDLL("libcomputenetwork.so")

# void (*HCN_NOTIFICATION_CALLBACK)(uint32_t, void *, HRESULT, PCWSTR)
Callback = ctypes.CFUNCTYPE(None, c_uint32, c_void_p, c_int32, c_void_p)

NETWORK_CREATE, NETWORK_DELETE = 2, 4


class Failed(Exception):
    """What a function refused: its HRESULT, and the error record where there is one."""

    def __init__(self, code, record):
        super().__init__(f"{code & 0xFFFFFFFF:#010x} {record['Error'] if record else ''}")
        self.code = code & 0xFFFFFFFF


def wide(text):
    """A string as the library reads it."""
    return ctypes.create_string_buffer(text.encode("utf-16-le") + b"\0\0")


def read(address):
    """The string at an address."""
    length = 0
    while ctypes.string_at(address + length, 2) != b"\0\0":
        length += 2
    return ctypes.string_at(address, length).decode("utf-16-le")


def taken(place):
    """The string that the library has handed out, given back; None for none."""
    if not place.value:
        return None
    text = read(place.value)
    library.HostComputeFree(place)
    return text


def call(name, *arguments):
    """Calls a function that ends with a place for an error record."""
    record = c_void_p()
    code = getattr(library, name)(*arguments, byref(record))
    told = taken(record)
    if code < 0:
        raise Failed(code, json.loads(told) if told else None)


def document(name, *arguments):
    """Calls a function that answers with a document."""
    place = c_void_p()
    call(name, *arguments, byref(place))
    return json.loads(taken(place))


def main():
    library.HostComputeFree.argtypes = [c_void_p]
    library.HostComputeFree.restype = None
    for name in ("HcnCloseNetwork", "HcnUnregisterServiceCallback"):
        getattr(library, name).argtypes = [c_void_p]
    library.HcnQueryNetworkProperties.argtypes = [c_void_p] * 4
    library.HcnRegisterServiceCallback.argtypes = [Callback, c_void_p, POINTER(c_void_p)]

    network_id = uuid.uuid4()
    heard, deleted = [], threading.Event()

    @Callback
    def told(kind, _context, _status, data):
        about = json.loads(read(data)) if data else {}
        if about.get("ID") == str(network_id):
            heard.append(kind)
            if kind == NETWORK_DELETE:
                deleted.set()

    registration = c_void_p()
    assert library.HcnRegisterServiceCallback(told, None, byref(registration)) == 0

    guid = ctypes.create_string_buffer(network_id.bytes_le, 16)
    settings = {"Name": "from Python", "Type": "Internal"}
    network = c_void_p()
    call("HcnCreateNetwork", guid, wide(json.dumps(settings)), byref(network))
    query = wide(json.dumps({"SchemaVersion": {"Major": 2, "Minor": 0}}))
    properties = document("HcnQueryNetworkProperties", network, query)
    assert properties["Name"] == "from Python", properties
    assert str(network_id) in document("HcnEnumerateNetworks", None)

    call("HcnDeleteNetwork", guid)
    try:
        document("HcnQueryNetworkProperties", network, query)
    except Failed as failed:
        assert failed.code == 0x803B0001, failed
    else:
        raise AssertionError("a deleted network has properties")
    assert deleted.wait(30), heard
    assert library.HcnUnregisterServiceCallback(registration) == 0
    assert library.HcnCloseNetwork(network) == 0
    assert NETWORK_CREATE in heard, heard
    print("network.py: ok")


if __name__ == "__main__":
    main()
