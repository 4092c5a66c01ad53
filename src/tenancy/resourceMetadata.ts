import type { IncomingHttpHeaders } from 'node:http';

/** The endpoints that clients know as OAuth resources. /message belongs to /sse. */
export const resourcePaths = ['/sse', '/mcp', '/ws'] as const;

const wellKnownPath = '/.well-known/oauth-protected-resource';

/**
 * The paths at which the metadata of each resource is served; '' is the server as a whole. Clients of a server below a
 * path request them at the root of its host (RFC 9728, 3.1), and below its path, since many proxies forward nothing
 * else.
 */
export function metadataPaths(publicUrl: string | undefined) {
  const prefixes = new Set(['', pathOf(publicUrl)]);
  return ['', ...resourcePaths].flatMap((path) =>
    [...prefixes].map((prefix) => ({ path, metadataPath: `${wellKnownPath}${prefix}${path}` })),
  );
}

/** The path of `--public-url`, without a slash at its end. */
export const pathOf = (publicUrl: string | undefined): string =>
  publicUrl === undefined ? '' : new URL(publicUrl).pathname.replace(/\/$/, '');

/** The URL of the resource that a request addresses, as the client knows it. */
export function resourceUrl(path: string, publicUrl: string | undefined, { host = '' }: IncomingHttpHeaders): string {
  const origin = publicUrl ?? `http://${host}`;
  const resourcePath = path === '/message' ? '/sse' : resourcePaths.find((resource) => resource === path);
  return `${origin}${resourcePath ?? ''}`;
}

/** The URL of a resource's metadata: below the path of the server, since a proxy may forward nothing else. */
export function metadataUrl(path: string, publicUrl: string | undefined, headers: IncomingHttpHeaders): string {
  const server = resourceUrl('', publicUrl, headers);
  return `${server}${wellKnownPath}${resourceUrl(path, publicUrl, headers).slice(server.length)}`;
}

/** The metadata from which a client learns the issuer (RFC 9728, 2). */
export function resourceMetadata(resource: string, issuer: string): object {
  return {
    resource,
    authorization_servers: [issuer],
    bearer_methods_supported: ['header'],
    resource_name: 'Greenroom',
  };
}
