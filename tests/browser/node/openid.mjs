// A real OpenID provider (oidc-provider) on a loopback port, for tests.
//
// First line of standard input: {"client_id", "client_secret", "callback": the path that a redirect URI must have}.
// First line of standard output: {"issuer"}. Whoever signs in types a login name (any password): the name is the
// subject, and its claims are `<login>@example.test`, verified, unless a later line of standard input says
// otherwise: {"login", "claims"}, answered by {}. Ends when standard input does.

import http from 'node:http';
import readline from 'node:readline';
import { Provider } from 'oidc-provider';

// Standard output belongs to the answers.
console.log = console.info = console.warn = (...words) => console.error(...words);

const answer = (value) => process.stdout.write(JSON.stringify(value) + '\n');
const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const given = JSON.parse((await lines.next()).value);
const people = new Map();

const claimsOf = (login) => ({
  email: `${login}@example.test`,
  email_verified: true,
  name: login,
  ...people.get(login),
  sub: login,
});

const server = http.createServer();
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: given.client_id,
      client_secret: given.client_secret,
      redirect_uris: [`http://127.0.0.1${given.callback}`],
      grant_types: ['authorization_code'],
      response_types: ['code'],
    },
  ],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
  // Claims that a scope asks for stand in the ID token, as most providers have it.
  conformIdTokenClaims: false,
  cookies: { keys: ['for tests only'] },
  findAccount: (_, login) => ({ accountId: login, claims: () => claimsOf(login) }),
  // Everybody consents to everything: the test is about who signs in.
  async loadExistingGrant(ctx) {
    const grant = new ctx.oidc.provider.Grant({
      clientId: ctx.oidc.client.clientId,
      accountId: ctx.oidc.session.accountId,
    });
    grant.addOIDCScope('openid email profile');
    await grant.save();
    return grant;
  },
  features: { devInteractions: { enabled: true } },
});

// Keyward's port is known only after it has started with our issuer.
provider.Client.prototype.redirectUriAllowed = (uri) => {
  const { protocol, hostname, pathname } = new URL(uri);
  return protocol === 'http:' && hostname === '127.0.0.1' && pathname === given.callback;
};

server.on('request', provider.callback());
answer({ issuer });
for (let line; !(line = await lines.next()).done; ) {
  const { login, claims } = JSON.parse(line.value);
  people.set(login, claims);
  answer({});
}
process.exit(0);
