// Shows openapi.json with Scalar.
'use strict';

const explorer = document.getElementById('explorer');

const show = async () => {
  const response = await fetch('openapi.json', { headers: { accept: 'application/json' } });
  const content = await response.json();
  // The server is where this page is, by whatever name it was reached.
  content.servers = [{ url: new URL('.', document.location).href.replace(/\/$/, '') }];
  // A token is given here as it is: apps that get one by logging in have redirect URIs, and this page is none.
  if (content.components.securitySchemes) delete content.components.securitySchemes.smart;
  for (const operations of Object.values(content.paths)) {
    for (const operation of Object.values(operations)) {
      if (operation.security) operation.security = operation.security.filter((needs) => !needs.smart);
    }
  }
  explorer.replaceChildren();
  Scalar.createApiReference('#explorer', {
    content,
    // Nothing of any other host: no fonts, no telemetry, no proxy, no assistant.
    withDefaultFonts: false,
    telemetry: false,
    proxyUrl: '',
    agent: { disabled: true },
    mcp: { disabled: true },
    showDeveloperTools: 'never',
    hideClientButton: true,
    persistAuth: false,
    authentication: { preferredSecurityScheme: 'bearer' },
    defaultHttpClient: { targetKey: 'shell', clientKey: 'curl' },
    documentDownloadType: 'json',
    hideDarkModeToggle: true,
    forceDarkModeState: matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light',
  });
};

show().catch((error) => {
  explorer.textContent = `The explorer could not be shown: ${error.message}`;
});
