// The modes of docs/identity.md against oidc-provider: users who log in there, and access tokens that it issues, as JWTs and opaque.
// TESSERA_BIN is the server's program.

import { strict as assert } from 'node:assert';
import { execFileSync, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Checks } from './checks.mjs';
import { SECRET, startProvider } from './provider.mjs';

const VERIFIER = randomBytes(32).toString('base64url');
const PKCE = { code_challenge: createHash('sha256').update(VERIFIER).digest('base64url'), code_challenge_method: 'S256' };
const CALLBACK = 'http://127.0.0.1:1/cb';

async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

// A server in a mode, with its provider.
async function start(mode, format, settings = {}) {
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const base = `${origin}/fhir`;
  const provider = await startProvider({ audience: base, format, callback: `${origin}/auth/callback` });
  const folder = mkdtempSync(join(tmpdir(), 'identity-'));
  const env = {
    ...process.env,
    TESSERA_DATABASE_URL: `sqlite:${folder}/tessera.db`,
    TESSERA_TEST_OUTBOUND_LOOPBACK: '1',
    TESSERA_IDENTITY_MODE: mode,
    TESSERA_IDENTITY_ISSUER: provider.issuer,
    TESSERA_IDENTITY_CLIENT_ID: 'tessera',
    TESSERA_IDENTITY_CLIENT_SECRET: SECRET,
    TESSERA_IDENTITY_TOKENS_CLIENT_POLICY: '*',
    TESSERA_IDENTITY_TOKENS_USER_POLICY: '*',
    ...settings,
  };
  delete env.TESSERA_BASE_URL;
  const tessera = (...given) => execFileSync(env.TESSERA_BIN, given, { env, encoding: 'utf8' });
  const child = spawn(env.TESSERA_BIN, ['serve', '--listen', `127.0.0.1:${port}`], { env, stdio: 'ignore' });
  for (let tries = 0; ; tries += 1) {
    const answer = await fetch(`${origin}/health/ready`).catch(() => undefined);
    if (answer?.ok) break;
    assert.ok(tries < 300 && child.exitCode === null, 'the server does not start');
    await new Promise((done) => setTimeout(done, 100));
  }
  const stop = async () => {
    const ended = new Promise((done) => child.once('exit', done));
    child.kill();
    await ended;
    provider.close();
    rmSync(folder, { recursive: true });
  };
  return { base, origin, provider, tessera, stop };
}

// A browser that keeps cookies and follows redirects until one leads to `until`, or a page comes.
class Browser {
  cookies = new Map();

  async visit(url, until = CALLBACK) {
    for (let hops = 0; hops < 20; hops += 1) {
      const jar = this.cookies.get(new URL(url).origin) ?? new Map();
      this.cookies.set(new URL(url).origin, jar);
      const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
      const answer = await fetch(url, { redirect: 'manual', headers: { cookie, accept: 'text/html' } });
      for (const line of answer.headers.getSetCookie()) {
        const [name, value] = line.split(';')[0].split(/=(.*)/s);
        if (value) jar.set(name, value);
        else jar.delete(name);
      }
      const location = answer.headers.get('location');
      if (!location) return { status: answer.status, text: await answer.text(), url };
      url = new URL(location, url).href;
      if (url.startsWith(until)) return { status: answer.status, url };
    }
    throw new Error('there is no end of redirects');
  }
}

async function post(url, form, credentials) {
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  if (credentials) headers.authorization = `Basic ${Buffer.from(credentials.map(encodeURIComponent).join(':')).toString('base64')}`;
  const answer = await fetch(url, { method: 'POST', headers, body: new URLSearchParams(form) });
  assert.ok(answer.ok, `${url}: ${answer.status} ${await answer.clone().text()}`);
  return answer.text().then((text) => (text ? JSON.parse(text) : {}));
}

// What a system gets from the authorization server that the FHIR server names.
async function systemToken({ base }, resource = base) {
  const { token_endpoint } = await (await fetch(`${base}/.well-known/smart-configuration`)).json();
  const form = { grant_type: 'client_credentials', scope: 'system/*.cruds', resource };
  return (await post(token_endpoint, form, ['lab', SECRET])).access_token;
}

// What an app gets for a user.
async function userTokens({ base }, scope) {
  const found = await (await fetch(`${base}/.well-known/smart-configuration`)).json();
  const asked = { response_type: 'code', client_id: 'app', redirect_uri: CALLBACK, scope, state: 's', resource: base, ...PKCE };
  const { url } = await new Browser().visit(`${found.authorization_endpoint}?${new URLSearchParams(asked)}`);
  const code = new URL(url).searchParams.get('code');
  assert.ok(code, url);
  const form = { grant_type: 'authorization_code', client_id: 'app', redirect_uri: CALLBACK, code, code_verifier: VERIFIER };
  return post(found.token_endpoint, form);
}

async function ask({ base }, token, path, resource) {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/fhir+json' };
  const answer = await fetch(`${base}/${path}`, resource ? { method: 'POST', headers, body: JSON.stringify(resource) } : { headers });
  return { status: answer.status, body: await answer.json() };
}

const patient = (family) => ({ resourceType: 'Patient', name: [{ family }] });

// What holds of access tokens from elsewhere, whatever they look like.
async function externalTokens(checks, site) {
  let ann;
  let ben;
  await checks.run('a system has what its scopes say', async () => {
    const token = await systemToken(site);
    ann = (await ask(site, token, 'Patient', patient('Ann'))).body.id;
    ben = (await ask(site, token, 'Patient', patient('Ben'))).body.id;
    assert.equal((await ask(site, token, 'Patient')).body.entry.length, 2);
  });
  await checks.run('a token for another server is refused', async () => {
    const token = await systemToken(site, 'https://other.example/fhir');
    assert.equal((await ask(site, token, 'Patient')).status, 401);
  });
  await checks.run('a patient sees their own record, and an id_token opens nothing', async () => {
    Object.assign(site.provider.login, { account: 'ann-there', patient: ann, fhirUser: `Patient/${ann}` });
    const tokens = await userTokens(site, 'openid patient/*.rs');
    assert.equal((await ask(site, tokens.access_token, `Patient/${ann}`)).status, 200);
    assert.equal((await ask(site, tokens.access_token, `Patient/${ben}`)).status, 404);
    assert.equal((await ask(site, tokens.access_token, 'Patient', patient('New'))).status, 403);
    assert.ok(tokens.id_token);
    assert.equal((await ask(site, tokens.id_token, `Patient/${ann}`)).status, 401);
  });
  await checks.run('a user who is linked here sees what their policy says', async () => {
    Object.assign(site.provider.login, { account: 'bob-there', patient: undefined, fhirUser: undefined });
    const { access_token } = await userTokens(site, 'openid user/*.rs');
    assert.equal((await ask(site, access_token, `Patient/${ben}`)).status, 403);
    const who = ['--name', 'Bob', '--role', 'clinician', '--fhir-user', 'Practitioner/bob', '--policy', 'Patient?name=Ben'];
    site.tessera('user', 'add', 'bob', ...who, '--federated', site.provider.issuer, 'bob-there');
    assert.equal((await ask(site, access_token, `Patient/${ben}`)).status, 200);
    assert.equal((await ask(site, access_token, `Patient/${ann}`)).status, 404);
    site.tessera('user', 'disable', 'bob');
    assert.equal((await ask(site, access_token, `Patient/${ben}`)).status, 401);
  });
  await checks.run('the built-in authorization server is off', async () => {
    for (const path of ['authorize', 'token', 'login', 'manage', 'jwks']) {
      assert.equal((await fetch(`${site.origin}/auth/${path}`)).status, 404, path);
    }
  });
}

async function jwts() {
  const checks = new Checks('oidc-provider, JWTs');
  const site = await start('external-jwt', 'jwt', { TESSERA_IDENTITY_TOKENS_MEDIA_TYPE: 'at+jwt' });
  await externalTokens(checks, site);
  await site.stop();
  return checks.passed;
}

async function opaque() {
  const checks = new Checks('oidc-provider, introspection');
  const site = await start('external-introspection', 'opaque');
  await externalTokens(checks, site);
  await checks.run('a token that was revoked is refused', async () => {
    const token = await systemToken(site);
    await post(`${site.provider.issuer}/token/revocation`, { token }, ['lab', SECRET]);
    assert.equal((await ask(site, token, 'Patient')).status, 401);
  });
  await site.stop();
  return checks.passed;
}

async function logins() {
  const checks = new Checks('oidc-provider, logins');
  const site = await start('federated', 'opaque', { TESSERA_IDENTITY_LOGIN_NAME: 'Example ID' });
  const redirect = ['--redirect-uri', CALLBACK, '--scope', 'user/*.rs openid'];
  site.tessera('client', 'add', 'app', '--name', 'Growth Chart', '--authentication', 'none', ...redirect);
  const who = ['--name', 'Dr. Bob', '--role', 'clinician', '--fhir-user', 'Practitioner/bob'];
  site.tessera('user', 'add', 'bob', ...who, '--federated', site.provider.issuer, 'bob-there');
  const asked = { response_type: 'code', client_id: 'app', redirect_uri: CALLBACK, scope: 'user/*.rs', state: 's', aud: site.base, ...PKCE };
  const logIn = async (browser, more = {}) => {
    const page = await browser.visit(`${site.origin}/auth/authorize?${new URLSearchParams({ ...asked, ...more })}`);
    assert.ok(page.text.includes('Log in with Example ID'), page.text);
    const link = /href="(federated[^"]*)"/.exec(page.text)[1].replaceAll('&#38;', '&');
    return browser.visit(`${site.origin}/auth/${link}`);
  };
  await checks.run('a user logs in there and is asked for consent here', async () => {
    for (const more of [{}, { prompt: 'login' }, { max_age: '600' }]) {
      const page = await logIn(new Browser(), more);
      assert.equal(page.status, 200, page.text);
      assert.ok(page.url.startsWith(`${site.origin}/auth/authorize?`), page.url);
      assert.ok(page.text.includes('Growth Chart') && page.text.includes('Dr. Bob'), page.text);
    }
  });
  await checks.run('somebody whom nobody here is linked to is told so', async () => {
    site.provider.login.account = 'eve-there';
    const page = await logIn(new Browser());
    assert.equal(page.status, 403);
    assert.ok(page.text.includes('nobody here is linked') && page.text.includes('eve-there'), page.text);
  });
  await site.stop();
  return checks.passed;
}

const results = [await jwts(), await opaque(), await logins()];
process.exit(results.every(Boolean) ? 0 : 1);
