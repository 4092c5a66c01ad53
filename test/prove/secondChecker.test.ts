import { machines } from '../../machines/index.js';
import { readProofs } from '../../visualizations/proofs.js';
import { root } from '../support/root.js';
import { families } from './proofs.js';
import { PromelaChart } from './promela.js';
import { SecondChecker } from './secondChecker.js';
import { machineNamed, translations } from './translations.js';

const recorded = new Map(readProofs(root).proofs.map((proof) => [proof.world, proof]));
const translated = Object.keys(translations);

afterAll(() => checkers.forEach((checker) => checker.close()));
const checkers = new Map(translated.map((chart) => [chart, new SecondChecker(chart)]));

const twice = families(false).flatMap(({ name, world, second }) => (second ? [{ name, world, second }] : []));

test.each(twice)('[S9] SPIN finds as many states and transitions of $name', ({ world, second }) => {
  const differences: string[] = [];
  const checker = checkers.get(second.chart);
  let compared = 0;
  for (let bound = 1; bound <= recorded.size; bound += 1) {
    const name = world(bound)?.name ?? '';
    const proof = recorded.get(name);
    if (proof === undefined) break;
    const { states, transitions } = proof;
    const count = checker?.count(second.bounds(bound));
    if (count?.states !== states || count.transitions !== transitions)
      differences.push(`${name}: ${JSON.stringify(count)}`);
    compared += 1;
  }
  expect(differences).toEqual([]);
  expect(compared).toBeGreaterThan(0);
});

test.each(twice)('[S2][S7] SPIN refutes no property of a run of $name', ({ second }) => {
  expect(checkers.get(second.chart)?.refuted({ ...second.bounds(2), quiet: 1 })).toEqual([]);
});

test('[S7] a session that does not end its channel, and one that is announced twice, are noticed by the second checker', () => {
  const translation = translations['session'];
  if (translation === undefined) throw new Error('The session chart is not translated.');
  const bounds = { resumable: 1, limit: 1, max: 2 };
  const changed = (actions: Partial<typeof translation.actions>): SecondChecker =>
    new SecondChecker('session', { ...translation, actions: { ...translation.actions, ...actions } as never });
  const endless = changed({ terminate: () => '' });
  expect(endless.count(bounds).states).toBeGreaterThan(recorded.get(resumable)?.states ?? 0);
  endless.close();
  const twofold = changed({ clearQueued: () => '$held = 0; $twice = 1;' });
  expect(twofold.refuted(bounds)).toEqual(['announced_once']);
  twofold.close();
});

const resumable = 'session: eager, asked for, resumable; 1 early, 2 in flight';

test.each(translated)('every guard and action of the %s chart has its words, and no other has', (name) => {
  const { actions, guards } = machineNamed(name).implementations;
  const translation = translations[name];
  expect(Object.keys(translation?.guards ?? {}).toSorted()).toEqual(Object.keys(guards).toSorted());
  expect(Object.keys(translation?.actions ?? {}).toSorted()).toEqual(Object.keys(actions).toSorted());
  const without = { ...translation, actions: {}, guards: {} } as (typeof translations)[string];
  expect(() => new PromelaChart(machineNamed(name), without).text).toThrow(/No translation of the (action|guard) /);
});

test('the charts that are counted twice', () => {
  expect(machines.map(({ name }) => name)).toEqual(expect.arrayContaining(translated));
});
