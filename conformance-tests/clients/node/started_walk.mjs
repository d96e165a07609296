// The walk through docs/getting-started.md. Arguments: the binary, the folders of Python's and Java's packages, the pom.xml of the latter.

import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Checks } from './checks.mjs';
import { Walk } from './walk.mjs';

const [binary, python, lib, pom] = process.argv.slice(2);
const checks = new Checks('docs/getting-started.md');
const walk = new Walk('docs/getting-started.md', binary, [8080], { venv: python, lib });

// The packages that a pom.xml names, with their versions.
function packages(text) {
  const whole = text.replaceAll(/\$\{(\w+)\}/g, (_, name) => text.match(`<${name}>(.*?)</${name}>`)[1]);
  const found = whole.matchAll(/<dependency>\s*<groupId>(.*?)<.*?<artifactId>(.*?)<.*?<version>(.*?)</gs);
  return [...found].map(([, ...words]) => words.join(':'));
}

try {
  await walk.begin({ TESSERA_LISTEN: '127.0.0.1:8080' });
  await checks.run('each step', async () => assert.ok((await walk.perform()) >= 20));
  await checks.run('what it has Maven fetch is what is used', () => {
    const [told, used] = [join(walk.folder, 'pom.xml'), pom].map((file) => packages(readFileSync(file, 'utf8')));
    assert.ok(told.length > 0);
    assert.deepEqual(told, used);
  });
} finally {
  await walk.end();
}
process.exit(checks.passed ? 0 : 1);
