// The SMART apps that users start: one that runs in the browser and keeps no secret, two that run on a server. All of them
// are written with fhirclient: https://github.com/smart-on-fhir/client-js

import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import smart from 'fhirclient';

const inBrowser = ['chart', 'ehr'];
const library = readFileSync(createRequire(import.meta.url).resolve('fhirclient/build/fhir-client.js'));

// As an app's developer would write it; `prompt` and the like are not of the library.
const launch = (settings) => `<!doctype html><html lang="en"><title>Starting</title><script src="/fhir-client.js"></script>
<script>
  const given = new URLSearchParams(location.search);
  const settings = ${JSON.stringify(settings)};
  const more = given.get('more');
  FHIR.oauth2
    .authorize({ ...settings, scope: given.get('scope'), noRedirect: true })
    .then((url) => location.replace(more ? url + '&' + more : url));
</script>`;

const index = `<!doctype html><html lang="en"><title>Chart</title><script src="/fhir-client.js"></script>
<p id="state">waiting</p>
<script>
  const show = (state, text) => document.getElementById('state').replaceWith(
    Object.assign(document.createElement('p'), { id: 'state', className: state, textContent: text }));
  const answered = new URL(location.href);
  FHIR.oauth2.ready().then(
    (client) => {
      window.client = client;
      window.answered = answered.href;
      // What a request comes to: the status, and the resource.
      window.ask = (url) => client.request({ url, includeResponse: true }).then(
        ({ response, body }) => ({ status: response.status, body }),
        (error) => ({ status: error.status ?? 0, body: String(error) }));
      show('ready', JSON.stringify(client.state.tokenResponse));
    },
    (error) => show('failed', error.message));
</script>`;

// Serves the apps. `settings` are those of the two that run on a server, by name: what fhirclient's authorize() takes.
export async function serveApps(iss, settings) {
  const memory = new Map();
  const storage = {
    get: async (key) => memory.get(key),
    set: async (key, value) => (memory.set(key, value), value),
    unset: async (key) => memory.delete(key),
  };
  const clients = {};
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, 'http://localhost');
    const html = (text) => response.writeHead(200, { 'content-type': 'text/html' }).end(text);
    const [, app, page] = url.pathname.split('/');
    try {
      if (app === 'fhir-client.js') {
        response.writeHead(200, { 'content-type': 'text/javascript' }).end(library);
      } else if (inBrowser.includes(app)) {
        html(page === 'launch' ? launch({ clientId: app, iss, redirectUri: `/${app}/index` }) : index);
      } else if (settings[app] && page === 'launch') {
        await smart(request, response, storage).authorize({ iss, ...settings[app], redirectUri: `/${app}/callback` });
      } else if (settings[app] && page === 'callback') {
        clients[app] = await smart(request, response, storage).ready();
        html('<!doctype html><html lang="en"><title>App</title><p id="state" class="ready">ready</p>');
      } else {
        response.writeHead(404).end();
      }
    } catch (error) {
      html(`<!doctype html><html lang="en"><title>App</title><p id="state" class="failed">${error.message}</p>`);
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  // Another site than the server's, as browsers see it.
  const origin = `http://localhost:${server.address().port}`;
  return { origin, clients, close: () => server.close() };
}
