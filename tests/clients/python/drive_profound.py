"""profound: the visibility report of the vendor's page on authentication (row P17), or its categories."""

import driver
import profound


def call(given):
    client = profound.Profound(**driver.only_given(base_url=given.get("base_url"), api_key=given.get("key")))
    try:
        match given.get("call", "visibility"):
            case "visibility":
                answer = client.reports.visibility(
                    metrics=["visibility_score"],
                    category_id="7c9e6679-7425-40de-944b-e07fc1f90ae7",
                    start_date="2026-05-04",
                    end_date="2026-05-11",
                )
                return {"ok": True, "data": answer.model_dump(mode="json")}
            case "categories":
                answer = client.organizations.categories.list()
                return {"ok": True, "data": [row.model_dump(mode="json") for row in answer]}
            case other:
                driver.unknown_call("profound", other)
    except profound.APIError as error:
        return driver.refused(error)


driver.run("profound", call)
