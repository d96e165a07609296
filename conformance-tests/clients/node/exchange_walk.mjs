// The walk through docs/exchange.md, and what both nodes have afterwards. Arguments: the binary, the folder of Python's packages.

import { strict as assert } from 'node:assert';
import { Checks } from './checks.mjs';
import { Walk } from './walk.mjs';

const [binary, python] = process.argv.slice(2);
const checks = new Checks('docs/exchange.md');
const walk = new Walk('docs/exchange.md', binary, [8081, 8082], { venv: python });
const hillside = () => walk.moved('http://127.0.0.1:8081/fhir');
const riverside = () => walk.moved('http://127.0.0.1:8082/fhir');

function reader(base, client, key) {
  const token = walk.run(`venv/bin/python node.py ${base} ${client} ${key}.key "system/*.rs system/AuditEvent.rs"`).trim();
  const get = async (path, status = 200, from = base) => {
    const answer = await fetch(`${from}/${path}`, { headers: { authorization: `Bearer ${token}` } });
    assert.equal(answer.status, status, path);
    return answer.text();
  };
  return { get, json: async (path) => JSON.parse(await get(path)) };
}

try {
  await walk.begin();
  await checks.run('each step', () => walk.perform());
  const { get, json } = reader(riverside(), 'exchange', 'riverside');

  await checks.run('nothing is there twice, and what has not changed has one version', async () => {
    const expected = { Patient: 1, Practitioner: 1, Organization: 1, Encounter: 1, AllergyIntolerance: 1, Observation: 2, Provenance: 3 };
    for (const [type, total] of Object.entries(expected)) {
      assert.equal((await json(`${type}?_summary=count`)).total, total, type);
    }
    const versions = { 'Patient/R-0815': 1, 'AllergyIntolerance/hillside-nuts': 1, 'Observation/hillside-pulse': 2, 'Observation/hillside-weight': 1 };
    for (const [key, total] of Object.entries(versions)) {
      assert.equal((await json(`${key}/_history`)).total, total, key);
    }
    assert.deepEqual((await json('Patient/R-0815')).name[0].given, ['Ann', 'Marie']);
  });

  await checks.run('references lead to what is there', async () => {
    const allergy = await json('AllergyIntolerance/hillside-nuts');
    assert.equal(allergy.patient.reference, 'Patient/R-0815');
    assert.equal((await json(allergy.recorder.reference)).name[0].family, 'Lee');
    assert.equal((await json('Observation/hillside-weight')).encounter.reference, 'Encounter/hillside-visit');
  });

  await checks.run('sources and digits stay', async () => {
    assert.equal((await json('AllergyIntolerance/hillside-nuts')).meta.source, `${hillside()}/AllergyIntolerance/nuts`);
    assert.match((await json('Observation/hillside-pulse')).meta.source, /^urn:uuid:1f0c5e7e-/);
    assert.match(await get('Observation/hillside-weight'), /"value":61\.50/);
    const entries = (await json(`Provenance?entity=${hillside()}/Observation/weight/_history/1`)).entry;
    assert.equal(entries.length, 1);
    const provenance = entries[0].resource;
    assert.equal(provenance.agent[0].who.identifier.value, 'https://hillside.example.org');
    assert.deepEqual(provenance.target.map(({ reference }) => reference), ['Observation/hillside-pulse', 'Observation/hillside-weight']);
  });

  await checks.run('each node has its own issuer and its own record', async () => {
    await get('Patient', 401, hillside());
    const auditor = reader(hillside(), 'auditor', 'auditor');
    assert.equal((await auditor.json('AuditEvent?subtype=disclose&_summary=count')).total, 6);
    assert.equal((await auditor.json(`AuditEvent?subtype=disclose&altid=riverside&_summary=count`)).total, 6);
    // Nobody discloses to themselves.
    await get('AuditEvent?subtype=disclose', 403);
    assert.match(walk.run('tessera audit verify --config riverside.toml'), /\d/);
  });
} finally {
  await walk.end();
}
process.exit(checks.passed ? 0 : 1);
