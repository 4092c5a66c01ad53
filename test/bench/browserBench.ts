import { setTimeout as pause } from 'node:timers/promises';
import { serveBenchPages, type BenchPage } from './browserPages.js';
import { installPeers, peersIn, removePeers, startGreenroom, textOf, type Peer } from './browserPeers.js';
import { alignedOf, median, spreadOf, type Figure } from './report.js';

const timedCalls = ['first', 'click', 'fill', 'screenshot', 'evaluate'] as const;
const timedOfPage = ['navigate', 'snapshot'] as const;
/** The second snapshot of a page that did not change. */
const again = 'snapshot again';
/**
 * What a model is given of a snapshot, and of each tool that is listed: name, description and input schema; and the same
 * of all that is listed, output schemas too.
 */
const sizes = ['snapshotBytes', 'toolBytes', 'listedBytes'] as const;

type PageFigure = `${(typeof timedOfPage)[number]} ${BenchPage['name']}`;
type Key = (typeof timedCalls)[number] | (typeof sizes)[number] | typeof again | PageFigure;
/** Milliseconds, and bytes, of one round of one server. A page that was not served has none. */
export type BrowserRound = Readonly<Partial<Record<Key, number>>>;
export type BrowserRounds = ReadonlyMap<string, readonly BrowserRound[]>;

/** A client comes to a server that had time to keep a session ready. */
const refillMs = 2_000;

/** This server beside others that drive a browser: the same pages, the same browser, in turns. */
export async function measureBrowsers(rounds: number, report: (line: string) => void): Promise<BrowserRounds> {
  const folder = await installPeers();
  const served = await serveBenchPages(report);
  const greenroom = await startGreenroom();
  const measured = new Map<string, BrowserRound[]>();
  try {
    const peers = await peersIn(folder, greenroom);
    for (let round = -1; round < rounds; round += 1) {
      for (const peer of peers) {
        await pause(refillMs);
        const figures = await measure(peer, served.pages);
        const title = `${peer.name} ${peer.version}`;
        report(`${title}: ${shown(figures)}${round < 0 ? ' (warm-up)' : ''}`);
        if (round >= 0) measured.set(title, [...(measured.get(title) ?? []), figures]);
      }
    }
    return measured;
  } finally {
    await greenroom.orchestrator.close();
    await served.close();
    await removePeers(folder);
  }
}

async function measure({ connect, calls }: Peer, [main, ...others]: readonly BenchPage[]): Promise<BrowserRound> {
  if (main === undefined) return {};
  const figures: Partial<Record<Key, number>> = {};
  const timed = async <Result>(key: Key, work: () => Promise<Result>): Promise<Result> => {
    const startedAt = performance.now();
    const result = await work();
    figures[key] = performance.now() - startedAt;
    return result;
  };
  const client = await timed('first', async () => {
    const connected = await connect();
    await textOf(connected, calls.evaluate);
    return connected;
  });
  try {
    const { tools } = await client.listTools();
    const open = async ({ name, url }: BenchPage): Promise<string> => {
      await timed(`navigate ${name}`, () => textOf(client, calls.navigate(url)));
      return timed(`snapshot ${name}`, () => textOf(client, calls.snapshot));
    };
    const text = await open(main);
    await timed(again, () => textOf(client, calls.snapshot));
    await timed('click', () => textOf(client, calls.click(text)));
    await timed('fill', () => textOf(client, calls.fill(text)));
    await timed('screenshot', () => client.callTool(calls.screenshot));
    await timed('evaluate', () => textOf(client, calls.evaluate));
    for (const page of others) await open(page);
    const given = tools.map(({ name, description, inputSchema }) => ({ name, description, inputSchema }));
    figures.snapshotBytes = Buffer.byteLength(text);
    figures.toolBytes = bytesOf(given) / tools.length;
    figures.listedBytes = bytesOf(tools) / tools.length;
    return figures;
  } finally {
    await client.close();
  }
}

const bytesOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));

function shown(round: BrowserRound): string {
  return Object.entries(round)
    .map(([name, value]) => `${name} ${value.toFixed(0)}`)
    .join(', ');
}

interface Wanted {
  readonly key: Key;
  readonly other: string;
  readonly atMost: number;
}

const devtools = 'chrome-devtools-mcp';
const pageNames = ['sections', 'table', 'app', 'docs'] as const satisfies readonly BenchPage['name'][];
/** Of each other server's figure; what is wanted is wanted of one of them. */
const wanted: readonly Wanted[] = [
  { key: 'first', other: '@playwright/mcp', atMost: 1 / 20 },
  ...timedOfPage.flatMap((what) =>
    pageNames.map((name): Wanted => ({ key: `${what} ${name}`, other: devtools, atMost: 0.5 })),
  ),
  { key: again, other: devtools, atMost: 0.5 },
  { key: 'click', other: devtools, atMost: 0.3 },
  { key: 'fill', other: devtools, atMost: 0.3 },
  { key: 'screenshot', other: devtools, atMost: 0.7 },
  { key: 'evaluate', other: devtools, atMost: 0.2 },
  { key: 'snapshotBytes', other: devtools, atMost: 0.8 },
  { key: 'listedBytes', other: devtools, atMost: 550 / 830 },
];
const mostToolBytes = 550;

/** Ratios round by round: what disturbs a round disturbs both. */
export function browserFigures(rounds: BrowserRounds): Figure[] {
  const of = (name: string): readonly BrowserRound[] =>
    [...rounds].find(([title]) => title.startsWith(`${name} `))?.[1] ?? [];
  const ours = of('greenroom');
  const measuredKeys = new Set(ours.flatMap((round) => Object.keys(round)));
  const valuesOf = (key: Key): number[] => ours.map((round) => round[key] ?? Number.NaN);
  const ratios = wanted
    .filter(({ key }) => measuredKeys.has(key))
    .map(({ key, other, atMost }): Figure => {
      const values = valuesOf(key).map((value, index) => value / (of(other)[index]?.[key] ?? Number.NaN));
      return { name: `${key} : ${other}`, ...spreadOf(values), wanted: { atMost }, unit: '' };
    });
  const toolBytes = spreadOf(valuesOf('toolBytes'));
  return [
    ...ratios,
    { name: 'a tool, as a model is given it', ...toolBytes, wanted: { atMost: mostToolBytes }, unit: 'bytes' },
  ];
}

/** Medians: milliseconds and bytes. A line for each figure. */
export function browserTable(rounds: BrowserRounds): string {
  const rows = wanted.map(({ key }) => [
    key,
    ...[...rounds.values()].map((all) => median(all.map((round) => round[key] ?? Number.NaN)).toFixed(0)),
  ]);
  return alignedOf([['medians, ms or bytes', ...rounds.keys()], ...rows]);
}
