"""qanapi: `encrypt`, fields of a document both ways, or the two keys' calls that the client knows (row Q17). The base URL includes `/api`.

With `bearer_token` in the input the client sends `Authorization` beside its key.
"""

import json

import driver
import qanapi


def call(given):
    base_url = given["base_url"] + "/api" if given.get("base_url") else None
    client = qanapi.Qanapi(
        subdomain=given.get("subdomain", "your-tenant"),
        **driver.only_given(base_url=base_url, api_key=given.get("key"), bearer_token=given.get("bearer_token")),
    )
    try:
        match given.get("call", "encrypt"):
            case "encrypt":
                answer = client.v2.encrypt.encrypt_data(
                    data={"password": "s"}, access={"acl": ["admin"]}, sensitive_fields=["password"]
                )
            case "rotate":
                answer = client.v2.api_keys.rotate(given["key_id"])
            case "revoke":
                answer = client.v2.api_keys.revoke(given["key_id"])
            case "encrypt_fields":
                answer = client.v3.encryption.encrypt(
                    given["proxy"], data=json.loads(given["data"]), x_qanapi_fields=given["fields"]
                )
            case "decrypt_fields":
                answer = client.v3.encryption.decrypt(
                    given["proxy"],
                    data=json.loads(given["data"]),
                    x_qanapi_fields=given["fields"],
                    extra_headers={"x-qanapi-mode": "decrypt"},
                )
            case other:
                driver.unknown_call("qanapi", other)
    except qanapi.APIError as error:
        return driver.refused(error)
    return {"ok": True, "data": answer.model_dump(mode="json") if hasattr(answer, "model_dump") else answer}


driver.run("qanapi", call)
