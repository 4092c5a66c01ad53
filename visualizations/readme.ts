import { machines } from '../machines/index.js';
import { defaultOf, flagOf, options, variableOf } from '../src/config.js';
import { catalogue } from '../src/errors.js';
import { toolGroups } from '../src/tools/defineTool.js';
import { allTools } from '../src/tools/index.js';
import { closeCodes } from '../src/transport/webSocket.js';
import { readChart } from './chart.js';
import { code, fenced, table } from './markdown.js';
import { overviewOf } from './mermaid.js';

const sections: Readonly<Record<string, () => string>> = {
  chart: chartSection,
  options: optionTable,
  errors: errorTable,
  tools: toolTable,
  closes: closeTable,
};

/** Fills what stands between `<!-- generated:NAME -->` and `<!-- /generated -->`. An unknown name throws. */
export function fillMarkers(text: string): string {
  return text.replace(
    /(<!-- generated:(\w+) -->\n)[\s\S]*?(<!-- \/generated -->)/g,
    (_whole, start: string, name: string, end: string) => {
      const section = sections[name];
      if (section === undefined) throw new Error(`README.md: nothing is generated under the name "${name}".`);
      return `${start}\n${section()}\n\n${end}`;
    },
  );
}

function chartSection(): string {
  const chart = readChart(machines[0].machine);
  const rows = chart.states.map(({ key, description }) => [code(key), description]);
  return `${fenced('mermaid', overviewOf(chart))}\n\n${table(['state', 'what is true in it'], rows)}`;
}

function optionTable(): string {
  const rows = Object.entries(options.shape).map(([name, schema]) => [
    code(flagOf(name)),
    code(variableOf(name)),
    defaultOf(name),
    schema.description ?? '',
  ]);
  return table(['flag', 'variable', 'default', 'meaning'], rows);
}

function errorTable(): string {
  const rows = Object.entries(catalogue).map(([reason, { status, code: rpcCode, retryable, when }]) => [
    code(reason),
    String(status),
    String(rpcCode),
    retryable ? 'yes' : 'no',
    when,
  ]);
  return table(['reason', 'HTTP', 'code', 'retry', 'when'], rows);
}

function closeTable(): string {
  const codes = [...new Set(Object.values(closeCodes))].toSorted((one, other) => one - other);
  const reasons = (wanted: number) => Object.entries(closeCodes).filter(([, closeCode]) => closeCode === wanted);
  const rows = codes.map((closeCode) => [
    String(closeCode),
    reasons(closeCode)
      .map(([reason]) => code(reason))
      .join(', '),
  ]);
  return table(['close code', 'the session ended because of'], rows);
}

function toolTable(): string {
  const rows = toolGroups.flatMap((group) =>
    allTools.filter((tool) => tool.group === group).map(({ name, description }) => [group, code(name), description]),
  );
  return table(['group', 'tool', 'what it does'], rows);
}
