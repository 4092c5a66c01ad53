import { Refusal } from '../errors/errors.js';
import { cutText } from '../text.js';
import { logLevels, type ClientCapabilities, type LogLevel } from '../tools/client.js';
import { capabilitiesOf } from './callClient.js';
import type { ClientInfo } from './methodContext.js';
import { isObject, isStatelessVersion, statelessVersions, tasksExtension } from './protocol.js';

/** Keys of `_meta` in revision 2026-07-28 (basic, `_meta`). */
export const metaKeys = {
  protocolVersion: 'io.modelcontextprotocol/protocolVersion',
  clientCapabilities: 'io.modelcontextprotocol/clientCapabilities',
  clientInfo: 'io.modelcontextprotocol/clientInfo',
  logLevel: 'io.modelcontextprotocol/logLevel',
  serverInfo: 'io.modelcontextprotocol/serverInfo',
  subscriptionId: 'io.modelcontextprotocol/subscriptionId',
} as const;

/** The facts about its client in each request of revision 2026-07-28, instead of a handshake. */
export interface Envelope {
  readonly protocolVersion: string;
  readonly client: ClientInfo | null;
  readonly clientCapabilities: ClientCapabilities;
  /** Null: the client wants no log messages of this request. */
  readonly logLevel: LogLevel | null;
  /** The client takes a task instead of an answer. */
  readonly takesTasks: boolean;
}

/** The headers of a POST that repeat parts of its body; undefined if they are absent. */
export interface RepeatedHeaders extends NamedRevision {
  readonly method: string | undefined;
}

interface NamedRevision {
  readonly protocolVersion?: string | undefined;
  /** The request names a session of an earlier revision. */
  readonly hasSession: boolean;
}

const metaOf = (message: unknown): Record<string, unknown> | undefined => {
  const params = isObject(message) ? message['params'] : undefined;
  const meta = isObject(params) ? params['_meta'] : undefined;
  return isObject(meta) ? meta : undefined;
};

/** Whether a message claims to be of a revision with an envelope: its `_meta` names a protocol version, of whatever kind. */
export const claimsEnvelope = (message: unknown): boolean =>
  Object.hasOwn(metaOf(message) ?? {}, metaKeys.protocolVersion);

/**
 * Whether an unchecked message belongs to a revision without sessions. The envelope decides; a header without an
 * envelope does too, so that such a request is refused as incomplete and not served as one of an earlier revision.
 * `initialize` belongs to the earlier revisions unless its envelope is complete.
 */
export function isStateless(body: unknown, headers: RepeatedHeaders): boolean {
  if (Array.isArray(body)) return body.some(claimsEnvelope);
  if (!isObject(body) || !('method' in body)) return false;
  if (body['method'] === 'initialize' && !hasWholeEnvelope(body)) return isStatelessHeader(headers);
  return claimsEnvelope(body) || isStatelessHeader(headers);
}

/** Whether the header names a revision without sessions. In a request with a session, only a known one counts. */
export function isStatelessHeader({ protocolVersion, hasSession }: NamedRevision): boolean {
  const isKnown = statelessVersions.some((version) => version === protocolVersion);
  return isKnown || (!hasSession && isStatelessVersion(protocolVersion ?? null));
}

function hasWholeEnvelope(message: unknown): boolean {
  const meta = metaOf(message) ?? {};
  const version = meta[metaKeys.protocolVersion];
  return faultIn(meta) === undefined && isStatelessVersion(typeof version === 'string' ? version : null);
}

/**
 * The envelope of a stateless message. Throws `header_mismatch`, `invalid_envelope` or `unsupported_revision`, in the
 * order in which the specification's own suite expects them.
 */
export function readEnvelope(message: { readonly method: string }, headers: RepeatedHeaders): Envelope {
  const meta = metaOf(message) ?? {};
  const { protocolVersion: header } = headers;
  if (message.method === 'initialize' && !hasWholeEnvelope(message)) {
    throw mismatch('MCP-Protocol-Version', `initialize belongs to earlier revisions, but the header names ${header}`);
  }
  const fault = faultIn(meta, 'id' in message);
  if (fault !== undefined) throw invalidEnvelope(fault);
  const claimed = meta[metaKeys.protocolVersion] ?? header;
  const version = typeof claimed === 'string' ? claimed : '';
  if (header !== undefined && header !== version) {
    throw mismatch('MCP-Protocol-Version', `the header names ${header}, the body ${version}`);
  }
  if (headers.method !== undefined && headers.method !== message.method) {
    throw mismatch('Mcp-Method', `the header names ${headers.method}, the body ${message.method}`);
  }
  if (!statelessVersions.some((supported) => supported === version)) {
    throw new Refusal('unsupported_revision', { supported: statelessVersions, requested: cutText(version, 100) });
  }
  return {
    protocolVersion: version,
    client: clientOf(meta[metaKeys.clientInfo]),
    clientCapabilities: capabilitiesOf(meta[metaKeys.clientCapabilities]),
    logLevel: logLevels.find((level) => level === meta[metaKeys.logLevel]) ?? null,
    takesTasks: declaresTasks(meta[metaKeys.clientCapabilities]),
  };
}

/** The `_meta` of a request that this server sends to another node for a client. */
export function envelopeOf({ client, clientCapabilities, logLevel }: Omit<Envelope, 'protocolVersion' | 'takesTasks'>) {
  const { sampling, samplingTools, forms, urls, roots } = clientCapabilities;
  return {
    [metaKeys.protocolVersion]: statelessVersions[0],
    [metaKeys.clientCapabilities]: {
      ...(sampling && { sampling: samplingTools ? { tools: {} } : {} }),
      ...((forms || urls) && { elicitation: { ...(forms && { form: {} }), ...(urls && { url: {} }) } }),
      ...(roots && { roots: {} }),
    },
    ...(client && { [metaKeys.clientInfo]: client }),
    ...(logLevel && { [metaKeys.logLevel]: logLevel }),
  };
}

function declaresTasks(capabilities: unknown): boolean {
  const extensions = isObject(capabilities) ? capabilities['extensions'] : undefined;
  return isObject(extensions) && isObject(extensions[tasksExtension]);
}

/** The refusal for a header that is missing, or differs from the body. */
export function mismatch(header: string, body: string): Refusal {
  const detail = `The headers and the body of this request differ: ${cutText(body, 300)}. Send ${header} as the body has it.`;
  return new Refusal('header_mismatch', { detail, mismatch: { header, body: cutText(body, 300) } });
}

/** The first key that is missing or has a wrong value. Notifications need only the version, which their header may bring. */
function faultIn(meta: Record<string, unknown>, isRequest = true): { key: string; problem: string } | undefined {
  const { protocolVersion, clientCapabilities, clientInfo, logLevel } = metaKeys;
  const required = isRequest ? [protocolVersion, clientCapabilities] : [];
  const missing = required.find((key) => !Object.hasOwn(meta, key));
  if (missing !== undefined) return { key: missing, problem: 'missing' };
  const check = (key: string, isRight: (value: unknown) => boolean, wanted: string) =>
    !Object.hasOwn(meta, key) || isRight(meta[key]) ? [] : [{ key, problem: `not ${wanted}` }];
  const isText = (value: unknown): boolean => typeof value === 'string';
  const isClient = (value: unknown): boolean => isObject(value) && isText(value['name']) && isText(value['version']);
  const isLevel = (value: unknown): boolean => logLevels.some((level) => level === value);
  const [fault] = [
    ...check(protocolVersion, isText, 'a string'),
    ...(isRequest ? check(clientCapabilities, isCapabilities, 'an object of objects') : []),
    ...(isRequest ? check(clientInfo, isClient, 'an object with the strings "name" and "version"') : []),
    ...(isRequest ? check(logLevel, isLevel, `one of ${logLevels.join(', ')}`) : []),
  ];
  return fault;
}

const isCapabilities = (value: unknown): boolean => isObject(value) && Object.values(value).every(isObject);

function invalidEnvelope({ key, problem }: { key: string; problem: string }): Refusal {
  const detail =
    `The _meta of a request of revision ${statelessVersions[0]} is not valid: ${key} is ${problem}. Send ` +
    `${metaKeys.protocolVersion} and ${metaKeys.clientCapabilities} with every request.`;
  return new Refusal('invalid_envelope', { detail, envelope: { key, problem } });
}

/** What a client calls itself, cut to a length that may be shown. */
export function clientOf(value: unknown): ClientInfo | null {
  if (!isObject(value)) return null;
  const { name, version } = value;
  return { name: cutText(textOf(name), 100).toWellFormed(), version: cutText(textOf(version), 100).toWellFormed() };
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
