import type { ChartCost } from './chart.js';
import type { Shares } from './profile.js';
import { perProcessorSecond, serverNames, type ServerName, type Series } from './measure.js';

/** One line of the result: a ratio or a size, and what is wanted of it. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  /** Lowest and highest of the rounds. */
  readonly spread?: readonly [number, number];
  readonly wanted: { readonly atLeast: number } | { readonly atMost: number };
  readonly unit: '' | 'bytes' | 'KiB' | 'MiB' | 'ms';
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low = 0, high = 0] = [sorted[sorted.length % 2 === 0 ? middle - 1 : middle], sorted[middle]];
  return (low + high) / 2;
}

/** How often the first is the second, round by round: what disturbs a round disturbs both. */
export function ratioOf({ name, unit, values }: Series, other: ServerName, atLeast: number): Figure {
  const ratios = values.greenroom.map((value, round) => value / (values[other][round] ?? Number.NaN));
  return { name: `${name} ${unit} : ${other}`, ...spreadOf(ratios), wanted: { atLeast }, unit: '' };
}

export function spreadOf(values: readonly number[]): { value: number; spread: readonly [number, number] } {
  return { value: median(values), spread: [Math.min(...values), Math.max(...values)] };
}

export function isMet({ value, wanted }: Figure): boolean {
  return 'atLeast' in wanted ? value >= wanted.atLeast : value <= wanted.atMost;
}

/** The ratios first, then what they were made of. */
export function tableOf(figures: readonly Figure[], series: readonly Series[]): string {
  const ratios = figures.map((figure) => [
    figure.name,
    shown(figure.value, figure.unit),
    figure.spread === undefined ? '' : figure.spread.map((value) => shown(value, figure.unit)).join(' to '),
    'atLeast' in figure.wanted ? `>= ${figure.wanted.atLeast}` : `<= ${figure.wanted.atMost}`,
    isMet(figure) ? 'met' : 'not met',
  ]);
  const rates = series.map(({ name, values, unit }) => [
    `${name}, ${unit}`,
    ...serverNames.map((server) => (values[server].length === 0 ? '-' : median(values[server]).toFixed(0))),
  ]);
  return [
    alignedOf([['figure', 'median', 'spread', 'wanted', ''], ...ratios]),
    ...(rates.length > 0 ? [alignedOf([['medians', ...serverNames], ...rates])] : []),
  ].join('\n\n');
}

/**
 * What is left to reach while each session is an actor: bare node:http and the chart alone, as the sum of what they cost.
 * Microseconds of processor time, and ratios of rates.
 */
export function limitsTableOf(series: readonly Series[], chart: ChartCost): string {
  const rows = series
    .filter(({ unit }) => unit === perProcessorSecond)
    .map(({ name, values }) => {
      const microsOf = (server: ServerName): number => 1e6 / median(values[server]);
      const [bare, plain] = [microsOf('bare'), microsOf('plainSdk')];
      const alone = name.startsWith('sessions') ? chart.sessions : chart.pings;
      const micros = [bare, alone, microsOf('greenroom'), plain].map((value) => value.toFixed(0));
      const ratios = [bare, plain].map((value) => (value / (bare + alone)).toFixed(2));
      return [name, ...micros, ...ratios];
    });
  const head = ['µs each', 'bare', 'chart alone', 'greenroom', 'plainSdk', 'limit : bare', 'limit : plainSdk'];
  return alignedOf([head, ...rows]);
}

const mostPlaces = 12;

/** Where the processor time of each rate goes, in shares, what takes most first. */
export function profileTableOf(profiles: ReadonlyMap<string, Shares>): string {
  const columns = [...profiles.values()];
  const sumOf = (place: string): number => columns.reduce((sum, shares) => sum + (shares.get(place) ?? 0), 0);
  const places = [...new Set(columns.flatMap((shares) => [...shares.keys()]))].toSorted((a, b) => sumOf(b) - sumOf(a));
  const rows = places
    .slice(0, mostPlaces)
    .map((place) => [place, ...columns.map((shares) => `${((shares.get(place) ?? 0) * 100).toFixed(1)} %`)]);
  return alignedOf([['processor time of greenroom', ...profiles.keys()], ...rows]);
}

const decimals = { KiB: 1, MiB: 0, bytes: 0, ms: 0 } as const;

function shown(value: number, unit: Figure['unit']): string {
  return unit === '' ? value.toFixed(2) : `${value.toFixed(decimals[unit])} ${unit}`;
}

/** Columns of one width each. */
export function alignedOf(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

const barHeight = 18;
const scale = 300;

/** The ratios as bars against what is wanted of them, legible in light and dark. */
export function chartOf(figures: readonly Figure[]): string {
  const rows = figures.map((figure, index) => {
    const goal = 'atLeast' in figure.wanted ? figure.wanted.atLeast : figure.wanted.atMost;
    const width = Math.min(2, figure.value / goal) * (scale / 2);
    const y = index * (barHeight + 8) + 30;
    const label = `${figure.name}: ${shown(figure.value, figure.unit)}`;
    return (
      `<rect x="260" y="${y}" width="${width.toFixed(1)}" height="${barHeight}" class="${isMet(figure) ? 'met' : 'not'}"/>` +
      `<text x="250" y="${y + 13}" text-anchor="end">${label.replaceAll('<', '&lt;')}</text>`
    );
  });
  const height = figures.length * (barHeight + 8) + 40;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 600 ${height}" font-family="system-ui, sans-serif" font-size="12">`,
    '<style>text{fill:#222}.met{fill:#2a7}.not{fill:#c63}line{stroke:#888;stroke-dasharray:3}',
    '@media(prefers-color-scheme:dark){text{fill:#eee}}</style>',
    `<text x="${260 + scale / 2}" y="16" text-anchor="middle">wanted</text>`,
    `<line x1="${260 + scale / 2}" x2="${260 + scale / 2}" y1="22" y2="${height - 8}"/>`,
    ...rows,
    '</svg>\n',
  ].join('\n');
}
