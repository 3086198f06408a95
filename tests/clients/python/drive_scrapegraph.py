"""scrapegraph-py: `extract`, as the vendor's page on API keys shows it (row S6), or how the credits stand.

The base URL can only be set by SGAI_API_URL, which includes `/api`. The client never raises: it answers a
result whose `status` is "success" or "error", so `error_class` stays empty and `status` too.
"""

import os

import driver
import type_parameters

type_parameters.leave_out("scrapegraph_py")


def call(given):
    if given.get("base_url"):
        os.environ["SGAI_API_URL"] = given["base_url"] + "/api"
    from scrapegraph_py import ScrapeGraphAI

    with ScrapeGraphAI(**driver.only_given(api_key=given.get("key"))) as sgai:
        match given.get("call", "extract"):
            case "extract":
                result = sgai.extract("Extract the title", url="https://example.com")
            case "credits":
                result = sgai.credits()
            case other:
                driver.unknown_call("scrapegraph-py", other)
    if result.status == "success":
        return {"ok": True, "data": result.data.model_dump(mode="json", by_alias=True)}
    return {"message": result.error}


driver.run("scrapegraph-py", call)
