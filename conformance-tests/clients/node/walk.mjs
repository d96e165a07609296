// A walk through a document, as it stands there: its files are written, its commands are run, what it says that they print is compared.
//
// A fenced block says behind its language what is to be done with it:
//
//   run              commands that are run to their end, with the variables of those before; one that fails ends the walk
//   prints           what they have printed
//   shows            lines of it, or what is in such lines, in this order
//   serve:PORT/PATH  a server that runs until the end of the walk; it is waited for until it answers there, and variables are
//                    exported as it says
//   install          left out: what it installs is there already, as `links`
//   anything else    the name of a file, whose content it is
//
// Other blocks are shown and no more. Ports are others than those of the document.

import { strict as assert } from 'node:assert';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

async function until(url) {
  for (let tries = 0; tries < 600; tries += 1) {
    const answer = await fetch(url).catch(() => null);
    if (answer?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail(`${url} does not answer`);
}

export class Walk {
  // The document; the server's program; the ports that the document names; folders by the names that the document has for them.
  constructor(document, binary, ports, links) {
    this.document = document;
    this.folder = mkdtempSync(join(tmpdir(), 'walk-'));
    this.running = [];
    this.printed = '';
    this.printings = [];
    this.ports = new Map(ports.map((port) => [port, port]));
    for (const [name, folder] of Object.entries(links)) symlinkSync(folder, join(this.folder, name));
    this.env = { ...process.env, PATH: `${dirname(binary)}:${process.env.PATH}` };
    for (const name of Object.keys(this.env)) if (name.startsWith('TESSERA_')) delete this.env[name];
  }

  // Chooses ports; variables of the environment that name one have it, too.
  async begin(environment = {}) {
    for (const port of this.ports.keys()) this.ports.set(port, await freePort());
    for (const [name, value] of Object.entries(environment)) this.env[name] = this.moved(value);
  }

  // A text of the document, with the ports as they are here.
  moved(text) {
    return text.replace(/(?<=[:\s"])\d{4}(?!\d)/g, (port) => this.ports.get(Number(port)) ?? port);
  }

  // Performs all blocks.
  async perform() {
    // Indented fences are those of lists.
    const blocks = [...readFileSync(this.document, 'utf8').matchAll(/^```(\w+) (\S+)\n(.*?)^```$/gms)];
    assert.ok(blocks.length > 0, `${this.document} has no blocks to be performed`);
    for (const [, , kind, text] of blocks) await this.performBlock(kind, this.moved(text));
    return blocks.length;
  }

  async performBlock(kind, text) {
    if (kind.startsWith('serve:')) {
      const options = { cwd: this.folder, env: this.env, stdio: ['ignore', 'pipe', 'ignore'] };
      const child = spawn('bash', ['-c', `exec ${text}`], options);
      createInterface({ input: child.stdout }).on('line', (line) => {
        const [, name, value] = line.match(/^ *export (\w+)=(\S+)$/) ?? [];
        if (name) this.env[name] = value;
      });
      this.running.push(child);
      await until(`http://127.0.0.1${this.moved(kind.slice('serve'.length))}`);
    } else if (kind === 'run') {
      this.printed = this.run(text);
      this.printings.push(this.printed);
    } else if (kind === 'prints') {
      assert.equal(this.printed.trim(), text.trim());
    } else if (kind === 'shows') {
      let at = 0;
      for (const line of text.trim().split('\n')) {
        const found = this.printed.indexOf(line.trim(), at);
        assert.ok(found >= 0, `${line.trim()} is not in:\n${this.printed.slice(at)}`);
        at = found + line.trim().length;
      }
    } else if (kind !== 'install') {
      writeFileSync(join(this.folder, kind), text);
    }
  }

  // Runs commands; what they print.
  run(text) {
    // Each block has a shell of its own, and finds the variables of those before.
    const whole = `set -a\n[ ! -e .variables ] || . ./.variables\n${text}\nexport -p >.variables`;
    const { status, stdout, stderr } = spawnSync('bash', ['-e', '-c', whole], {
      cwd: this.folder,
      env: this.env,
      // Whoever is asked for a password.
      input: 'correct horse battery staple\n',
      encoding: 'utf8',
      timeout: 180_000,
    });
    assert.equal(status, 0, `${text}\n${stdout}\n${stderr}`);
    return stdout;
  }

  async end() {
    for (const child of this.running) child.kill();
    await Promise.all(this.running.map((child) => child.exitCode ?? new Promise((resolve) => child.once('exit', resolve))));
    rmSync(this.folder, { recursive: true, force: true });
  }
}
