// @metriport/api-sdk: the list of facilities, or the account's settings (`/settings`, outside `/medical/v1`).
//
// This client has no environment variable: key and base address are arguments. It throws axios' error.

import { MetriportMedicalApi } from "@metriport/api-sdk";
import { run, unknownCall } from "./driver.mjs";

await run("@metriport/api-sdk", async (given) => {
  const api = new MetriportMedicalApi(given.key, { baseAddress: given.base_url });
  const calls = { facilities: () => api.listFacilities(), settings: () => api.getSettings() };
  const name = given.call ?? "facilities";
  if (!Object.hasOwn(calls, name)) unknownCall("@metriport/api-sdk", name);
  try {
    return { ok: true, data: await calls[name]() };
  } catch (error) {
    if (!error.response) throw error;
    return {
      status: error.response.status,
      error_class: error.name,
      message: error.message,
      data: error.response.data,
    };
  }
});
