import { setTimeout as pause } from 'node:timers/promises';
import { installPeers, peersIn, removePeers, startGreenroom, startPage, textOf, type Peer } from './browserPeers.js';
import { alignedOf, median, spreadOf, type Figure } from './report.js';

/** Milliseconds, and bytes, of one round of one server. */
export interface BrowserRound {
  /** From connecting to the first tool's result. */
  readonly first: number;
  readonly navigate: number;
  readonly snapshot: number;
  readonly click: number;
  readonly evaluate: number;
  readonly snapshotBytes: number;
  /** Of each tool that is listed, what a model is given of it: name, description and input schema. */
  readonly toolBytes: number;
  /** The same of all that is listed, output schemas too. */
  readonly listedBytes: number;
}

export type BrowserRounds = ReadonlyMap<string, readonly BrowserRound[]>;

/** A client comes to a server that had time to keep a session ready. */
const refillMs = 2_000;

/** This server beside others that drive a browser: the same page, the same browser, in turns. */
export async function measureBrowsers(rounds: number, report: (line: string) => void): Promise<BrowserRounds> {
  const folder = await installPeers();
  const page = await startPage();
  const greenroom = await startGreenroom();
  const measured = new Map<string, BrowserRound[]>();
  try {
    const peers = await peersIn(folder, greenroom);
    for (let round = -1; round < rounds; round += 1) {
      for (const peer of peers) {
        await pause(refillMs);
        const figures = await measure(peer, page.url);
        report(`${peer.name} ${peer.version}: ${shown(figures)}${round < 0 ? ' (warm-up)' : ''}`);
        if (round >= 0)
          measured.set(`${peer.name} ${peer.version}`, [
            ...(measured.get(`${peer.name} ${peer.version}`) ?? []),
            figures,
          ]);
      }
    }
    return measured;
  } finally {
    await greenroom.orchestrator.close();
    page.close();
    await removePeers(folder);
  }
}

async function measure({ connect, calls }: Peer, url: string): Promise<BrowserRound> {
  const startedAt = performance.now();
  const client = await connect();
  try {
    await textOf(client, calls.evaluate);
    const first = performance.now() - startedAt;
    const { tools } = await client.listTools();
    const navigate = await timeOf(() => textOf(client, calls.navigate(url)));
    let text = '';
    const snapshot = await timeOf(async () => {
      text = await textOf(client, calls.snapshot);
    });
    const click = await timeOf(() => textOf(client, calls.click(text)));
    const evaluate = await timeOf(() => textOf(client, calls.evaluate));
    const shown = tools.map(({ name, description, inputSchema }) => ({ name, description, inputSchema }));
    const [toolBytes, listedBytes] = [bytesOf(shown) / tools.length, bytesOf(tools) / tools.length];
    const snapshotBytes = Buffer.byteLength(text);
    return { first, navigate, snapshot, click, evaluate, snapshotBytes, toolBytes, listedBytes };
  } finally {
    await client.close();
  }
}

const bytesOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));

async function timeOf(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

function shown(round: BrowserRound): string {
  return Object.entries(round)
    .map(([name, value]) => `${name} ${Number(value).toFixed(0)}`)
    .join(', ');
}

/** Of each other server's figure; what is wanted is wanted of one of them. */
const wanted: readonly { readonly key: keyof BrowserRound; readonly other: string; readonly atMost: number }[] = [
  { key: 'first', other: '@playwright/mcp', atMost: 1 / 20 },
  { key: 'navigate', other: 'chrome-devtools-mcp', atMost: 0.7 },
  { key: 'snapshot', other: 'chrome-devtools-mcp', atMost: 0.7 },
  { key: 'click', other: 'chrome-devtools-mcp', atMost: 0.5 },
  { key: 'evaluate', other: 'chrome-devtools-mcp', atMost: 0.2 },
  { key: 'snapshotBytes', other: 'chrome-devtools-mcp', atMost: 0.8 },
  { key: 'listedBytes', other: 'chrome-devtools-mcp', atMost: 550 / 830 },
];
const mostToolBytes = 550;

/** Ratios round by round: what disturbs a round disturbs both. */
export function browserFigures(rounds: BrowserRounds): Figure[] {
  const of = (name: string): readonly BrowserRound[] =>
    [...rounds].find(([title]) => title.startsWith(`${name} `))?.[1] ?? [];
  const ours = of('greenroom');
  const ratios = wanted.map(({ key, other, atMost }): Figure => {
    const values = ours.map((round, index) => round[key] / (of(other)[index]?.[key] ?? Number.NaN));
    return { name: `${key} : ${other}`, ...spreadOf(values), wanted: { atMost }, unit: '' };
  });
  const toolBytes = spreadOf(ours.map((round) => round.toolBytes));
  return [
    ...ratios,
    { name: 'a tool, as a model is given it', ...toolBytes, wanted: { atMost: mostToolBytes }, unit: 'bytes' },
  ];
}

/** Medians: milliseconds and bytes. */
export function browserTable(rounds: BrowserRounds): string {
  const keys = [...wanted.map(({ key }) => key), 'toolBytes' as const];
  const rows = [...rounds].map(([name, all]) => [
    name,
    ...keys.map((key) => median(all.map((round) => round[key])).toFixed(0)),
  ]);
  return alignedOf([['medians, ms or bytes', ...keys], ...rows]);
}
