import { execFileSync } from 'node:child_process';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  measureCrowding,
  measureFootprint,
  measureRates,
  perProcessorSecond,
  profileRate,
  serverNames,
  type BenchOptions,
  type Series,
} from './measure.js';
import { browserFigures, browserTable, measureBrowsers, type BrowserRounds } from './browserBench.js';
import { measureChart, type ChartCost } from './chart.js';
import { densityFigures, measureDensity, measureFirstOfUser } from './density.js';
import { diagnose, diagnoseExtensions, diagnosisTable } from './diagnosis.js';
import { erasFigures, measureEras } from './eras.js';
import { explain } from './explained.js';
import type { Door } from './load.js';
import { measureNodes, nodesFigures, nodesTable, type NodesRounds } from './nodes.js';
import type { Shares } from './profile.js';
import { chartOf, limitsTableOf, profileTableOf, ratioOf, spreadOf, tableOf, type Figure } from './report.js';
import { measureTakeovers, takeoverFigures } from './takeovers.js';
import { measureTokens, tokenFigures, tokenTable, type TokenCounts } from './tokens.js';

/**
 * `npm run bench`: this server beside the plain SDK and the bare runtime, and beside others that drive browsers, on the same
 * work, in turns; clients of both kinds of revision at once; and nodes that share a Redis beside one that does not. `--part
 * servers`, `eras`, `nodes`, `browsers`, `density`, `tokens` or `diagnosis` runs one of them: the last but one counts the tokens of fixed
 * tasks, the last places planted bugs through the tools.
 */

const { values } = parseArgs({
  options: {
    rounds: { type: 'string' },
    quick: { type: 'boolean' },
    part: { type: 'string' },
  },
});
const write = (line: string): void => void process.stdout.write(`${line}\n`);

/** Each session of the crowd has two connections, and the rest needs some. Not a number: without a limit. */
const openFiles = Number(execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }));
const most = openFiles >= 0 ? Math.floor((openFiles - 1_000) / 2) : Infinity;

const options: BenchOptions = {
  rounds: Number(values.rounds ?? (values.quick === true ? 1 : 5)),
  sessions: values.quick === true ? 500 : 1_500,
  pings: values.quick === true ? 5_000 : 15_000,
  doors: ['sse', 'streamable', 'stateless'],
  idle: values.quick === true ? 500 : 3_000,
  crowd: Math.min(values.quick === true ? 1_000 : 10_000, most),
  folder: await mkdtemp(join(tmpdir(), 'greenroom-bench-')),
  report: (line) => void process.stderr.write(`${line}\n`),
};

const kib = 1024;

interface Measured {
  readonly figures: readonly Figure[];
  readonly series: readonly Series[];
  readonly profiles: ReadonlyMap<string, Shares>;
  readonly chart: ChartCost | undefined;
}

async function run(): Promise<Measured> {
  const figures: Figure[] = [];
  const series: Series[] = [];
  const profiles = new Map<string, Shares>();
  for (const door of options.doors) {
    for (const sessions of await measureRates('sessions', door, options)) {
      series.push(sessions);
      figures.push(ratioOf(sessions, 'plainSdk', 5), ratioOf(sessions, 'bare', 0.8));
    }
    for (const pings of await measureRates('pings', door, options)) {
      series.push(pings);
      figures.push(ratioOf(pings, 'bare', 0.85));
    }
    for (const kind of ['sessions', 'pings'] as const)
      profiles.set(`${kind} ${door}`, await profileRate(kind, door, options));
  }
  figures.push(costOfStateless(series));
  const { heap, resident } = await measureFootprint('greenroom', options);
  figures.push({ name: 'heap of an idle session', value: heap / kib, wanted: { atMost: 14 }, unit: 'KiB' });
  figures.push({ name: 'resident of an idle session', value: resident / kib, wanted: { atMost: 30 }, unit: 'KiB' });
  const crowding = await measureCrowding(options);
  const growth = spreadOf(crowding.map(({ few, many }) => many / few));
  figures.push({ name: `p99 ping, ${options.crowd} : 100 sessions`, ...growth, wanted: { atMost: 1.5 }, unit: '' });
  return { figures, series, profiles, chart: await measureChart(options.sessions) };
}

/** A request without a session beside one with it, by the processor time of this server. */
function costOfStateless(series: readonly Series[]): Figure {
  const ratesAt = (door: Door): readonly number[] =>
    series.find(({ name, unit }) => name === `pings ${door}` && unit === perProcessorSecond)?.values.greenroom ?? [];
  const others = ratesAt('streamable');
  const ratios = ratesAt('stateless').map((rate, round) => rate / (others[round] ?? Number.NaN));
  return { name: 'pings stateless : streamable', ...spreadOf(ratios), wanted: { atLeast: 1 }, unit: '' };
}

async function runBrowsers(): Promise<{ figures: Figure[]; browsers: BrowserRounds }> {
  const browsers = await measureBrowsers(options.rounds, options.report);
  return { figures: browserFigures(browsers), browsers };
}

/** Sessions that share a browser process, then some with one each, then a user with a token. */
async function runDensity(): Promise<Figure[]> {
  const [many, few] = values.quick === true ? [20, 4] : [100, 20];
  const shared = await measureDensity(many, 'context', options.report);
  const own = await measureDensity(few, 'process', options.report);
  return [...[shared, own].flatMap(densityFigures), await measureFirstOfUser(options.rounds, options.report)];
}

const isWanted = (part: string): boolean => values.part === undefined || values.part === part;
const nothing: Measured = { figures: [], series: [], profiles: new Map(), chart: undefined };
const { figures: ofServers, series, profiles, chart } = isWanted('servers') ? await run() : nothing;
const eras = isWanted('eras')
  ? erasFigures(await measureEras(values.quick === true ? 200 : 1_000, options.report))
  : [];
const nodes: NodesRounds = isWanted('nodes') ? await measureNodes(options) : new Map();
const takeovers = isWanted('nodes') ? takeoverFigures(await measureTakeovers(options)) : [];
const { figures: ofBrowsers, browsers } = isWanted('browsers')
  ? await runBrowsers()
  : { figures: [], browsers: new Map() satisfies BrowserRounds };
const tokens: TokenCounts = isWanted('tokens') ? await measureTokens(options.report) : new Map();
const density = isWanted('density') ? await runDensity() : [];
const inExtensions = isWanted('diagnosis') ? await diagnoseExtensions(options.report) : [];
const diagnoses = isWanted('diagnosis') ? await diagnose(options.report) : [];
const figures = [
  ...ofServers,
  ...eras,
  ...(nodes.size > 0 ? nodesFigures(nodes) : []),
  ...takeovers,
  ...ofBrowsers,
  ...density,
  ...(tokens.size > 0 ? tokenFigures(tokens) : []),
];
const { folder } = options;
const machine = { node: process.version, cores: cpus().length, cpu: cpus()[0]?.model, load: loadavg() };
await writeFile(
  join(folder, 'bench.json'),
  JSON.stringify(
    {
      machine,
      servers: serverNames,
      figures,
      series,
      nodes: [...nodes],
      browsers: [...browsers],
      tokens: [...tokens].map(([task, spent]) => [task, Object.fromEntries(spent)]),
      diagnoses,
      inExtensions,
    },
    null,
    2,
  ),
);
await writeFile(join(folder, 'bench.svg'), chartOf(figures));
write(tableOf(figures, series));
if (chart !== undefined) write(`\n${limitsTableOf(series, chart)}`);
if (profiles.size > 0) write(`\n${profileTableOf(profiles)}`);
if (nodes.size > 0) write(`\n${nodesTable(nodes)}`);
if (browsers.size > 0) write(`\n${browserTable(browsers)}`);
if (tokens.size > 0) write(`\n${tokenTable(tokens)}`);
for (const each of [diagnoses, inExtensions]) if (each.length > 0) write(`\n${diagnosisTable(each)}`);
const explained = explain(figures);
if (explained !== '') write(`\n${explained}`);
write(
  `\nNode ${machine.node}, ${machine.cores} cores, load ${machine.load.map((value) => value.toFixed(1)).join(' ')}`,
);
write(`${join(folder, 'bench.json')}\n${join(folder, 'bench.svg')}`);
