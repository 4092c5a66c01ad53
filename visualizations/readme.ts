import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { machines } from '../machines/index.js';
import { defaultOf, flagOf, options, variableOf } from '../src/config/config.js';
import { catalogue } from '../src/errors/errors.js';
import { toolGroups } from '../src/tools/defineTool.js';
import { packageInfo, packageRoot } from '../src/packageInfo.js';
import { clientProfiles } from '../src/mcp/clientProfiles.js';
import { allPrompts } from '../src/mcp/prompts.js';
import { allTools } from '../src/tools/allTools.js';
import { closeCodes } from '../src/transport/webSocket.js';
import { requirements } from '../test/requirements.js';
import { readChart } from './chart.js';
import { code, fenced, table } from './markdown.js';
import { overviewOf } from './mermaid.js';
import { proofTables, readProofs } from './proofs.js';

/** The pages with generated parts, each in the folder of the code it describes. */
export const pages = [
  'machines/README.md',
  'src/config/README.md',
  'src/server/README.md',
  'src/tools/README.md',
  'src/transport/README.md',
] as const;

/** The generators of the parts, by name. Each part is on one page. */
export const sections: Readonly<Record<string, () => string>> = {
  chart: chartSection,
  promises: promiseTable,
  proofs: () => proofTables(readProofs(packageRoot)),
  options: optionTable,
  errors: errorTable,
  tools: toolTable,
  closes: closeTable,
  prompts: promptTable,
  clients: clientTable,
  example: embeddingExample,
};

/** Replaces the text between `<!-- generated:NAME -->` and `<!-- /generated -->` on a page. An unknown name throws. */
export function fillMarkers(page: string, text: string): string {
  return text.replace(
    /(<!-- generated:(\w+) -->\n)[\s\S]*?(<!-- \/generated -->)/g,
    (_whole, start: string, name: string, end: string) => {
      const section = sections[name];
      if (section === undefined) throw new Error(`${page}: nothing is generated under the name "${name}".`);
      return `${start}\n${section()}\n\n${end}`;
    },
  );
}

function chartSection(): string {
  const chart = readChart(machines[0].machine);
  const rows = chart.states.map(({ key, description }) => [code(key), description]);
  return `${fenced('mermaid', overviewOf(chart))}\n\n${table(['state', 'what is true in it'], rows)}`;
}

function promiseTable(): string {
  const promises = requirements.filter(({ id }) => /^S\d+$/.test(id));
  return table(
    ['number', 'promise'],
    promises.map(({ id, text }) => [id, text]),
  );
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

function clientTable(): string {
  const rows = clientProfiles.map((profile) => [
    code(profile.name),
    profile.clients.map(code).join(', '),
    profile.structured ? 'text and data' : 'text',
    profile.schemas,
    `${profile.pictureBytes / 1000} kB, ${profile.picturePixels} px`,
    profile.tools === 0 ? '' : String(profile.tools),
    profile.tolerant ? 'yes' : 'no',
    profile.sources.map((source) => (source.startsWith('http') ? `[report](${source})` : code(source))).join(', '),
  ]);
  return table(['profile', 'client', 'answers', 'schemas', 'pictures', 'tools', 'tolerant', 'source'], rows);
}

function promptTable(): string {
  const rows = allPrompts.map(({ name, arguments: { shape }, description }) => [
    code(name),
    Object.keys(shape).map(code).join(', '),
    description,
  ]);
  return table(['prompt', 'arguments', 'what it does'], rows);
}

/** The example is compiled and run by the tests; here it imports the package by its name. */
function embeddingExample(): string {
  const source = readFileSync(join(packageRoot, 'test/library/example.ts'), 'utf8');
  return fenced('ts', source.replace('../../src/index.js', packageInfo.name).trim());
}
