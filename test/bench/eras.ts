import { z } from 'zod';
import { defineTool } from '../../src/index.js';
import { createOrchestrator, type Orchestrator } from '../../src/server/orchestrator.js';
import { FakeBrowserPool } from '../support/fakeBrowserPool.js';
import { postJson, send } from '../support/http.js';
import { StatelessClient } from '../support/statelessClient.js';
import type { Figure } from './report.js';

/** What many clients of both kinds of protocol revision heard of one server, all at once. */
export interface Eras {
  readonly clients: number;
  readonly calls: number;
  readonly seconds: number;
  /** Answers that were not those of the caller's own browser. */
  readonly wrong: readonly string[];
  /** Browsers that were opened and not closed, and sessions that were left. */
  readonly left: number;
}

const whose = defineTool({
  name: 'whose',
  group: 'session',
  description: 'Names the session that holds the browser.',
  needs: 'nothing',
  ofSession: true,
  input: z.strictObject({}),
  output: z.object({}),
  annotations: { readOnlyHint: true },
  handler: (_args, { session: { id } }) => Promise.resolve({ text: id, structured: {} }),
});

const callsOfAClient = 5;
const users = 50;

/** `clients` with handles and as many with sessions; each pair belongs to one user, and shares the browser of the handle. */
export async function measureEras(clients: number, report: (line: string) => void): Promise<Eras> {
  const pool = new FakeBrowserPool();
  const limits = { maxSessions: 1e5, maxSessionsPerUser: 1e5, connectRate: 1e9, requestRate: 1e9 };
  const orchestrator = await createOrchestrator({ pool, tools: [whose], options: { port: 0, prewarm: 0, ...limits } });
  const { url } = await orchestrator.listen();
  const wrong: string[] = [];
  const check = (heard: string, expected: string): void => {
    if (heard !== expected) wrong.push(`${heard} for ${expected}`);
  };
  const startedAt = performance.now();
  const pairs = Array.from({ length: clients }, (_, index) => workTogether(url, `user${index % users}`, check));
  const outcomes = await Promise.allSettled(pairs);
  const seconds = (performance.now() - startedAt) / 1_000;
  for (const outcome of outcomes) if (outcome.status === 'rejected') wrong.push(String(outcome.reason));
  for (const what of new Set(wrong.slice(0, 10))) report(`wrong: ${what}`);
  const left = await endServer(orchestrator, pool, outcomes);
  const calls = clients * callsOfAClient * 3;
  report(
    `${clients} + ${clients} clients: ${calls} calls in ${seconds.toFixed(1)} s, ${wrong.length} wrong, ${left} left`,
  );
  return { clients, calls, seconds, wrong, left };
}

async function workTogether(
  url: string,
  user: string,
  check: (heard: string, expected: string) => void,
): Promise<void> {
  const modern = new StatelessClient(url, `/mcp?userId=${user}`);
  const [handle, earlier] = await Promise.all([modern.open(), openEarlier(url, user)]);
  for (let call = 0; call < callsOfAClient; call++) {
    const [own, shared, heard] = await Promise.all([
      earlier.whose(),
      earlier.whose(handle),
      modern.text('whose', { browser_id: handle }),
    ]);
    check(own, earlier.id);
    check(shared, handle);
    check(heard, handle);
  }
  await Promise.all([earlier.close(), modern.text('close_browser', { browser_id: handle })]);
}

/** A client of revision 2025-11-25 that takes JSON. */
async function openEarlier(url: string, user: string) {
  const address = `${url}/mcp?userId=${user}`;
  let headers: Record<string, string> = { accept: 'application/json' };
  const post = (message: object) => postJson(address, { jsonrpc: '2.0', ...message }, headers);
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'earlier', version: '1' } };
  const greeting = await post({ id: 0, method: 'initialize', params });
  const id = String(greeting.headers['mcp-session-id']);
  headers = { ...headers, 'mcp-session-id': id };
  let count = 0;
  return {
    id,
    whose: async (browser?: string): Promise<string> => {
      const args = browser === undefined ? {} : { browser_id: browser };
      const answer = await post({ id: (count += 1), method: 'tools/call', params: { name: 'whose', arguments: args } });
      const { result } = answer.json as { result?: { content: { text: string }[] } };
      return result?.content[0]?.text ?? answer.text;
    },
    close: () => send(address, { method: 'DELETE', headers }),
  };
}

/** Resolves with what is open when every client has left, or one has failed, whose sessions would end when they are idle. */
async function endServer(
  orchestrator: Orchestrator,
  pool: FakeBrowserPool,
  outcomes: readonly { readonly status: string }[],
): Promise<number> {
  if (outcomes.every(({ status }) => status === 'fulfilled'))
    await Promise.all(orchestrator.registry.list().map((session) => session.ended));
  const open = orchestrator.registry.list().length;
  await orchestrator.close();
  return open + pool.opened.length - pool.closed.length;
}

export const erasFigures = ({ clients, wrong, left }: Eras): Figure[] => [
  { name: `wrong answers, ${clients} + ${clients} clients`, value: wrong.length, wanted: { atMost: 0 }, unit: '' },
  { name: 'browsers and sessions left', value: left, wanted: { atMost: 0 }, unit: '' },
];
