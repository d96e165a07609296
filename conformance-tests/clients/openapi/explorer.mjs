// The pages in Chromium: they ask no other host for anything, and the explorer tries a request with a token.
// Arguments: the origin, an access token, a file with the explorer as npm has it. SCREENSHOTS: a folder for pictures of the pages.

import { strict as assert } from 'node:assert';
import { mkdirSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { chromium } from 'playwright-core';
import { Checks } from './checks.mjs';

const [origin, token, original] = process.argv.slice(2);
const checks = new Checks('pages');
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
const views = [
  { name: 'desktop', viewport: { width: 1280, height: 850 } },
  { name: 'phone', viewport: { width: 360, height: 740 } },
  { name: 'dark', viewport: { width: 1280, height: 850 }, colorScheme: 'dark' },
];

async function open(view, body) {
  const context = await browser.newContext(view);
  context.setDefaultTimeout(60_000);
  const page = await context.newPage();
  const problems = [];
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(message.text());
  });
  page.on('request', (request) => {
    const { protocol, origin: asked } = new URL(request.url());
    if (!['data:', 'blob:'].includes(protocol) && asked !== origin) problems.push(`asks ${request.url()}`);
  });
  await body(page);
  await context.close();
  assert.deepEqual(problems, []);
}

async function picture(page, name, view) {
  if (!process.env.SCREENSHOTS) return;
  mkdirSync(process.env.SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: `${process.env.SCREENSHOTS}/${name}-${view.name}.png` });
}

for (const view of views) {
  await checks.run(`landing page and capabilities, ${view.name}`, () => open({ ...view, javaScriptEnabled: false }, async (page) => {
    await page.goto(`${origin}/`);
    await picture(page, 'landing', view);
    await page.getByRole('link', { name: 'What it can do' }).click();
    await page.getByRole('heading', { level: 1, name: 'What this server can do' }).waitFor();
    await page.getByText('Observation', { exact: true }).first().click();
    await page.getByRole('cell', { name: 'code-value-quantity', exact: true }).first().waitFor();
    await picture(page, 'capabilities', view);
    const wider = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth).catch(() => false);
    assert.equal(wider, false);
  }));
  await checks.run(`explorer, ${view.name}`, () => open(view, async (page) => {
    await page.goto(`${origin}/docs`);
    await page.getByRole('heading', { level: 1, name: 'Tessera' }).waitFor();
    await picture(page, 'explorer', view);
  }));
}
await checks.run('a request is tried with a token', () => open(views[0], async (page) => {
  await page.goto(`${origin}/docs`);
  await page.getByPlaceholder('Token').locator('visible=true').first().fill(token);
  await page.getByText('Search Patients').first().click();
  await page.getByRole('button', { name: /Test Request.*get \/fhir\/Patient\b/i }).first().click();
  const answered = page.waitForResponse((response) => new URL(response.url()).pathname === '/fhir/Patient');
  await page.getByRole('button', { name: /^Send/ }).first().click();
  assert.equal((await answered).status(), 200);
  await page.getByText('200 OK').first().waitFor();
  await picture(page, 'tried', views[0]);
}));
await checks.run('the explorer is the one of the package', async () => {
  const served = await fetch(`${origin}/docs/scalar.js`).then((response) => response.text());
  assert.ok(served === readFileSync(original, 'utf8'));
  assert.ok(gunzipSync(readFileSync('crates/http/assets/scalar.js.gz')).toString() === served);
});
await browser.close();
process.exit(checks.passed ? 0 : 1);
