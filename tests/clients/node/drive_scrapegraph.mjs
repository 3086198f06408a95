// scrapegraph-js: `extract`, as the vendor's page on API keys shows it (row S7), or how the credits stand.
//
// The base URL can only be set by SGAI_API_URL, which includes `/api` and is read when the module loads. The
// client never throws for an answer: `status` is "success" or "error", so `error_class` and `status` stay empty.

import { run, unknownCall } from "./driver.mjs";

await run("scrapegraph-js", async (given) => {
  if (given.base_url) process.env.SGAI_API_URL = `${given.base_url}/api`;
  const { ScrapeGraphAI } = await import("scrapegraph-js");
  const sgai = ScrapeGraphAI(given.key ? { apiKey: given.key } : undefined);
  const calls = {
    extract: () => sgai.extract({ url: "https://example.com", prompt: "Extract the title" }),
    credits: () => sgai.credits(),
  };
  const name = given.call ?? "extract";
  if (!Object.hasOwn(calls, name)) unknownCall("scrapegraph-js", name);
  const result = await calls[name]();
  if (result.status === "success") return { ok: true, data: result.data };
  return { message: result.error };
});
