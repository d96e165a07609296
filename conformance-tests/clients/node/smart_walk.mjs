// The walk through docs/smart.md; its app is used in Chromium. Arguments: the binary, the folders of the packages.

import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { Checks } from './checks.mjs';
import { Walk } from './walk.mjs';

const [binary, nodeModules, python] = process.argv.slice(2);
const checks = new Checks('docs/smart.md');
const walk = new Walk('docs/smart.md', binary, [8080, 8000], { node_modules: nodeModules, venv: python });

async function use(browser, body) {
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(60_000);
  const logIn = async (user) => {
    const at = ['patient', 'clinician', 'admin'].indexOf(user);
    await page.getByLabel('Name').fill(user);
    await page.getByLabel('Password').fill(JSON.parse(readFileSync(join(walk.folder, 'demo/demo.json'))).passwords[at]);
    await page.getByRole('button', { name: 'Log in' }).click();
  };
  await body(page, logIn);
  await page.getByRole('button', { name: 'Allow', exact: true }).click();
  await page.locator('#observations li').first().waitFor();
  assert.match(await page.locator('#name').textContent(), /^\p{L}+ .*\p{L}+$/u);
  await page.context().close();
}

try {
  await walk.begin({ TESSERA_LISTEN: '127.0.0.1:8080' });
  await checks.run('each step', async () => {
    assert.ok((await walk.perform()) >= 10);
    const patients = walk.printings.filter((text) => text.trim().split('\n').length === 50);
    assert.equal(patients.length, 1, 'the backend client lists each of the patients');
  });
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
  await checks.run('the app, standalone', () => use(browser, async (page, logIn) => {
    await page.goto(walk.moved('http://localhost:8000/'));
    await logIn('patient');
    await page.getByRole('button', { name: /born/ }).click();
  }));
  await checks.run('the app, started by the server', () => use(browser, async (page, logIn) => {
    await page.goto(walk.moved('http://127.0.0.1:8080/auth/launch'));
    await logIn('clinician');
    await page.locator('[name=patient]').nth(3).check();
    await page.getByLabel('My App').check();
    await page.getByRole('button', { name: 'Start' }).click();
    await page.getByRole('link', { name: 'Open My App' }).click();
  }));
  await browser.close();
} finally {
  await walk.end();
}
process.exit(checks.passed ? 0 : 1);
