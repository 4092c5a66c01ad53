import { stepsOutside } from '../../prove/traces.js';
import type { Sample } from './server.js';

export interface Round {
  readonly seconds: number;
  /** Of the server at rest, after it. */
  readonly sample: Sample;
}

type Size = 'heap' | 'resident' | 'chromium';

/** How much larger the last third of the rounds may be than the one before it. What is first used makes the first third grow. */
const growth: Readonly<Record<Size, number>> = { heap: 1.05, resident: 1.1, chromium: 1.15 };

/** Renderers end a moment after their sessions: in half of the rounds some are still there. What stays is in all of them. */
const comparedShare: Readonly<Record<Size, number>> = { heap: 1 / 2, resident: 1 / 2, chromium: 1 / 4 };

/** What is wrong with a server that has closed everything: nothing, if the list is empty. */
export function judgeEnd({ errors, steps, open }: Sample): string[] {
  const unclosed = Object.entries(open).filter(([, count]) => count !== 0);
  return [
    ...errors.map((error) => `The log told of an error: ${error}`),
    ...stepsOutside(steps).map((step) => `A chart left its explored graph: ${step}`),
    ...unclosed.map(([kind, count]) => `${count} ${kind} were opened and not closed.`),
  ];
}

/** What is wrong with the rounds, and with the server at the end. */
export function judge(rounds: readonly Round[], last: Sample): string[] {
  const problems = judgeEnd(last);
  const third = Math.floor(rounds.length / 3);
  if (third === 0) problems.push('There were too few rounds to see whether memory grows.');
  for (const [size, limit] of Object.entries(growth) as [Size, number][]) {
    const of = (from: number, to: number): number =>
      quantile(
        rounds.slice(from, to).map(({ sample }) => sample[size]),
        comparedShare[size],
      );
    const ratio = of(-third, rounds.length) / of(-2 * third, -third);
    if (ratio > limit) problems.push(`${size} grew to ${ratio.toFixed(2)} of what it was; at most ${limit} is wanted.`);
  }
  for (const [round, { sample }] of rounds.entries()) {
    if (sample.sessions > 0) problems.push(`Round ${round + 1} left ${sample.sessions} sessions.`);
  }
  return problems;
}

export function lineOf(number: number, round: Round | undefined): string {
  if (round === undefined) return '';
  const { seconds, sample } = round;
  const sizes = sizesOf(sample).map(({ name, bytes }) => `${name} ${(bytes / 1024 ** 2).toFixed(1)} MiB`);
  return `round ${String(number).padStart(4)}  ${seconds.toFixed(1).padStart(5)} s  ${sizes.join('  ')}`;
}

const sizesOf = ({ heap, resident, chromium }: Sample) => [
  { name: 'heap', bytes: heap },
  { name: 'resident', bytes: resident },
  { name: 'Chromium', bytes: chromium },
];

const [width, height, lane] = [800, 360, 120];

/** A line for each size, from nothing to its largest. */
export function chartOf(rounds: readonly Round[]): string {
  const lines = ['heap', 'resident', 'Chromium'].map((name, index) => {
    const bytes = rounds.map(({ sample }) => sizesOf(sample)[index]?.bytes ?? 0);
    const most = Math.max(1, ...bytes);
    const points = bytes.map((value, round) => {
      const x = (round / Math.max(1, rounds.length - 1)) * (width - 20) + 10;
      return `${x.toFixed(1)},${((index + 1) * lane - 10 - (value / most) * (lane - 40)).toFixed(1)}`;
    });
    const label = `${name}, at most ${(most / 1024 ** 2).toFixed(1)} MiB`;
    return `<text x="10" y="${index * lane + 20}">${label}</text><polyline points="${points.join(' ')}"/>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="12">`,
    '<style>text{fill:#222}polyline{fill:none;stroke:#2a7;stroke-width:2}@media(prefers-color-scheme:dark){text{fill:#eee}}</style>',
    ...lines,
    '</svg>\n',
  ].join('\n');
}

function quantile(values: readonly number[], share: number): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length * share)] ?? 0;
}
