// What every Node driver shares: for each line of JSON on standard input one call and one line of JSON out.
//
// A driver makes one documented call with its vendor's published client and reports what an application
// would see. How a client is built and which call it makes stay in the drivers; ../README.md has the protocol.

import { createInterface } from "node:readline";

/** Makes one call a line until standard input ends; exits with 2 when the driver itself cannot work. */
export async function run(client, call) {
  for await (const text of createInterface({ input: process.stdin })) {
    let given;
    try {
      given = JSON.parse(text);
    } catch (error) {
      stop(`${client}: each line of standard input must be a JSON object (tests/clients/README.md): ${error.message}`);
    }
    const line = { client, ok: false, status: null, error_class: null, message: null, data: null };
    console.log(JSON.stringify({ ...line, ...(await call(given)) }));
  }
}

/** Ends the driver: the input names a call that it does not know. */
export function unknownCall(client, call) {
  stop(`${client}: no call named ${call}; tests/clients/README.md lists them`);
}

function stop(why) {
  console.error(why);
  process.exit(2);
}
