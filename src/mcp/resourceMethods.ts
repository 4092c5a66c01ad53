import type { ResourceLink } from '../tools/defineTool.js';
import type { Resource, Skill } from './definitions.js';
import { invalidParams, isStatelessVersion, rpcCodes, RpcError } from './protocol.js';
import { paginate, type Method, type RequestInfo, type MethodContext, type SessionResources } from './methodContext.js';
import { runFeature } from './callClient.js';
import { shortenText } from '../text.js';

/** Escaped or in base64 it grows, and a transport closes a connection with too many buffered bytes. */
const maxReadBytes = 8 * 1024 ** 2;
/** Subscriptions of one client, and the length of their URIs (S10). */
const maxSubscriptions = 256;
const maxUriLength = 4_096;

/** Resources: the registered ones, then the large results that tools of this session stored. */
export const resourceMethods: Readonly<Record<string, Method>> = {
  'resources/list': (server, params) => {
    const registered = [...server.features.serverFeatures.resources.values()].map((resource) => ({
      uri: resource.uri,
      ...describe(resource),
    }));
    const { resources, browsers } = server.session;
    // A client without a session has the results of all its browsers.
    const stores = server.session.facts().id === '' ? [resources, ...browsers.resources()] : [resources];
    const stored = stores.flatMap((store) => store.list()).map(({ bytes, ...link }) => ({ ...link, size: bytes }));
    const { page, ...next } = paginate<object>([...registered, ...stored], params);
    return { resources: page, ...next };
  },

  'resources/templates/list': (server, params) => {
    const all = [...server.features.serverFeatures.templates.values()];
    const { page, ...next } = paginate(all, params);
    return {
      resourceTemplates: page.map(({ resource }) => ({ uriTemplate: resource.uri, ...describe(resource) })),
      ...next,
    };
  },

  'resources/read': async (server, params, request) => {
    const uri = uriOf(params);
    const stored = findStored(server, uri);
    return { contents: [await (stored ? readStored(server, stored, request) : readRegistered(server, uri, request))] };
  },

  'resources/subscribe': (server, params) => {
    const uri = uriOf(params);
    if (!findStored(server, uri) && !findRegistered(server, uri)) throw notFound(server, uri);
    if (server.subscriptions.size >= maxSubscriptions && !server.subscriptions.has(uri)) {
      throw invalidParams(
        `The client has ${maxSubscriptions} subscriptions already, the maximum: unsubscribe from a resource first.`,
      );
    }
    server.subscriptions.add(uri);
    return {};
  },

  'resources/unsubscribe': (server, params) => {
    server.subscriptions.delete(uriOf(params));
    return {};
  },

  'skills/list': (server, params) => {
    const { page, ...next } = paginate([...skillsOf(server).values()], params);
    return { skills: page.map(entryOf), ...next };
  },

  'skills/get': (server, params) => {
    const uri = uriOf(params);
    const skills = skillsOf(server);
    const skill = skills.get(uri);
    if (skill === undefined)
      throw invalidParams(`Unknown skill: ${shortenText(uri, 200)}. There are: ${[...skills.keys()].join(', ')}.`);
    return { skill: entryOf(skill) };
  },
};

/** Throws on a server without skills, which does not declare the extension. */
function skillsOf({ features: { serverFeatures } }: MethodContext): ReadonlyMap<string, Skill> {
  const { skills } = serverFeatures;
  if (skills.size === 0) throw new RpcError(rpcCodes.methodNotFound, 'This server has no skills.');
  return skills;
}

/** A skill as the extension io.modelcontextprotocol/skills describes it: its frontmatter, and each of its files. */
function entryOf({ file: { uri }, frontmatter, digest, bytes }: Skill): object {
  return { uri, frontmatter, resources: [{ uri, digest, size: bytes }] };
}

function describe({ name, title, description, mimeType }: Resource): Record<string, string> {
  return { name, ...(title !== undefined && { title }), ...(description !== undefined && { description }), mimeType };
}

function uriOf({ uri }: Readonly<Record<string, unknown>>): string {
  if (typeof uri !== 'string') throw invalidParams('"uri" is the URI of a resource.');
  if (uri.length > maxUriLength) throw invalidParams(`"uri" has at most ${maxUriLength} characters.`);
  return uri;
}

interface StoredMatch {
  readonly store: SessionResources;
  readonly link: ResourceLink;
}

/** In the store of the session, or in that of a browser that the client can name. */
function findStored({ session }: MethodContext, uri: string): StoredMatch | undefined {
  for (const store of [session.resources, ...session.browsers.resources()]) {
    const link = store.list().find((resource) => resource.uri === uri);
    if (link !== undefined) return { store, link };
  }
  return undefined;
}

interface ResourceMatch {
  readonly resource: Resource;
  readonly variables: Readonly<Record<string, string>>;
}

function findRegistered({ features: { serverFeatures } }: MethodContext, uri: string): ResourceMatch | undefined {
  const fixed = serverFeatures.resources.get(uri);
  if (fixed) return { resource: fixed, variables: {} };
  for (const template of serverFeatures.templates.values()) {
    const matched = template.uri.match(uri);
    if (matched === null) continue;
    const variables = Object.entries(matched).map(([name, value]) => [name, String(value)]);
    return { resource: template.resource, variables: Object.fromEntries(variables) as Record<string, string> };
  }
  return undefined;
}

/** Reserves the memory before it reads: answers that are being prepared count like unread ones (S10). */
async function readStored(
  server: MethodContext,
  { store, link }: StoredMatch,
  request: RequestInfo,
): Promise<Record<string, string>> {
  checkSize(link.name, link.bytes);
  request.releaseMemory = server.session.memory.reserve(link.bytes);
  const { uri, mimeType } = link;
  const data = await store.read(uri);
  const isText = mimeType.startsWith('text/') || mimeType === 'application/json';
  return { uri, mimeType, ...(isText ? { text: data.toString('utf8') } : { blob: data.toString('base64') }) };
}

async function readRegistered(
  server: MethodContext,
  uri: string,
  request: RequestInfo,
): Promise<Record<string, string>> {
  const found = findRegistered(server, uri);
  if (!found) throw notFound(server, uri);
  const { resource, variables } = found;
  const data = await runFeature(server, request, (context) => resource.read(variables, context));
  if (data === undefined) throw notFound(server, uri);
  checkSize(resource.name, Buffer.byteLength(data));
  const { mimeType } = resource;
  return typeof data === 'string'
    ? { uri, mimeType, text: data.toWellFormed() }
    : { uri, mimeType, blob: Buffer.from(data).toString('base64') };
}

function checkSize(name: string, bytes: number): void {
  if (bytes > maxReadBytes) {
    throw invalidParams(`${name} has ${bytes} bytes, more than one message may carry (${maxReadBytes}).`);
  }
}

/** Revision 2026-07-28 has no code of its own for it, and repeats the URI. */
function notFound({ protocolVersion }: MethodContext, uri: string): RpcError {
  const message = `Resource not found: ${shortenText(uri, 200)}`;
  if (!isStatelessVersion(protocolVersion)) return new RpcError(rpcCodes.resourceNotFound, message);
  return new RpcError(rpcCodes.invalidParams, message, { uri });
}
