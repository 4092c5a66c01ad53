import { send, type Reply } from '../support/http.js';
import type { Echo, History, Transport } from './history.js';
import type { Random } from './random.js';

/** What a client of the run needs of it. */
export interface ChaosClientDeps {
  readonly history: History;
  /** Where a node listens. */
  urlOf(node: number): string;
  readonly nodes: number;
  /** How long anything is waited for, in milliseconds. */
  readonly patienceMs: number;
  /** A session was announced: whether the directory has it is looked up. */
  onAnnounced(session: string): void;
}

export interface ClientOptions extends ChaosClientDeps {
  readonly name: string;
  readonly user: string;
  readonly random: Random;
}

/** A session as its client knows it. */
export interface ClientSession {
  readonly id: string;
  /** Sends a message; resolves when it is acknowledged, or never will be. What becomes of it is written down. */
  callNote(text: string, holdMs: number): Promise<{ readonly settled: Promise<void> }>;
  /** Whether it is over, as far as the client was told. */
  readonly isOver: boolean;
  /** Ends it, as a client that is done does. */
  leave(): Promise<void>;
}

/** What the nodes say to whoever is refused. */
export function reasonOf(json: unknown, otherwise: string): string {
  const { error } = (json ?? {}) as { error?: { data?: { reason?: string } } };
  return error?.data?.reason ?? otherwise;
}

export const echoOf = (message: object): Echo | undefined =>
  (message as { result?: { structuredContent?: Echo } }).result?.structuredContent;

export const refusalReasonIn = (message: object): string => {
  const { result } = message as { result?: { content?: { text?: string }[] } };
  return reasonOf(message, result?.content?.[0]?.text ?? 'an answer that says nothing');
};

export const noteCall = (text: string, holdMs: number): object => ({
  ...{ jsonrpc: '2.0', id: text, method: 'tools/call' },
  params: { name: 'note', arguments: { text, holdMs }, _meta: { progressToken: text } },
});

export const initialize = {
  ...{ jsonrpc: '2.0', id: 'initialize', method: 'initialize' },
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'chaos', version: '1' } },
};

/** Of a message from the server: the request that its progress is of, and how far that is. */
export function progressIn(message: object): { readonly text: string; readonly progress: number } | undefined {
  const { method, params } = message as { method?: string; params?: { progressToken: string; progress: number } };
  if (method !== 'notifications/progress' || params === undefined) return undefined;
  return { text: params.progressToken, progress: params.progress };
}

/** Whether the server says that it had to drop some of what it sent. */
export const isLossNotice = (message: object): boolean =>
  'method' in message && message.method === 'notifications/message';

/** Resolves with false when it took too long. */
export async function settlesWithin(ms: number, work: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => (timer = setTimeout(() => resolve(false), ms)));
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** One request that is answered as a whole; undefined if the connection broke, or nothing came in time. */
export async function request(ms: number, ...given: Parameters<typeof send>): Promise<Reply | 'broken' | 'silent'> {
  let reply: Reply | 'broken' = 'broken';
  const done = send(...given).then(
    (answer) => void (reply = answer),
    () => undefined,
  );
  return (await settlesWithin(ms, done)) ? reply : 'silent';
}

/** Where a client goes next: to any node. */
export const randomNodeUrl = ({ random, nodes, urlOf }: ClientOptions, path: string): { node: number; url: string } => {
  const node = random.between(0, nodes - 1);
  return { node, url: new URL(path, urlOf(node)).href };
};

export const recordAnnouncement = (
  { history, user, onAnnounced }: ClientOptions,
  session: string,
  transport: Transport,
): void => {
  history.record({ type: 'announced', session, user, transport });
  onAnnounced(session);
};
