// The walk through docs/smart.md, as it stands there: its files are written, its commands are run, its app is used in Chromium.
// What it installs is there already; its ports are others. Arguments: the document, the binary, the folders of the packages.

import { strict as assert } from 'node:assert';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { chromium } from 'playwright-core';
import { Checks } from './checks.mjs';

const [document, binary, nodeModules, python] = process.argv.slice(2);
const checks = new Checks('docs/smart.md');
const folder = mkdtempSync(join(tmpdir(), 'walk-'));
const running = [];

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

const [serverPort, appPort] = [await freePort(), await freePort()];
const elsewhere = (text) => text.replaceAll('8080', serverPort).replaceAll('8000', appPort);
// Fenced blocks: the language, and what is to be done with it or the name of the file that it is.
const blocks = [...readFileSync(document, 'utf8').matchAll(/^```(\w+) (\S+)\n(.*?)^```$/gms)];
const env = { ...process.env, PATH: `${dirname(binary)}:${process.env.PATH}`, TESSERA_LISTEN: `127.0.0.1:${serverPort}` };
delete env.TESSERA_DATABASE_URL;
let printed = '';

async function until(url) {
  for (let tries = 0; tries < 600; tries += 1) {
    const answer = await fetch(url).catch(() => null);
    if (answer?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail(`${url} does not answer`);
}

async function start(text, url) {
  running.push(spawn('bash', ['-c', `exec ${text}`], { cwd: folder, env, stdio: 'ignore' }));
  await until(url);
}

async function perform(kind, text) {
  switch (kind) {
    case 'demo':
      return start(text, `http://127.0.0.1:${serverPort}/health/ready`);
    case 'serve':
      return start(text, `http://127.0.0.1:${appPort}/`);
    case 'run':
      printed = execFileSync('bash', ['-e', '-c', text], { cwd: folder, env, encoding: 'utf8' });
      return undefined;
    case 'install':
      return undefined;
    default:
      return writeFileSync(join(folder, kind), text);
  }
}

async function use(browser, body) {
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(20_000);
  const logIn = async (user) => {
    const at = ['patient', 'clinician', 'admin'].indexOf(user);
    await page.getByLabel('Name').fill(user);
    await page.getByLabel('Password').fill(JSON.parse(readFileSync(join(folder, 'demo/demo.json'))).passwords[at]);
    await page.getByRole('button', { name: 'Log in' }).click();
  };
  await body(page, logIn);
  await page.getByRole('button', { name: 'Allow', exact: true }).click();
  await page.locator('#observations li').first().waitFor();
  assert.match(await page.locator('#name').textContent(), /^\p{L}+ .*\p{L}+$/u);
  await page.context().close();
}

try {
  symlinkSync(nodeModules, join(folder, 'node_modules'));
  symlinkSync(python, join(folder, 'venv'));
  await checks.run('each step', async () => {
    assert.ok(blocks.length >= 10, `${blocks.length} blocks`);
    for (const [, , kind, text] of blocks) await perform(kind, elsewhere(text));
    assert.equal(printed.trim().split('\n').length, 50, printed);
  });
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
  await checks.run('the app, standalone', () => use(browser, async (page, logIn) => {
    await page.goto(`http://localhost:${appPort}/`);
    await logIn('patient');
    await page.getByRole('button', { name: /born/ }).click();
  }));
  await checks.run('the app, started by the server', () => use(browser, async (page, logIn) => {
    await page.goto(`http://127.0.0.1:${serverPort}/auth/launch`);
    await logIn('clinician');
    await page.locator('[name=patient]').nth(3).check();
    await page.getByLabel('My App').check();
    await page.getByRole('button', { name: 'Start' }).click();
    await page.getByRole('link', { name: 'Open My App' }).click();
  }));
  await browser.close();
} finally {
  for (const child of running) child.kill();
  await new Promise((resolve) => setTimeout(resolve, 500));
  rmSync(folder, { recursive: true, force: true });
}
process.exit(checks.passed ? 0 : 1);
