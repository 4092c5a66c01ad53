import type { IncomingHttpHeaders } from 'node:http';

/** The endpoints that clients know as OAuth resources. /message belongs to /sse. */
export const resourcePaths = ['/sse', '/mcp', '/ws'] as const;

const wellKnownPath = '/.well-known/oauth-protected-resource';

/** The paths at which the metadata of each resource is served (RFC 9728, 3.1); '' is the server as a whole. */
export const metadataPaths = ['', ...resourcePaths].map((path) => ({ path, metadataPath: `${wellKnownPath}${path}` }));

/** The URL of the resource that a request addresses, as the client knows it. */
export function resourceUrl(path: string, publicUrl: string | undefined, { host = '' }: IncomingHttpHeaders): string {
  const origin = publicUrl ?? `http://${host}`;
  const resourcePath = path === '/message' ? '/sse' : resourcePaths.find((resource) => resource === path);
  return `${origin}${resourcePath ?? ''}`;
}

/** The URL of a resource's metadata (RFC 9728, 3.1). */
export function metadataUrl(resource: string): string {
  const { origin, pathname } = new URL(resource);
  return `${origin}${wellKnownPath}${pathname === '/' ? '' : pathname}`;
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
