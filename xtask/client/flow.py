"""A client that nobody wrote, at work on a running service: `flow.py SOCKET`.

The package `hostcompute_client` beside this run (on PYTHONPATH) was generated from the service's own /openapi.json by a public
generator; here it makes, queries, changes and deletes objects over the unix socket. Every answer is checked in the types that the
description promised; the first thing that is not as promised ends the run. This is a test, not an example of good Python.
"""

import json
import sys
import uuid

import httpx

from hostcompute_client import Client
from hostcompute_client.api.endpoint import (
    create_endpoint,
    delete_endpoint,
    query_endpoint_properties,
    query_endpoint_stats,
)
from hostcompute_client.api.host import (
    check,
    close_handle,
    down,
    get_operation,
    inspect,
    list_handles,
    open_handle,
    place,
    resolve,
    up,
    version,
)
from hostcompute_client.api.namespace import (
    create_namespace,
    delete_namespace,
    modify_namespace,
    query_namespace_properties,
)
from hostcompute_client.api.network import (
    create_network,
    delete_network,
    enumerate_networks,
    open_network,
    query_network_properties,
)
from hostcompute_client.models import (
    Findings,
    HandleRequest,
    HostComputeEndpoint,
    HostComputeNamespace,
    HostComputeNetwork,
    HostDocument,
    HostFile,
    HostFiles,
    LongOperation,
    ModifyNamespaceSettingRequest,
    ObjectKind,
    Problem,
    Steps,
)

QUERY = json.dumps({"SchemaVersion": {"Major": 2, "Minor": 0}})


def connect(socket):
    transport = httpx.HTTPTransport(uds=socket)
    client = Client(base_url="http://localhost", raise_on_unexpected_status=True)
    return client.set_httpx_client(httpx.Client(transport=transport, base_url="http://localhost"))


def is_a(kind, value):
    assert isinstance(value, kind), value
    return value


def made(answer):
    """The id of something new, which `Location` names too."""
    assert answer.status_code == 201, answer.content
    uuid.UUID(is_a(str, answer.parsed))
    assert answer.headers["Location"].endswith(answer.parsed), answer.headers
    return answer.parsed


def done(answer):
    assert answer.status_code == 204, answer.content


def refused(answer, status, name):
    problem = is_a(Problem, answer.parsed)
    assert (answer.status_code, problem.status, problem.name) == (status, status, name), answer.content
    return problem


def objects(client):
    """Make, plug in, query, unplug, delete; and what is told when something is wrong."""
    network = HostComputeNetwork.from_dict(
        {"Name": "generated", "Type": "NAT", "Ipams": [{"Subnets": [{"IpAddressPrefix": "10.77.0.0/24"}]}]}
    )
    key = str(uuid.uuid4())
    network_id = made(create_network.sync_detailed(client=client, body=network, idempotency_key=key))
    again = made(create_network.sync_detailed(client=client, body=network, idempotency_key=key))
    assert again == network_id, "the same request under the same key is carried out once"
    refused(create_network.sync_detailed(client=client, body=network), 409, "HCN_E_NETWORK_ALREADY_EXISTS")
    odd = HostComputeNetwork.from_dict({"Nmae": "x"})
    problem = refused(create_network.sync_detailed(client=client, body=odd, strict=True), 400, "HCN_E_INVALID_JSON")
    assert problem.path == "Nmae" and problem.line == 1, problem

    filtered = json.dumps({"SchemaVersion": {"Major": 2, "Minor": 0}, "Filter": '{"Name":"generated"}'})
    assert enumerate_networks.sync(client=client, query=filtered) == [network_id]
    done(open_network.sync_detailed(network_id, client=client))
    asked = is_a(HostComputeNetwork, query_network_properties.sync(network_id, client=client, query=QUERY))
    assert (asked.id.lower(), asked.name) == (network_id.lower(), "generated")
    assert asked.ipams[0].subnets[0].ip_address_prefix == "10.77.0.0/24"

    body = HostComputeNamespace.from_dict({"Name": "generated"})
    wished = str(uuid.uuid4())
    namespace_id = made(create_namespace.sync_detailed(client=client, body=body, id=wished))
    assert namespace_id.lower() == wished, "the id that was wished for"
    body = HostComputeEndpoint.from_dict({"Name": "port"})
    endpoint_id = made(create_endpoint.sync_detailed(network_id, client=client, body=body))

    def move(action):
        request = {"ResourceType": "Endpoint", "RequestType": action, "Settings": {"EndpointId": endpoint_id}}
        body = ModifyNamespaceSettingRequest.from_dict(request)
        return modify_namespace.sync_detailed(namespace_id, client=client, body=body)

    done(move("Add"))
    refused(move("Add"), 409, "HCN_E_ENDPOINT_NAMESPACE_ALREADY_EXISTS")
    endpoint = is_a(HostComputeEndpoint, query_endpoint_properties.sync(endpoint_id, client=client, query=QUERY))
    assert endpoint.ip_configurations[0].ip_address.startswith("10.77.0."), endpoint
    namespace = query_namespace_properties.sync(namespace_id, client=client, query=QUERY)
    assert len(namespace.resources) == 1, namespace
    query_endpoint_stats.sync(endpoint_id, client=client)
    assert place.sync(namespace_id, client=client).netns.endswith(namespace_id.lower())
    assert resolve.sync(client=client, kind=ObjectKind.NAMESPACE, text="generated") == namespace_id
    assert is_a(Findings, check.sync(client=client)).findings == []

    sessions(client, network_id)
    done(move("Remove"))
    done(delete_endpoint.sync_detailed(endpoint_id, client=client))
    done(delete_namespace.sync_detailed(namespace_id, client=client))
    in_the_background(client, network_id)
    refused(delete_network.sync_detailed(network_id, client=client), 404, "HCN_E_NETWORK_NOT_FOUND")


def sessions(client, network_id):
    """A connection owns its handles."""
    request = HandleRequest(kind=ObjectKind.NETWORK, id=network_id)
    answer = open_handle.sync_detailed(client=client, body=request)
    assert answer.status_code == 201, answer.content
    handles = list_handles.sync(client=client).handles
    assert [handle.handle for handle in handles] == [answer.parsed.handle], handles
    session = answer.headers["Hostcompute-Session"]
    assert any(known["Id"] == session for known in inspect.sync(client=client).to_dict()["Sessions"])
    done(close_handle.sync_detailed(answer.parsed.handle, client=client))
    refused(close_handle.sync_detailed(answer.parsed.handle, client=client), 404, "E_HANDLE")
    assert list_handles.sync(client=client).handles == []


def in_the_background(client, network_id):
    """A change that is not waited for."""
    answer = delete_network.sync_detailed(network_id, client=client, prefer="respond-async")
    assert answer.status_code == 202, answer.content
    begun = is_a(LongOperation, answer.parsed)
    assert answer.headers["Location"] == f"/operations/{begun.id}", answer.headers
    ended = is_a(LongOperation, get_operation.sync(begun.id, client=client, wait=60))
    assert ended.state == "Succeeded", ended


def documents(client):
    """Everything that a host should have, in one request."""
    document = {
        "Networks": [{"Name": "whole", "Ipams": [{"Subnets": [{"IpAddressPrefix": "10.78.0.0/24"}]}]}],
        "Namespaces": [{"Name": "whole"}],
        "Endpoints": [{"Name": "whole", "HostComputeNetwork": "whole", "HostComputeNamespace": "whole"}],
    }
    steps = is_a(Steps, up.sync(client=client, body=HostDocument.from_dict(document)))
    assert [step.action for step in steps.steps] == ["create", "create", "create", "attach"], steps
    files = HostFiles(files=[HostFile(name="whole.json", text=json.dumps(document))])
    assert is_a(Steps, up.sync(client=client, body=files)).steps == [], "everything is there already"
    wrong = HostFiles(files=[HostFile(name="wrong.json", text="{")])
    answer = up.sync_detailed(client=client, body=wrong)
    assert refused(answer, 400, "HCN_E_INVALID_JSON").file == "wrong.json"
    assert len(is_a(Steps, down.sync(client=client, body=files)).steps) == 3


def main():
    client = connect(sys.argv[1])
    told = version.sync(client=client)
    objects(client)
    documents(client)
    assert enumerate_networks.sync(client=client) == []
    assert check.sync(client=client).findings == []
    print(f"a generated client worked with {told.name} {told.version}, schema {told.schema}")


main()
