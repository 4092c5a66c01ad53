import type { RouteHandler } from './routing.js';
import type { Tenancy } from '../tenancy/tenancy.js';
import { packageInfo } from '../packageInfo.js';
import { resourceUrl } from '../tenancy/resourceMetadata.js';

/** Where a program goes from the root of the server. */
interface ServerIndex {
  readonly name: string;
  readonly version: string;
  readonly mcp: string;
  readonly sse: string;
  readonly inspector: string;
  readonly health: string;
  readonly metrics: string;
}

/** `GET /`: says where to go, to a browser as a page, to a program as JSON. Public: nothing here is a secret. */
export function showIndex({
  publicUrl,
  needsToken,
}: Pick<Tenancy, 'publicUrl'> & { needsToken: boolean }): RouteHandler {
  return (request, response) => {
    const at = (path: string): string => `${resourceUrl('', publicUrl, request.headers)}${path}`;
    const index: ServerIndex = {
      name: 'greenroom',
      version: packageInfo.version,
      mcp: at('/mcp'),
      sse: at('/sse'),
      inspector: at('/inspector'),
      health: at('/health'),
      metrics: at('/metrics'),
    };
    response.setHeader('vary', 'accept');
    if (request.accepts(['json', 'html']) === 'html') {
      response.setHeader('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'");
      response.type('html').send(pageOf(index, needsToken));
    } else {
      response.json(index);
    }
  };
}

const style = `body { font: 16px/1.6 system-ui, sans-serif; max-width: 46rem; margin: 3rem auto; padding: 0 1rem; color-scheme: light dark; }
pre { overflow-x: auto; padding: .75rem; border: 1px solid #8886; border-radius: 6px; }`;

function pageOf({ version, mcp, sse, inspector, health, metrics }: ServerIndex, needsToken: boolean): string {
  const setups = clientSetups(mcp, needsToken).map(
    ({ name, text }) => `<h2>${name}</h2><pre>${escapeHtml(text)}</pre>`,
  );
  const links = [
    ['Inspector', inspector, 'every session as a live state chart'],
    ['Health', health, 'sessions, browsers, figures'],
    ['Metrics', metrics, 'for Prometheus'],
  ].map(([name, url = '', meaning]) => `<li><a href="${escapeHtml(url)}">${name}</a>: ${meaning}</li>`);
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Greenroom</title>
<style>${style}</style>
<h1>Greenroom ${version}</h1>
<p>An MCP server for debugging Chrome pages and extensions. Clients connect to <code>${escapeHtml(mcp)}</code>, older ones to
<code>${escapeHtml(sse)}</code>.</p>
${needsToken ? '<p>Clients need a token: put it where TOKEN stands.</p>' : ''}
${setups.join('\n')}
<h2>Look</h2>
<ul>${links.join('\n')}</ul>
</html>
`;
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => entities[character] ?? '');

/** The command or file entry that connects a client to the server. */
interface ClientSetup {
  readonly name: string;
  readonly text: string;
}

/** What to paste for three clients. With authentication each sends a token. */
export function clientSetups(address: string, needsToken: boolean): ClientSetup[] {
  const authorization = 'Bearer TOKEN';
  const headers = needsToken ? { headers: { Authorization: authorization } } : {};
  const claude = `claude mcp add --transport http greenroom ${address}`;
  const cursor = JSON.stringify({ mcpServers: { greenroom: { url: address, ...headers } } });
  const code = JSON.stringify({ name: 'greenroom', type: 'http', url: address, ...headers });
  return [
    { name: 'Claude Code', text: needsToken ? `${claude} --header "Authorization: ${authorization}"` : claude },
    { name: 'Cursor', text: `${cursor}  in .cursor/mcp.json` },
    { name: 'VS Code', text: `code --add-mcp '${code}'` },
  ];
}
