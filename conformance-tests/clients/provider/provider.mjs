// An identity provider for the checks: oidc-provider, a certified implementation of OpenID Connect. Whoever comes is logged in as
// `login.account` without being asked.

import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

// It says again and again that it is not to be used so in production.
console.info = () => {};
console.warn = () => {};

export const SECRET = 'a secret that both of them know, for this run';

// `audience`: the FHIR base URL; `format`: of access tokens, jwt or opaque; `callback`: where the server expects its users back.
export async function startProvider({ audience, format, callback }) {
  const http = createServer();
  await new Promise((done) => http.listen(0, '127.0.0.1', done));
  const issuer = `http://127.0.0.1:${http.address().port}`;
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const login = { account: 'bob-there', patient: undefined, fhirUser: undefined };
  const code = { grant_types: ['authorization_code'], response_types: ['code'] };
  const provider = new Provider(issuer, {
    clients: [
      { client_id: 'tessera', client_secret: SECRET, redirect_uris: [callback], ...code },
      { client_id: 'app', token_endpoint_auth_method: 'none', redirect_uris: ['http://127.0.0.1:1/cb'], application_type: 'native', ...code },
      { client_id: 'lab', client_secret: SECRET, redirect_uris: [], grant_types: ['client_credentials'], response_types: [] },
    ],
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'one', use: 'sig', alg: 'RS256' }] },
    cookies: { keys: ['for this run'] },
    scopes: ['openid'],
    pkce: { required: () => true },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    extraTokenClaims: (_, token) => (token.accountId ? { patient: login.patient, fhirUser: login.fhirUser } : undefined),
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: (_, client) => client.clientId === 'tessera' },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        useGrantedResource: () => true,
        getResourceServerInfo: (_, resource) => ({
          scope: 'patient/*.rs user/*.rs system/*.cruds',
          audience: resource,
          accessTokenFormat: format,
          accessTokenTTL: 300,
        }),
      },
    },
  });
  const interact = async (request, response) => {
    const { prompt, params, session } = await provider.interactionDetails(request, response);
    let result = { login: { accountId: login.account } };
    if (prompt.name === 'consent') {
      const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
      grant.addOIDCScope('openid');
      if (params.resource) grant.addResourceScope(params.resource, params.scope);
      result = { consent: { grantId: await grant.save() } };
    }
    await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
  };
  const handle = provider.callback();
  http.on('request', (request, response) => {
    if (!request.url.startsWith('/interaction/')) return handle(request, response);
    return interact(request, response).catch((error) => {
      response.statusCode = 500;
      response.end(error.message);
    });
  });
  return { issuer, login, audience, close: () => http.close() };
}
