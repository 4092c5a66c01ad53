import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AnyStateMachine } from 'xstate';
import { machines } from '../machines/index.js';
import { readChart } from './chart.js';
import { coverageSvgOf, readCoverage } from './coverage.js';
import { eventTableOf } from './eventTable.js';
import { layOut } from './layout.js';
import { readLayers, layersPageOf, layersSvgOf } from './layers.js';
import { inspectorChartOf } from './inspectorCharts.js';
import { fenced } from './markdown.js';
import { mermaidOf } from './mermaid.js';
import { proofSvgOf, readProofs } from './proofs.js';
import { fillMarkers, pages } from './readme.js';
import { drawChart } from './stateSvg.js';

/** A generated file: its path below the root of the project, and its content. */
export interface Artefact {
  readonly path: string;
  readonly content: string;
}

/** Makes every generated file in memory, from the charts, the layer list and the catalogues. Writes nothing. */
export async function makeArtefacts(root: string): Promise<Artefact[]> {
  const layers = await readLayers(root);
  const charts = await Promise.all(machines.map(chartArtefacts));
  const coverage = await readCoverage(root);
  const names = await layOut(readChart(machines[0].machine), 'names');
  const live = await Promise.all(machines.map(inspectorChart));
  return [
    ...charts.flat(),
    { path: 'visualizations/layers.svg', content: layersSvgOf(layers) },
    { path: 'visualizations/layers.md', content: layersPageOf(layers) },
    { path: 'visualizations/coverage.svg', content: coverageSvgOf(names, coverage) },
    { path: 'visualizations/proofs.svg', content: proofSvgOf(readProofs(root)) },
    { path: 'src/inspector/page/charts.json', content: `${JSON.stringify(live)}\n` },
    ...(await Promise.all(pages.map((path) => pageArtefact(root, path)))),
  ];
}

async function pageArtefact(root: string, path: string): Promise<Artefact> {
  return { path, content: fillMarkers(path, await readFile(join(root, path), 'utf8')) };
}

/** The artefacts whose files differ or are missing. */
export async function outdated(root: string, artefacts: readonly Artefact[]): Promise<Artefact[]> {
  const current = await Promise.all(
    artefacts.map(({ path }) => readFile(join(root, path), 'utf8').catch(() => undefined)),
  );
  return artefacts.filter(({ content }, index) => content !== current[index]);
}

async function inspectorChart({ name, machine }: (typeof machines)[number]) {
  const chart = readChart(machine);
  return inspectorChartOf(name, chart.description, await layOut(chart, 'names'));
}

async function chartArtefacts({ name, machine, eventTypes }: (typeof machines)[number]): Promise<Artefact[]> {
  const chart = readChart(machine);
  const mermaid = mermaidOf(chart);
  const page = [
    `# ${name}`,
    '',
    chart.description,
    '',
    `Events on the arrows, guards in brackets, actions after a slash. [What each state does with each event](${name}.events.md).`,
    `[JSON for Stately Studio](${name}.json).`,
    '',
    `![State chart: ${name}](${name}.svg)`,
    '',
    '## The same as Mermaid',
    '',
    fenced('mermaid', mermaid),
    '',
  ].join('\n');
  const svg = drawChart(await layOut(chart), `State chart: ${name}`);
  return [
    { path: `visualizations/${name}.svg`, content: svg },
    { path: `visualizations/${name}.mmd`, content: mermaid },
    { path: `visualizations/${name}.md`, content: page },
    { path: `visualizations/${name}.json`, content: studioJsonOf(machine) },
    { path: `visualizations/${name}.events.md`, content: eventTableOf(chart, eventTypes) },
  ];
}

/** The chart as plain XState JSON, for import in Stately Studio. Code (mappers, context) is left out. */
function studioJsonOf(machine: AnyStateMachine): string {
  const withoutCode = (_key: string, value: unknown): unknown => (typeof value === 'function' ? undefined : value);
  return `${JSON.stringify(machine.config, withoutCode, 2)}\n`;
}
