// fhir-kit-client: https://github.com/Vermonster/fhir-kit-client

import { strict as assert } from 'node:assert';
import { randomUUID } from 'node:crypto';
import { CapabilityTool, Client } from 'fhir-kit-client';

const base = process.argv[2];
const system = 'https://tessera.example/clients';
const run = randomUUID();
const client = new Client({ baseUrl: base });
let patient;
let passed = true;

async function check(name, body) {
  try {
    await body();
    console.log(`ok    fhir-kit-client: ${name}`);
  } catch (failure) {
    passed = false;
    const said = failure.response ? JSON.stringify(failure.response.data) : '';
    const line = /fhir_kit_client\.mjs:(\d+)/.exec(failure.stack)?.[1];
    console.log(`FAIL  fhir-kit-client: ${name}: line ${line}: ${failure.message} ${said}`);
  }
}

const somebody = (name) => ({
  resourceType: 'Patient',
  identifier: [{ system, value: run + name }],
  name: [{ family: `Zoë-${run}`, given: [name] }],
  birthDate: '1970-03',
});

const observation = (value) => ({
  resourceType: 'Observation',
  status: 'final',
  code: { coding: [{ system: 'http://loinc.org', code: '8867-4' }] },
  subject: { reference: `Patient/${patient.id}` },
  valueQuantity: { value, system: 'http://unitsofmeasure.org', code: '/min', unit: '/min' },
});

const bundle = (type, ...entry) => ({ resourceType: 'Bundle', type, entry });
const post = (resource) => ({ resource, request: { method: 'POST', url: resource.resourceType } });
const resources = (found) => (found.entry ?? []).map((entry) => entry.resource);
const httpOf = (answer) => Client.httpFor(answer).response;

// What a call fails with: the status and the first issue.
async function refused(call, status, code) {
  await assert.rejects(call, (error) => {
    assert.equal(error.response?.status, status, error.message);
    assert.equal(error.response.data.resourceType, 'OperationOutcome');
    assert.equal(error.response.data.issue[0].code, code);
    return true;
  });
}

await check('capabilities', async () => {
  const tool = new CapabilityTool(await client.capabilityStatement());
  assert.ok(tool.serverCan('transaction'));
  assert.ok(tool.resourceCan('Patient', 'vread'));
  assert.ok(tool.resourceSearch('Patient', 'birthdate'));
});

await check('create', async () => {
  patient = await client.create({ resourceType: 'Patient', body: somebody('Ann') });
  assert.equal(httpOf(patient).status, 201);
  assert.equal(httpOf(patient).headers.get('location'), `${base}/Patient/${patient.id}/_history/1`);
});

await check('read and vread', async () => {
  assert.deepEqual(await client.read({ resourceType: 'Patient', id: patient.id }), patient);
  const version = await client.vread({ resourceType: 'Patient', id: patient.id, version: 1 });
  assert.equal(version.meta.versionId, '1');
});

await check('conditional read', async () => {
  // The client takes any status but 200 to 299 for an error.
  const options = { headers: { 'If-None-Match': 'W/"1"' } };
  const read = client.read({ resourceType: 'Patient', id: patient.id, options });
  await assert.rejects(read, (error) => error.response.status === 304);
});

await check('update', async () => {
  const body = { ...patient, active: true };
  patient = await client.update({ resourceType: 'Patient', id: patient.id, body });
  assert.equal(patient.meta.versionId, '2');
});

await check('update with If-Match', async () => {
  const body = { ...patient, active: false };
  const options = { headers: { 'If-Match': 'W/"2"' } };
  patient = await client.update({ resourceType: 'Patient', id: patient.id, body, options });
  assert.equal(patient.meta.versionId, '3');
});

await check('lost update is refused', async () => {
  const body = { ...patient, active: true };
  const options = { headers: { 'If-Match': 'W/"2"' } };
  await refused(client.update({ resourceType: 'Patient', id: patient.id, body, options }), 412, 'conflict');
});

await check('conditional create', async () => {
  const options = { headers: { 'If-None-Exist': `identifier=${system}|${run}Ann` } };
  const found = await client.create({ resourceType: 'Patient', body: somebody('Ann'), options });
  assert.equal(httpOf(found).status, 200);
  assert.equal(found.id, patient.id);
});

await check('conditional update', async () => {
  const searchParams = { identifier: `${system}|${run}Ann` };
  const body = { ...somebody('Ann'), gender: 'female' };
  patient = await client.update({ resourceType: 'Patient', searchParams, body });
  assert.equal(patient.meta.versionId, '4');
});

await check('search', async () => {
  const searchParams = { family: `zoe-${run}`, gender: 'female', birthdate: ['ge1970', 'le1970-12'] };
  const found = await client.search({ resourceType: 'Patient', searchParams });
  assert.deepEqual(resources(found), [patient]);
  assert.equal(found.entry[0].fullUrl, `${base}/Patient/${patient.id}`);
});

await check('search by POST', async () => {
  const searchParams = { identifier: `${system}|${run}Ann` };
  const found = await client.search({ resourceType: 'Patient', searchParams, options: { postSearch: true } });
  assert.deepEqual(resources(found), [patient]);
});

await check('search of all types', async () => {
  const found = await client.search({ searchParams: { _type: 'Patient,Group', _id: patient.id } });
  assert.deepEqual(resources(found), [patient]);
});

await check('page through', async () => {
  const load = Array.from({ length: 23 }, (_, value) => post(observation(value)));
  await client.transaction({ body: bundle('transaction', ...load) });
  const searchParams = { subject: `Patient/${patient.id}`, _count: 5, _sort: '-value-quantity', _total: 'accurate' };
  let page = await client.search({ resourceType: 'Observation', searchParams });
  assert.equal(page.total, 23);
  const values = [];
  while (page) {
    values.push(...resources(page).map((resource) => resource.valueQuantity.value));
    page = await client.nextPage({ bundle: page });
  }
  assert.deepEqual(values, Array.from({ length: 23 }, (_, at) => 22 - at));
});

await check('chain, include and resolve', async () => {
  const searchParams = {
    'patient.identifier': `${system}|${run}Ann`,
    'value-quantity': 'gt20',
    _include: 'Observation:subject',
  };
  const found = await client.search({ resourceType: 'Observation', searchParams });
  assert.deepEqual(found.entry.map((entry) => entry.search.mode), ['match', 'match', 'include']);
  const { reference } = found.entry[0].resource.subject;
  // In the Bundle, where the client looks for a fullUrl, and on the server.
  assert.equal((await client.resolve({ reference, context: found })).id, patient.id);
  assert.equal((await client.resolve({ reference: `${base}/${reference}` })).id, patient.id);
});

await check('search of a compartment', async () => {
  const compartment = { resourceType: 'Patient', id: patient.id };
  const searchParams = { 'value-quantity': 'gt20' };
  const found = await client.search({ resourceType: 'Observation', compartment, searchParams });
  assert.equal(found.entry.length, 2);
});

await check('transaction', async () => {
  const encounter = {
    resourceType: 'Encounter',
    status: 'finished',
    class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'AMB' },
    subject: { reference: `Patient?identifier=${system}|${run}Ann` },
  };
  const fullUrl = `urn:uuid:${randomUUID()}`;
  const within = { ...observation(100), encounter: { reference: fullUrl } };
  const body = bundle('transaction', { fullUrl, ...post(encounter) }, post(within));
  const answer = await client.transaction({ body });
  assert.equal(answer.type, 'transaction-response');
  const [visit, value] = await Promise.all(
    answer.entry.map((entry) => client.resolve({ reference: entry.response.location })),
  );
  assert.equal(visit.subject.reference, `Patient/${patient.id}`);
  assert.equal(value.encounter.reference, `Encounter/${visit.id}`);
});

await check('transaction that fails as a whole', async () => {
  const body = bundle('transaction', post(somebody('Gus')), post({ resourceType: 'Observation', status: 'final' }));
  await assert.rejects(client.transaction({ body }), (error) => {
    assert.match(error.response.data.issue[0].expression[0], /^Bundle\.entry\[1\]/);
    return true;
  });
  const found = await client.search({ resourceType: 'Patient', searchParams: { identifier: `${system}|${run}Gus` } });
  assert.deepEqual(resources(found), []);
});

await check('batch', async () => {
  const missing = { request: { method: 'GET', url: 'Patient/no-such-patient-is-here' } };
  const there = { request: { method: 'GET', url: `Patient/${patient.id}` } };
  const answer = await client.batch({ body: bundle('batch', missing, there) });
  assert.deepEqual(answer.entry.map((entry) => entry.response.status), ['404 Not Found', '200 OK']);
});

await check('patch', async () => {
  const options = { headers: { 'If-Match': 'W/"4"', Prefer: 'return=representation' } };
  const jsonPatch = [
    { op: 'test', path: '/gender', value: 'female' },
    { op: 'replace', path: '/gender', value: 'other' },
    { op: 'add', path: '/name/0/given/-', value: 'Bea' },
  ];
  patient = await client.patch({ resourceType: 'Patient', id: patient.id, jsonPatch, options });
  assert.deepEqual([patient.gender, patient.name[0].given, patient.meta.versionId], ['other', ['Ann', 'Bea'], '5']);
});

await check('history', async () => {
  const history = await client.history({ resourceType: 'Patient', id: patient.id });
  const versions = resources(history).map((resource) => Number(resource.meta.versionId));
  assert.ok(versions.length >= 4);
  assert.deepEqual(versions, Array.from(versions, (_, at) => versions.length - at));
  assert.equal(history.entry.at(-1).request.method, 'POST');
  assert.equal((await client.history({ resourceType: 'Patient' })).type, 'history');
  assert.equal((await client.history()).type, 'history');
});

await check('$everything', async () => {
  const everything = await client.operation({ name: 'everything', resourceType: 'Patient', id: patient.id, method: 'GET' });
  const types = new Set(resources(everything).map((resource) => resource.resourceType));
  assert.deepEqual([...types].sort(), ['Encounter', 'Observation', 'Patient']);
});

await check('$validate', async () => {
  const input = { resourceType: 'Patient', birthDate: '1970-02-30' };
  const outcome = await client.operation({ name: '$validate', resourceType: 'Patient', input });
  assert.ok(outcome.issue.some((issue) => issue.severity === 'error'));
});

await check('delete', async () => {
  const { id } = await client.create({ resourceType: 'Patient', body: somebody('Dee') });
  await client.delete({ resourceType: 'Patient', id });
  await refused(client.read({ resourceType: 'Patient', id }), 410, 'deleted');
});

await check('errors are outcomes', async () => {
  await refused(client.read({ resourceType: 'Patient', id: 'no-such-patient-is-here' }), 404, 'not-found');
  await refused(client.search({ resourceType: 'Patient', searchParams: { colour: 'red' } }), 400, 'not-supported');
  await refused(client.request('Colour/1'), 404, 'not-supported');
});

process.exit(passed ? 0 : 1);
