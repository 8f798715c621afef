// One act of a FHIR client: node client.mjs BASE ACT, with the bearer token in TOKEN and what it sends on stdin.
// It prints what came of it as one line of JSON; `status` is the HTTP status where the endpoint refused.

import { readFileSync } from 'node:fs';
import { Client } from 'fhir-kit-client';

const [baseUrl, act] = process.argv.slice(2);
const client = new Client({ baseUrl, bearerToken: process.env.TOKEN });
const given = () => JSON.parse(readFileSync(0, 'utf8'));

const acts = {
  async capability() {
    const found = await client.capabilityStatement();
    return { kind: found.resourceType, fhirVersion: found.fhirVersion };
  },

  async read() {
    const { resourceType, id } = given();
    const resource = await client.read({ resourceType, id });
    const version = resource.meta.versionId;
    const again = await client.vread({ resourceType, id, version });
    const history = await client.history({ resourceType, id });
    return { resource, again, versions: history.entry.length };
  },

  async search() {
    const { resourceType, searchParams, post } = given();
    const bundle = await client.search({ resourceType, searchParams, options: { postSearch: post } });
    return { resources: (bundle.entry ?? []).map((entry) => entry.resource) };
  },

  async pages() {
    const pages = [];
    let bundle = await client.search(given());
    while (bundle) {
      pages.push(bundle.entry.map((entry) => entry.resource.id));
      bundle = await client.nextPage({ bundle });
    }
    return { pages };
  },

  async send() {
    return client.operation({ name: 'process-message', input: given() });
  },

  async batch() {
    return client.batch({ body: given() });
  },

  async update() {
    const body = given();
    const { resourceType, id, meta } = body;
    const headers = { 'If-Match': `W/"${meta.versionId}"` };
    return client.update({ resourceType, id, body, options: { headers } });
  },
};

try {
  console.log(JSON.stringify(await acts[act]()));
} catch (error) {
  if (!error.response) throw error;
  console.log(JSON.stringify({ status: error.response.status, outcome: error.response.data }));
}
