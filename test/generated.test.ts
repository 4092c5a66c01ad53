import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createMachine } from 'xstate';
import { machines } from '../machines/index.js';
import { outdated, makeArtefacts, type Artefact } from '../visualizations/artefacts.js';
import { readChart } from '../visualizations/chart.js';
import { layOut, type Area, type Picture } from '../visualizations/layout.js';
import { fillMarkers, pages, sections } from '../visualizations/readme.js';

const root = process.cwd();
/** A bound for a busy machine, in milliseconds: a second or two on an idle one. */
const layingOut = 120_000;
let artefacts: Artefact[];

beforeAll(async () => {
  artefacts = await makeArtefacts(root);
}, layingOut);

test('every picture, table and generated part of a page is current: `npm run visualize` would change nothing', async () => {
  expect(artefacts.length).toBeGreaterThan(5 * machines.length);
  expect((await outdated(root, artefacts)).map(({ path }) => path)).toEqual([]);
});

test(
  'the same charts make the same bytes',
  async () => {
    expect(await makeArtefacts(root)).toEqual(artefacts);
  },
  layingOut,
);

test('a changed or missing file is noticed', async () => {
  const copy = await mkdtemp(join(tmpdir(), 'greenroom-generated-'));
  try {
    await Promise.all(artefacts.map(({ path }) => mkdir(join(copy, dirname(path)), { recursive: true })));
    await Promise.all(artefacts.map(({ path, content }) => writeFile(join(copy, path), content)));
    await writeFile(join(copy, 'visualizations/session.mmd'), 'stateDiagram-v2');
    await rm(join(copy, 'visualizations/layers.svg'));
    const paths = (await outdated(copy, artefacts)).map(({ path }) => path);
    expect(paths.sort()).toEqual(['visualizations/layers.svg', 'visualizations/session.mmd']);
  } finally {
    await rm(copy, { recursive: true });
  }
});

test('a page that asks for a table nobody makes is refused, by its name', () => {
  const page = '<!-- generated:weather -->\n<!-- /generated -->';
  expect(() => fillMarkers('src/README.md', page)).toThrow(/^src\/README\.md: .*"weather"/);
});

test('every generated table stands on one page, once', async () => {
  const texts = await Promise.all(pages.map((page) => readFile(join(root, page), 'utf8')));
  const names = texts.flatMap((text) => [...text.matchAll(/<!-- generated:(\w+) -->/g)].map(([, name]) => name));
  expect(names.sort()).toEqual(Object.keys(sections).sort());
});

describe.each(machines.map(({ name, machine }) => ({ name, machine })))('the picture of the $name chart', (entry) => {
  let picture: Picture;

  beforeAll(async () => {
    picture = await layOut(readChart(entry.machine));
  });

  test('puts no label on a box of its level, nor on another label', () => {
    const { boxes, lines } = picture;
    const leaves = boxes.filter(({ state }) => state.states.length === 0);
    const labels = lines.flatMap(({ label }) => label ?? []);
    const hits = labels.flatMap((label, index) => [
      ...leaves.filter((box) => overlap(label, box)).map(({ state }) => `${label.lines.join()} on ${state.id}`),
      ...labels
        .slice(index + 1)
        .filter((other) => overlap(label, other))
        .map((other) => `${label.lines.join()} on ${other.lines.join()}`),
    ]);
    expect(hits).toEqual([]);
    expect(leaves.length).toBeGreaterThan(2);
  });

  test('keeps text inside its box and lines at right angles', () => {
    const { boxes, lines } = picture;
    expect(boxes.filter(({ card, width, height }) => card.width > width + 1 || card.height > height + 1)).toEqual([]);
    for (const { points } of lines) {
      points.slice(1).forEach((point, index) => {
        const before = points[index] ?? point;
        expect(Math.min(Math.abs(point.x - before.x), Math.abs(point.y - before.y))).toBeLessThan(0.01);
      });
    }
  });

  test('is accompanied by JSON that XState reads as the same chart', async () => {
    const json = await readFile(join(root, `visualizations/${entry.name}.json`), 'utf8');
    const copy = createMachine(JSON.parse(json) as Parameters<typeof createMachine>[0]);
    const shape = ({ states, ...rest }: ReturnType<typeof readChart>): object => ({
      ...rest,
      states: states.map(shape),
    });
    expect(shape(readChart(copy))).toEqual(shape(readChart(entry.machine)));
  });
});

function overlap(a: Area, b: Area): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}
