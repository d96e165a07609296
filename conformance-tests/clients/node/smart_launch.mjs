// SMART App Launch as users and apps see it: Chromium, and apps written with fhirclient.
// TESSERA_BIN and TESSERA_DATABASE_URL are those of the server; its data and users are those of the folder clinic.

import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRemoteJWKSet, exportJWK, generateKeyPair, jwtVerify } from 'jose';
import { chromium } from 'playwright-core';
import { Checks } from './checks.mjs';
import { serveApps } from './smart_apps.mjs';
import { DESKTOP, PHONE, Visit } from './smart_visit.mjs';

const base = process.argv[2];
const server = new URL(base).origin;
const checks = new Checks('SMART launch');

const SCOPES = 'launch launch/patient launch/encounter openid fhirUser offline_access online_access patient/*.rs user/*.rs';
const STANDALONE = 'launch/patient openid fhirUser offline_access patient/*.rs';

function tessera(...given) {
  const said = execFileSync(process.env.TESSERA_BIN, given, { encoding: 'utf8' });
  return said.startsWith('{') ? JSON.parse(said) : said;
}

function add(id, name, authentication, ...more) {
  return tessera('client', 'add', id, '--name', name, '--authentication', authentication, '--scope', SCOPES, '--policy', '*', ...more);
}

// The apps are known before a page asks: which origins there are, the server believes for a minute.
const settings = { basic: { clientId: 'basic', scope: STANDALONE }, signed: { clientId: 'signed', scope: STANDALONE } };
const apps = await serveApps(base, settings);
const at = (app, page) => ['--redirect-uri', `${apps.origin}/${app}/${page}`, '--launch-url', `${apps.origin}/${app}/launch`];
add('chart', 'Growth Chart', 'none', ...at('chart', 'index'), '--origin', apps.origin, '--organization', 'Example Inc.');
add('ehr', 'Ward', 'none', ...at('ehr', 'index'), '--origin', apps.origin, '--launches');
add('native', 'Diary', 'none', '--redirect-uri', 'http://[::1]:1/callback');
settings.basic.clientSecret = add('basic', 'Web Portal', 'client_secret_basic', ...at('basic', 'callback')).client_secret;
const { publicKey, privateKey } = await generateKeyPair('ES384', { extractable: true });
const jwk = async (key) => ({ ...(await exportJWK(key)), alg: 'ES384', kid: 'one', use: 'sig' });
const folder = mkdtempSync(join(tmpdir(), 'smart-'));
writeFileSync(join(folder, 'jwks.json'), JSON.stringify({ keys: [await jwk(publicKey)] }));
add('signed', 'Hospital Portal', 'private_key_jwt', ...at('signed', 'callback'), '--jwks', join(folder, 'jwks.json'));
rmSync(folder, { recursive: true });
settings.signed.clientPrivateJwk = { ...(await jwk(privateKey)), key_ops: ['sign'] };

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu'],
});

async function check(name, body, options) {
  await checks.run(name, async () => {
    const visit = await new Visit(browser, { server, apps: apps.origin, screenshots: process.env.SCREENSHOTS }).open(options);
    try {
      await body(visit);
    } finally {
      await visit.close();
    }
  });
}

// Gets a standalone app its token, for Ann and of her own record.
async function launched(visit, scope = STANDALONE) {
  await visit.start('chart', scope);
  await visit.logsIn('ann');
  await visit.chooses(/Ann Chalmers/);
  await visit.allows();
  return visit.comesTo('ready');
}

for (const [size, viewport, colorScheme] of [['desktop', DESKTOP, 'light'], ['phone', PHONE, 'light'], ['dark', DESKTOP, 'dark']]) {
  await check(`a standalone launch, ${size}`, async (visit) => {
    await visit.start('chart', STANDALONE);
    await visit.sees('Log in', 'login');
    await visit.page.getByLabel('Name').fill(`ann-${size}`);
    await visit.page.getByLabel('Password').fill('wrong');
    await visit.press('Log in');
    await visit.sees('Log in', 'login-wrong');
    await visit.page.getByRole('alert').getByText('wrong').waitFor();
    assert.equal(await visit.page.getByLabel('Name').inputValue(), `ann-${size}`);
    await visit.logsIn('ann');
    await visit.sees(/^Choose a patient/, 'picker');
    assert.equal(await visit.page.getByRole('button', { name: /born/ }).count(), 2);
    await visit.chooses(/Ann Chalmers/);
    await visit.sees(/Growth Chart/, 'consent');
    await visit.page.getByText('Example Inc.').waitFor();
    await visit.allows();
    const token = await visit.comesTo('ready');
    assert.equal(token.patient, 'ann');
    assert.deepEqual(token.scope.split(' ').sort(), STANDALONE.split(' ').sort());
    assert.deepEqual(await visit.found('Observation'), ['ann-glucose', 'ann-pulse']);
    assert.equal((await visit.ask('Patient/ann')).body.name[0].family, 'Chalmers');
    assert.equal((await visit.ask('Patient/ben')).status, 404);
    assert.equal((await visit.ask('Patient/carl')).status, 404);
    assert.deepEqual(await visit.found('Observation?patient=carl'), []);
    const written = await visit.page.evaluate(() => window.client.create({ resourceType: 'Patient' }).then(() => 201, (error) => error.status));
    assert.equal(written, 403);
    await visit.page.goto(`${server}/auth/manage`);
    await visit.sees('What apps may do', 'manage');
  }, { viewport, colorScheme });
}

await check('refresh', async (visit) => {
  const first = await launched(visit);
  const second = await visit.page.evaluate(() => window.client.refresh().then(({ tokenResponse }) => tokenResponse));
  assert.notEqual(second.access_token, first.access_token);
  assert.notEqual(second.refresh_token, first.refresh_token);
  assert.equal((await visit.ask('Patient/ann')).status, 200);
});

await check('the user takes access back', async (visit) => {
  const token = await launched(visit);
  await visit.page.goto(`${server}/auth/manage`);
  await visit.sees('What apps may do');
  const buttons = visit.page.getByRole('button', { name: /^Take back/ });
  for (let count = await buttons.count(); count > 0; count -= 1) {
    await buttons.first().click();
    await visit.page.waitForFunction((count) => document.querySelectorAll('[name=authorization]').length < count, count);
  }
  await visit.page.getByText('No app has access.').waitFor();
  await visit.sees('What apps may do', 'manage-empty');
  assert.ok((await visit.refusedAfter(token.access_token)) < 5000);
  const form = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: token.refresh_token, client_id: 'chart' });
  assert.equal((await (await fetch(`${server}/auth/token`, { method: 'POST', body: form })).json()).error, 'invalid_grant');
});

await check('the app gives access back', async (visit) => {
  const token = await launched(visit);
  const status = await visit.page.evaluate(async ([url, token]) => {
    const { revocation_endpoint } = await (await fetch(`${url}/.well-known/smart-configuration`)).json();
    const form = new URLSearchParams({ token, client_id: 'chart' });
    return (await fetch(revocation_endpoint, { method: 'POST', body: form })).status;
  }, [base, token.refresh_token]);
  assert.equal(status, 200);
  assert.ok((await visit.refusedAfter(token.access_token)) < 5000);
});

// https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#scopes-for-requesting-identity-data
await check('who the user is', async (visit) => {
  await visit.start('chart', 'openid fhirUser user/*.rs', 'nonce=n-0S6_WzA2Mj');
  await visit.logsIn('dora');
  await visit.allows();
  const token = await visit.comesTo('ready');
  const configuration = await (await fetch(`${base}/.well-known/smart-configuration`)).json();
  const keys = createRemoteJWKSet(new URL(configuration.jwks_uri));
  const { payload } = await jwtVerify(token.id_token, keys, { issuer: configuration.issuer, audience: 'chart', algorithms: ['RS256'] });
  assert.equal(payload.nonce, 'n-0S6_WzA2Mj');
  assert.equal(payload.fhirUser, `${base}/Practitioner/dora`);
  assert.equal(await visit.page.evaluate(() => window.client.user.read().then((user) => user.id)), 'dora');
});

for (const [size, viewport] of [['desktop', DESKTOP], ['phone', PHONE]]) {
  await check(`an EHR launch from the server's page, ${size}`, async (visit) => {
    await visit.page.goto(`${server}/auth/launch`);
    await visit.logsIn('dora');
    await visit.sees('Start an app', 'launch');
    await visit.page.getByLabel(/name or identifier/).fill('carl');
    await visit.press('Search');
    await visit.page.getByLabel(/Carl Windsor/).check();
    await visit.page.getByLabel('Growth Chart').check();
    await visit.press('Start');
    await visit.sees(/is ready/, 'launched');
    // Until now the app knows nothing; it asks for what it needs when it is started.
    const link = new URL(await visit.page.getByRole('link', { name: 'Open Growth Chart' }).getAttribute('href'));
    link.searchParams.set('scope', 'launch openid fhirUser patient/*.rs');
    await visit.page.goto(link.href);
    await visit.sees(/Growth Chart/, 'consent-launched');
    await visit.page.getByText('Carl Windsor').first().waitFor();
    await visit.allows();
    const token = await visit.comesTo('ready');
    assert.deepEqual([token.patient, token.need_patient_banner], ['carl', true]);
    assert.deepEqual(await visit.found('Observation'), ['carl-pulse']);
    assert.equal((await visit.ask('Patient/ann')).status, 404);
    // The handle is used up.
    await visit.page.goto(link.href);
    assert.match(await visit.comesTo('failed'), /invalid_request/);
  }, { viewport });
}

await check('an EHR launch by an EHR', async (visit) => {
  await visit.start('ehr', 'user/*.rs');
  await visit.logsIn('dora');
  await visit.allows();
  const { access_token } = await visit.comesTo('ready');
  const launch = { client: 'chart', patient: 'ann', encounter: 'ann-visit', intent: 'reconcile', need_patient_banner: false };
  const prepared = await visit.page.evaluate(async ([url, token, launch]) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    return (await fetch(url, { method: 'POST', headers, body: JSON.stringify(launch) })).json();
  }, [`${server}/auth/launch`, access_token, launch]);
  const link = new URL(prepared.launch_url);
  assert.equal(link.searchParams.get('iss'), base);
  link.searchParams.set('scope', 'launch launch/encounter openid patient/*.rs');
  await visit.page.goto(link.href);
  await visit.allows();
  const token = await visit.comesTo('ready');
  const told = [token.patient, token.encounter, token.intent, token.need_patient_banner];
  assert.deepEqual(told, ['ann', 'ann-visit', 'reconcile', false]);
  assert.equal(await visit.page.evaluate(() => window.client.encounter.read().then((read) => read.id)), 'ann-visit');
});

for (const [app, title] of [['basic', 'Web Portal'], ['signed', 'Hospital Portal']]) {
  await check(`an app with a secret: ${app}`, async (visit) => {
    await visit.start(app, '');
    await visit.logsIn('ann');
    await visit.chooses(/Ben Chalmers/);
    await visit.sees(new RegExp(title));
    await visit.allows();
    await visit.comesTo('ready');
    const client = apps.clients[app];
    assert.equal((await client.patient.read()).id, 'ben');
    await assert.rejects(client.request('Patient/carl'), { status: 404 });
    // fhirclient signs nothing when it refreshes.
    if (app === 'signed') return assert.rejects(client.refresh(), { status: 401 });
    const before = client.state.tokenResponse.access_token;
    await client.refresh();
    assert.notEqual(client.state.tokenResponse.access_token, before);
    assert.equal((await client.patient.read()).id, 'ben');
  });
}

await check('the user gives less than was asked for', async (visit) => {
  const scope = 'launch/patient offline_access patient/Patient.rs patient/Observation.rs patient/Condition.rs';
  await visit.start('chart', scope);
  await visit.logsIn('ann');
  await visit.chooses(/Ann Chalmers/);
  await visit.sees(/Growth Chart/);
  await visit.page.getByLabel('Keep access when you are not there').uncheck();
  await visit.page.getByLabel(/^See conditions/).uncheck();
  await visit.page.getByText('Only some kinds').first().click();
  await visit.page.getByLabel('Laboratory results').check();
  await visit.sees(/Growth Chart/, 'consent-narrowed');
  await visit.allows();
  const token = await visit.comesTo('ready');
  const kind = 'http://terminology.hl7.org/CodeSystem/observation-category|laboratory';
  assert.equal(token.scope, `launch/patient patient/Patient.rs patient/Observation.rs?category=${kind}`);
  assert.equal(token.refresh_token, undefined);
  assert.deepEqual(await visit.found('Observation'), ['ann-glucose']);
  assert.equal((await visit.ask('Observation/ann-pulse')).status, 404);
  assert.equal((await visit.ask('Condition')).status, 403);
});

await check('the user says no', async (visit) => {
  await visit.start('chart', STANDALONE);
  await visit.logsIn('ann');
  await visit.chooses(/Ann Chalmers/);
  await visit.sees(/Growth Chart/);
  await visit.press('Do not allow');
  assert.match(await visit.comesTo('failed'), /^access_denied/);
});

await check('prompt', async (visit) => {
  await visit.start('chart', 'user/Patient.rs', 'prompt=none');
  assert.match(await visit.comesTo('failed'), /^login_required/);
  await visit.start('chart', 'user/Patient.rs');
  await visit.logsIn('dora');
  await visit.sees(/Growth Chart/);
  await visit.page.getByLabel('Do not ask me again for the same').check();
  await visit.press('Allow');
  await visit.comesTo('ready');
  await visit.start('chart', 'user/Patient.rs', 'prompt=none');
  await visit.comesTo('ready');
  await visit.start('chart', 'user/Patient.rs', 'prompt=consent');
  await visit.sees(/Growth Chart/);
  await visit.start('chart', 'user/Patient.rs', 'prompt=login');
  await visit.logsIn('dora');
  await visit.comesTo('ready');
});

await check('with the keyboard alone', async (visit) => {
  const { keyboard } = visit.page;
  const focused = () => visit.page.evaluate(() => {
    const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
    const ring = outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2;
    return { text: document.activeElement.labels?.[0]?.innerText ?? document.activeElement.innerText, ring };
  });
  // Tab until what has this text is focused; everything on the way shows that it is.
  const reach = async (text) => {
    for (let presses = 0; presses < 40; presses += 1) {
      await keyboard.press('Tab');
      const now = await focused();
      assert.ok(now.ring, `no ring around ${now.text}`);
      if (now.text.startsWith(text)) return;
    }
    assert.fail(`${text} is not reached`);
  };
  await visit.start('chart', STANDALONE);
  await visit.sees('Log in');
  await reach('Name');
  await keyboard.type('ann');
  await reach('Password');
  await keyboard.type('correct horse battery staple');
  await keyboard.press('Enter');
  await visit.sees(/^Choose/);
  await reach('Ben Chalmers');
  await keyboard.press('Enter');
  await visit.sees(/Growth Chart/);
  await reach('Keep access when you are not there');
  await keyboard.press('Space');
  await reach('Allow');
  await keyboard.press('Enter');
  const token = await visit.comesTo('ready');
  assert.deepEqual([token.patient, token.refresh_token], ['ben', undefined]);
});

// RFC 8252, section 7.3: an app on the user's machine listens on a port that it could not know before.
await check('a native app on [::1]', async (visit) => {
  let answer;
  const app = createServer((request, response) => {
    answer ??= new URL(request.url, 'http://native').searchParams;
    response.end('You may close this window.');
  });
  await new Promise((resolve) => app.listen(0, '::1', resolve));
  const request = new URLSearchParams({
    response_type: 'code', client_id: 'native', redirect_uri: `http://[::1]:${app.address().port}/callback`, state: 'x', aud: base,
    scope: 'patient/Patient.rs', code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM', code_challenge_method: 'S256',
  });
  await visit.page.goto(`${server}/auth/authorize?${request}`);
  await visit.logsIn('ann');
  await visit.chooses(/Ann Chalmers/);
  await visit.allows();
  await visit.page.getByText('You may close this window.').waitFor();
  assert.ok(answer.get('code'));
  app.close();
});

for (const [size, viewport] of [['desktop', DESKTOP], ['phone', PHONE]]) {
  await check(`what cannot be answered, and logout, ${size}`, async (visit) => {
    await visit.page.goto(`${server}/auth/authorize?client_id=nobody`);
    await visit.sees('This does not work', 'error');
    await visit.page.getByRole('alert').waitFor();
    await visit.page.goto(`${server}/auth/manage`);
    await visit.logsIn('dora');
    await visit.sees('What apps may do');
    await visit.press('Log out');
    await visit.sees('Log in', 'logged-out');
    await visit.page.goto(`${server}/auth/manage`);
    await visit.sees('Log in');
  }, { viewport });
}

await browser.close();
apps.close();
process.exit(checks.passed ? 0 : 1);
