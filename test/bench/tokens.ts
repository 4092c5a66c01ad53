import { createRequire } from 'node:module';
import { join } from 'node:path';
import { installPeers, peersIn, removePeers, startGreenroom, type Peer } from './browserPeers.js';
import { alignedOf, type Figure } from './report.js';
import { Agent } from './tokenAgents.js';
import { startShop } from './tokenSite.js';
import { tasks, type Task } from './tokenTasks.js';

/** Counts tokens as a current model does (o200k). */
const tokenizer = 'gpt-tokenizer@4.0.0';

/** What one server spent on one task; nothing where it did not get there, with the reason. */
export type Spent = { readonly calls: number; readonly tokens: number } | { readonly failed: string };

/** By name of the task and of the server. */
export type TokenCounts = ReadonlyMap<string, ReadonlyMap<string, Spent>>;

/** The tokens of the calls and answers of fixed tasks, of this server and of others that drive a browser. */
export async function measureTokens(report: (line: string) => void): Promise<TokenCounts> {
  const folder = await installPeers(tokenizer);
  const [shop, greenroom] = [await startShop(), await startGreenroom()];
  const { encode } = createRequire(join(folder, 'package.json'))('gpt-tokenizer') as {
    encode(text: string): readonly number[];
  };
  const counts = new Map<string, Map<string, Spent>>();
  try {
    for (const peer of await peersIn(folder, greenroom)) {
      for (const task of tasks) {
        const spent = await doTask(peer, task, shop.url, (text) => encode(text).length);
        report(`${task.name}, ${peer.name}: ${shown(spent)}`);
        counts.set(task.name, (counts.get(task.name) ?? new Map<string, Spent>()).set(peer.name, spent));
      }
    }
    return counts;
  } finally {
    await greenroom.orchestrator.close();
    shop.close();
    await removePeers(folder);
  }
}

/** In a conversation of its own. */
async function doTask(peer: Peer, task: Task, url: string, count: (text: string) => number): Promise<Spent> {
  const client = await peer.connect();
  const agent = new Agent(peer.name, client, count);
  try {
    await agent.open(`${url}${task.path}`);
    const text = await task.steps(agent);
    return text.includes(task.proof)
      ? { calls: agent.calls, tokens: agent.tokens }
      : { failed: `no ${JSON.stringify(task.proof)} in ${JSON.stringify(text.slice(0, 300))}` };
  } catch (error) {
    return { failed: String(error) };
  } finally {
    await client.close();
  }
}

const shown = (spent: Spent | undefined): string =>
  spent === undefined || 'failed' in spent ? `failed: ${spent?.failed ?? ''}` : `${spent.tokens} in ${spent.calls}`;

const wanted = { 'chrome-devtools-mcp': 0.6, '@playwright/mcp': 0.3 };

/** The sums over the tasks that both servers have done. */
export function tokenFigures(counts: TokenCounts): Figure[] {
  const ratios = Object.entries(wanted).map(([other, atMost]): Figure => {
    let [ours, theirs] = [0, 0];
    for (const spent of counts.values()) {
      const [own, beside] = [spent.get('greenroom'), spent.get(other)];
      if (own === undefined || beside === undefined || 'failed' in own || 'failed' in beside) continue;
      ours += own.tokens;
      theirs += beside.tokens;
    }
    return { name: `tokens of ${counts.size} tasks : ${other}`, value: ours / theirs, wanted: { atMost }, unit: '' };
  });
  const done = [...counts.values()].filter((spent) => 'tokens' in (spent.get('greenroom') ?? {})).length;
  return [...ratios, { name: 'tasks done', value: done, wanted: { atLeast: tasks.length }, unit: '' }];
}

/** Tokens and calls of each task. */
export function tokenTable(counts: TokenCounts): string {
  const servers = ['greenroom', ...Object.keys(wanted)];
  const rows = [...counts].map(([task, spent]) => [
    task,
    ...servers.map((server) => {
      const each = spent.get(server);
      return each === undefined || 'failed' in each ? 'failed' : `${each.tokens} (${each.calls})`;
    }),
  ]);
  return alignedOf([['tokens (calls)', ...servers], ...rows]);
}
