// The walk through a page of the documentation. Arguments: the page, the binary, what else it is to find: NAME=FOLDER.

import { Checks } from './checks.mjs';
import { Walk } from './walk.mjs';

const [page, binary, ...links] = process.argv.slice(2);
const checks = new Checks(page);
const walk = new Walk(page, binary, [8080], Object.fromEntries(links.map((link) => link.split('='))));
try {
  await walk.begin({ TESSERA_LISTEN: '127.0.0.1:8080' });
  await checks.run('each step', () => walk.perform());
} finally {
  await walk.end();
}
process.exit(checks.passed ? 0 : 1);
