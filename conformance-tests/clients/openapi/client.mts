// The TypeScript client: types by openapi-typescript, requests by openapi-fetch. Arguments: the origin, an access token.
// https://openapi-ts.dev/

import createClient from 'openapi-fetch';
// @ts-ignore: it is JavaScript
import { Checks } from './checks.mjs';
import type { components, paths } from './tessera.d.ts';

type Patient = components['schemas']['Patient'];

declare const process: { argv: string[]; exit(code: number): never };

const [origin, token] = process.argv.slice(2) as [string, string];
const checks = new Checks('openapi-fetch');
const client = createClient<paths, 'application/fhir+json'>({
  baseUrl: origin,
  // What stands in the document as explode; openapi-fetch does not read it when it runs.
  querySerializer: { object: { style: 'form', explode: true } },
  headers: { authorization: `Bearer ${token}`, 'content-type': 'application/fhir+json', accept: 'application/fhir+json' },
});

function equal(found: unknown, expected: unknown) {
  if (found !== expected) throw new Error(`expected ${expected}, found ${found}`);
}

const family = `Openapi-${Date.now()}`;
const patient: Patient = { resourceType: 'Patient', name: [{ family, given: ['Ann'] }], gender: 'female', birthDate: '1970-03' };
let id = '';

await checks.run('create', async () => {
  const { data, response } = await client.POST('/fhir/Patient', { body: patient });
  equal(response.status, 201);
  id = data?.id ?? '';
  equal(data?.name?.[0]?.family, family);
});
await checks.run('read', async () => {
  const { data } = await client.GET('/fhir/Patient/{id}', { params: { path: { id } } });
  equal(data?.birthDate, '1970-03');
  equal(data?.meta?.versionId, '1');
});
await checks.run('search', async () => {
  const { data } = await client.GET('/fhir/Patient', { params: { query: { family: [family], birthdate: ['ge1970', 'lt1971'] } } });
  equal(data?.entry?.length, 1);
  equal(data?.entry?.[0]?.resource?.id, id);
});
await checks.run('an update of a version that has changed is refused', async () => {
  const { error, response } = await client.PUT('/fhir/Patient/{id}', {
    params: { path: { id }, header: { 'If-Match': 'W/"7"' } },
    body: { ...patient, id },
  });
  equal(response.status, 412);
  equal(error?.issue[0]?.code, 'conflict');
});
await checks.run('other types', async () => {
  const { data } = await client.GET('/fhir/{type}', { params: { path: { type: 'Practitioner' }, query: { criteria: { active: 'true' } } } });
  equal(data?.resourceType, 'Bundle');
});
process.exit(checks.passed ? 0 : 1);
