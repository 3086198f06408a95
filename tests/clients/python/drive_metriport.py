"""metriport: the list of facilities. This client has no environment variable: key and base URL are arguments."""

import driver
import pydantic

# The client defines some 700 models when it loads. Built when first used, loading takes 2 s instead of 16.
pydantic.BaseModel.model_config["defer_build"] = True

from metriport.client import Metriport  # noqa: E402
from metriport.core.api_error import ApiError  # noqa: E402


def call(given):
    client = Metriport(base_url=given["base_url"], api_key=given["key"])
    try:
        answer = client.medical.facility.list()
    except ApiError as error:
        return driver.refused(error)
    return {"ok": True, "data": answer.model_dump(mode="json")}


driver.run("metriport", call)
