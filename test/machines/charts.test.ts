import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { transition, type AnyMachineSnapshot } from 'xstate';
import { allStates, readChart, type State } from '../../visualizations/chart.js';
import { allNodes, isInstant, samplesOf, chartCases, pathsThrough } from './walk.js';

describe.each(chartCases)('the $name chart', (walkable) => {
  const { machine, eventTypes } = walkable;
  const ways = pathsThrough(walkable);
  const snapshots = ways.flatMap((steps) => steps.map(({ snapshot }) => snapshot));
  const last = ways.flatMap((steps) => steps.at(-1)?.snapshot ?? []);

  test('handles every event in every situation, or names it as a no-op (S9)', () => {
    const unhandled = last
      .filter(({ status }) => status === 'active')
      .flatMap((snapshot) =>
        eventTypes
          .flatMap(samplesOf)
          .filter((event) => machine.getTransitionData(snapshot, event).length === 0)
          .map((event) => `${JSON.stringify(snapshot.value)} ${JSON.stringify(event)}`),
      );
    expect(unhandled).toEqual([]);
    expect(last.length).toBeGreaterThan(eventTypes.length);
  });

  test('reaches every state, except those it passes in an instant', () => {
    const reached = new Set(snapshots.flatMap((snapshot) => nodeIds(snapshot)));
    const missed = allNodes(machine.root).filter((node) => !reached.has(node.id) && !isInstant(node));
    expect(missed.map(({ id }) => id)).toEqual([]);
  });

  test('knows no event besides its closed list', () => {
    const named = allNodes(machine.root).flatMap((node) => [...node.transitions.keys()]);
    expect(new Set(named.filter((type) => !type.startsWith('xstate.')))).toEqual(new Set(eventTypes));
  });

  test('describes every state in a sentence', () => {
    const silent = allStates(readChart(machine)).filter(({ description }) => !/^[A-Z].*\.$/.test(description));
    expect(silent.map(({ id }) => id)).toEqual([]);
  });

  test('names every delay instead of writing a number', () => {
    const delays = allNodes(machine.root).flatMap((node) => node.after.map(({ delay }) => delay));
    expect(delays.filter((delay) => typeof delay !== 'string')).toEqual([]);
  });

  test('keeps only data in its context: it survives JSON in every situation', () => {
    for (const { context } of snapshots) expect(JSON.parse(JSON.stringify(context))).toEqual(context);
  });
});

// The alarm has no end of its own: it watches until its owner stops it.
const ends = { session: 'session.close', browser: 'browser.close', server: 'server.drain' } as const;

test.each(Object.entries(ends))('the %s chart can end from every situation', (name, end) => {
  const ways = chartCases
    .filter((walkable) => walkable.name === name)
    .map((walkable) => [walkable.machine, pathsThrough(walkable)] as const);
  const stuck = ways.flatMap(([machine, steps]) =>
    steps
      .flatMap((way) => way.at(-1)?.snapshot ?? [])
      .filter((snapshot) => {
        const [next] = transition(machine, snapshot, samplesOf(end)[0] ?? { type: 'none' });
        return next.status === 'active' && !next.matches('draining');
      }),
  );
  expect(stuck.map(({ value }) => value)).toEqual([]);
});

describe('the session chart', () => {
  const session = chartCases.filter(({ name }) => name === 'session');
  const ways = session.flatMap(pathsThrough);
  const root = session.map(({ machine }) => readChart(machine))[0] ?? fail('There is no session chart.');

  test('names `announce` on the entry of `connected` and nowhere else (S1)', () => {
    const onEntry = allStates(root).filter(({ entry, exit }) => [...entry, ...exit].includes('announce'));
    const onArrows = allStates(root).filter((state) => namesOnArrows(state, 'announce'));
    expect(onEntry.map(({ id }) => id)).toEqual(['session.connected']);
    expect(onArrows).toEqual([]);
  });

  test('names `deliver` only where the client has been told the session (S3)', () => {
    const delivering = allStates(root).filter((state) => namesOnArrows(state, 'deliver'));
    expect(delivering.map(({ id }) => id)).toEqual([
      'session.connected',
      'session.active.serving',
      'session.active.detached',
      'session.active.draining',
    ]);
    expect(delivering.filter(({ tags }) => !tags.includes('open') && !tags.includes('draining'))).toEqual([]);
    expect(allStates(root).filter(({ entry, exit }) => [...entry, ...exit].includes('deliver'))).toEqual([]);
  });

  test('announces at most once on every way, and before it delivers (S2, S3)', () => {
    for (const steps of ways) {
      const actions = steps.flatMap((step) => step.actions).filter((type) => type === 'announce' || type === 'deliver');
      expect(actions.indexOf('announce')).toBe(actions.length === 0 ? -1 : 0);
      expect(actions.lastIndexOf('announce')).toBeLessThanOrEqual(0);
    }
    expect(ways.some((steps) => steps.some(({ actions }) => actions.includes('announce')))).toBe(true);
  });

  test('announces an eager session only with its browser ready (S1)', () => {
    const announcements = ways.flat().filter(({ actions }) => actions.includes('announce'));
    const contexts = announcements.map(({ snapshot }) => snapshot.context as { lease: string; browser: string });
    expect(contexts.length).toBeGreaterThan(0);
    for (const { lease, browser } of contexts) if (lease === 'eager') expect(browser).not.toBe('leasing');
    expect(contexts.some(({ lease }) => lease === 'lazy')).toBe(true);
  });

  test('says why it ended, on every way to its end (S8)', () => {
    const ended = ways.flatMap((steps) => steps.at(-1)?.snapshot ?? []).filter(({ status }) => status === 'done');
    expect(ended.length).toBeGreaterThan(10);
    for (const { context, output } of ended) {
      expect(context).toMatchObject({ closedBecause: expect.any(String) });
      expect(output).toEqual({ closedBecause: context.closedBecause, failure: context.failure });
    }
  });
});

describe('the folder of the charts', () => {
  test('is pure: imports xstate and its neighbours, and neither waits, nor asks for time, nor rolls dice', async () => {
    const folder = join(process.cwd(), 'machines');
    const files = (await readdir(folder)).filter((name) => name.endsWith('.ts'));
    expect(files.length).toBeGreaterThan(4);
    for (const file of files) {
      const source = readFileSync(join(folder, file), 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
      const imports = [...source.matchAll(/from '([^']+)'/g)].map(([, specifier]) => specifier);
      expect(imports.filter((specifier) => !/^(xstate|\.\/[\w.]+)$/.test(specifier ?? ''))).toEqual([]);
      expect(source).not.toMatch(/\b(await |async |Date\b|setTimeout|setInterval|process\.|console|Math\.random)/);
    }
  });
});

function nodeIds(snapshot: AnyMachineSnapshot): string[] {
  return (snapshot._nodes as { id: string }[]).map(({ id }) => id);
}

function namesOnArrows({ transitions }: State, action: string): boolean {
  return transitions.some(({ actions }) => actions.includes(action));
}

function fail(message: string): never {
  throw new Error(message);
}
