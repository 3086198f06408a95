// GetProfile: `GET /v1/profile/abc123`. Its client is in no registry (../README.md), so this follows the rule
// that the client is known by: a 2xx is parsed as JSON, anything else throws Error with the body's `error`
// string, or with the status text where the body has none (row G17).

import { run } from "./driver.mjs";

async function getProfile(baseUrl, key, id) {
  const answer = await fetch(`${baseUrl}/v1/profile/${id}`, {
    headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
  });
  if (answer.ok) return answer.json();
  const body = await answer.json().catch(() => null);
  const error = new Error(body?.error || answer.statusText);
  error.status = answer.status;
  throw error;
}

await run("getprofile", async (given) => {
  try {
    const key = given.key ?? process.env.GETPROFILE_API_KEY;
    return { ok: true, data: await getProfile(given.base_url, key, "abc123") };
  } catch (error) {
    if (!error.status) throw error;
    return { status: error.status, error_class: error.name, message: error.message };
  }
});
