// A user before a browser, by whom all pages of the server are looked at as they come.

import { strict as assert } from 'node:assert';
import { mkdirSync } from 'node:fs';

export const PASSWORD = 'correct horse battery staple';
export const DESKTOP = { width: 1100, height: 800 };
export const PHONE = { width: 360, height: 740 };

export class Visit {
  // `server`: the origin of the server; `apps`: that of the apps. `screenshots`: a folder for a picture of each page.
  constructor(browser, { server, apps, screenshots }) {
    Object.assign(this, { browser, server, apps, screenshots, problems: [] });
  }

  async open(options = {}) {
    this.context = await this.browser.newContext({ viewport: DESKTOP, ...options });
    this.context.setDefaultTimeout(60_000);
    this.page = await this.context.newPage();
    this.page.on('pageerror', (error) => this.problems.push(error.message));
    this.page.on('console', (message) => {
      if (/content security policy/i.test(message.text())) this.problems.push(message.text());
    });
    return this;
  }

  async close() {
    await this.context.close();
    assert.deepEqual(this.problems, []);
  }

  // Starts an app without an EHR. `more` is added to what it asks.
  async start(app, scope, more = '') {
    await this.page.goto(`${this.apps}/${app}/launch?${new URLSearchParams({ scope, more })}`);
  }

  // Waits for a page of the server by its heading, and looks at it.
  async sees(heading, name) {
    await this.page.getByRole('heading', { level: 1, name: heading }).waitFor();
    assert.equal(new URL(this.page.url()).origin, this.server);
    assert.deepEqual(await this.page.evaluate(faults), [], `the page ${heading}`);
    if (this.screenshots && name) {
      mkdirSync(this.screenshots, { recursive: true });
      const { width } = this.page.viewportSize();
      const scheme = await this.page.evaluate(() => (matchMedia('(prefers-color-scheme: dark)').matches ? '-dark' : ''));
      await this.page.screenshot({ path: `${this.screenshots}/${name}-${width}${scheme}.png`, fullPage: true, caret: 'initial' });
    }
  }

  async press(button) {
    await this.page.getByRole('button', { name: button, exact: true }).click();
  }

  async logsIn(user, password = PASSWORD) {
    await this.sees('Log in');
    await this.page.getByLabel('Name').fill(user);
    await this.page.getByLabel('Password').fill(password);
    await this.press('Log in');
  }

  async chooses(title) {
    await this.sees(/^Choose a/);
    await this.page.getByRole('button', { name: title }).click();
  }

  async allows() {
    await this.sees(/have access\?$/);
    await this.press('Allow');
  }

  // What an app has come to: 'ready', with what the token endpoint said, or 'failed', with why.
  async comesTo(state) {
    const said = this.page.locator('p#state.ready, p#state.failed');
    await said.waitFor();
    const text = await said.textContent();
    assert.equal(await said.getAttribute('class'), state, text);
    return state === 'ready' && text.startsWith('{') ? JSON.parse(text) : text;
  }

  // What the app in the browser is answered by the server, through its library.
  ask(url) {
    return this.page.evaluate((url) => window.ask(url), url);
  }

  async found(url) {
    const { status, body } = await this.ask(url);
    assert.equal(status, 200, JSON.stringify(body));
    return (body.entry ?? []).map(({ resource }) => resource.id).sort();
  }

  // How long it takes until an access token is refused; the specification of this server says 5 s at most.
  async refusedAfter(token) {
    const start = Date.now();
    while (Date.now() - start < 10_000) {
      const answer = await fetch(`${this.server}/fhir/Patient/ann`, { headers: { authorization: `Bearer ${token}` } });
      if (answer.status === 401) return Date.now() - start;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return Infinity;
  }
}

// What is wrong with a page, told by the browser. Runs there.
function faults() {
  const found = [];
  const check = (good, text) => good || found.push(text);
  check(document.documentElement.lang === 'en', 'no language');
  check(document.title.endsWith('Tessera') && document.title.length > 10, 'no title');
  check(document.scripts.length === 0, 'a script');
  check(document.querySelectorAll('[style], style, [onclick], [onsubmit], [onload]').length === 0, 'something inline');
  check(document.querySelectorAll('h1').length === 1, 'not one h1');
  check(document.querySelectorAll('main').length === 1, 'not one main');
  check(document.documentElement.scrollWidth <= innerWidth, `wider than the window: ${document.documentElement.scrollWidth}`);
  const ids = [...document.querySelectorAll('[id]')].map((element) => element.id);
  check(new Set(ids).size === ids.length, 'an id twice');
  for (const input of document.querySelectorAll('input:not([type=hidden]), select, textarea')) {
    check(input.labels.length > 0, `no label: ${input.name}`);
  }
  for (const set of document.querySelectorAll('fieldset')) check(set.querySelector('legend'), 'no legend');
  for (const link of document.querySelectorAll('[aria-describedby], a[href^="#"]')) {
    const target = link.getAttribute('aria-describedby') ?? link.getAttribute('href').slice(1);
    check(document.getElementById(target), `nothing has the id ${target}`);
  }
  // What is pressed is large enough for a finger: WCAG 2.2, 2.5.8.
  for (const button of document.querySelectorAll('button, a.button, input[type=checkbox], input[type=radio]')) {
    const { width, height } = button.getBoundingClientRect();
    if (width > 0) check(width >= 20 && height >= 20, `too small: ${button.textContent || button.name}`);
  }
  // Contrast: WCAG 2.2, 1.4.3.
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgb = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const light = (color) => {
    const [r, g, b] = [...color].map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = rgb(getComputedStyle(at).backgroundColor);
      if (color[3] === 255) return color;
    }
    return rgb(matchMedia('(prefers-color-scheme: dark)').matches ? '#121212' : '#fff');
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    const text = texts.currentNode.textContent.trim();
    if (!text || !element.checkVisibility()) continue;
    const two = [light(rgb(getComputedStyle(element).color)), light(ground(element))].sort();
    const ratio = (two[1] + 0.05) / (two[0] + 0.05);
    check(ratio >= 4.5, `contrast ${ratio.toFixed(1)}: ${text}`);
  }
  return found;
}
