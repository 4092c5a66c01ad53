import { machines } from '../../machines/index.js';
import { explore, type World } from './explore.js';
import { mutantsOf } from './mutants.js';
import { smallWorlds } from './proofs.js';

/**
 * Changes that no exploration can notice, because the changed chart does the same: each with its reason. That the graphs are
 * equal, state by state, is checked where the score is made.
 */
const equivalents: Readonly<Record<string, string>> = {
  'session.tools-registered on browser.leased: without markBrowserReady':
    'outside of `leasing`, which has its own transition, a browser is leased here only if it is ready already',
  'session.connected on message.received [0]: removed':
    'countMessage records the handshake, and the eventless transition goes to `active` in the same step',
  'session.connected on message.received [0]: stays': 'the same',
  'session.connected on message.received: in the other order': 'the same',
  'session.tools-registered.waiting on transport.attached [0]: stays':
    'the client is attached and the set-up is none, so that the eventless transition goes to `connected` in the same step',
  'session.active.serving on message.received [0]: without its guard':
    'without a request in flight `busy` is left for `idle` in the same step, and the idle timeout restarts as well',
  'session.active.serving on request.settled [0]: removed':
    'without a request in flight `busy` is left for `idle` in the same step',
  'session.active.serving on request.settled [0]: stays': 'the same',
  'session.active.serving on request.settled: in the other order': 'the same',
  'session.connected always: in the other order':
    'the eventless transitions are tried again until none is left: queued messages are delivered first, then `active` is entered',
};

export interface MutationScore {
  readonly chart: string;
  readonly mutants: number;
  /** Noticed by a promise, with the first that does not hold. */
  readonly noticed: ReadonlyMap<string, string>;
  readonly equivalent: readonly string[];
  readonly survivors: readonly string[];
}

/** A changed chart may have no end of states. */
const maxStates = 3_000;

interface Graph {
  readonly broken: string | undefined;
  readonly text: string;
}

function graphOf(world: World<unknown>): Graph {
  const { states, edges, counterexamples } = explore(world, { stopsAtFirst: true, maxStates, keepsEdges: true });
  const endless = states.length > maxStates ? 'S10: its states have no end' : undefined;
  return {
    broken: counterexamples[0]?.promise ?? endless,
    text: JSON.stringify([states.map((state) => world.key(state)), [...edges]]),
  };
}

/** The first promise that does not hold of a changed chart; undefined if all hold. With its graphs, as far as they were made. */
function examine(worlds: () => readonly World<unknown>[]): { broken: string | undefined; texts: readonly string[] } {
  const texts: string[] = [];
  try {
    for (const world of worlds()) {
      const { broken, text } = graphOf(world);
      if (broken !== undefined) return { broken, texts };
      texts.push(text);
    }
    return { broken: undefined, texts };
  } catch (error) {
    return { broken: `the chart fails: ${String(error)}`, texts };
  }
}

/** Every mutant of one chart is explored until a promise breaks. */
export function scoreOf(name: (typeof machines)[number]['name']): MutationScore {
  const [chart] = machines.filter((each) => each.name === name);
  if (chart === undefined) throw new Error(`No chart "${name}".`);
  const real = examine(() => smallWorlds(name, chart.machine));
  const mutants = mutantsOf(chart.machine);
  const noticed = new Map<string, string>();
  const equivalent: string[] = [];
  const survivors: string[] = [];
  for (const mutant of mutants) {
    const { broken, texts } = examine(() => smallWorlds(name, mutant.machine));
    if (broken !== undefined) noticed.set(mutant.name, broken);
    else if (mutant.name in equivalents && texts.join() === real.texts.join()) equivalent.push(mutant.name);
    else survivors.push(mutant.name);
  }
  return { chart: name, mutants: mutants.length, noticed, equivalent, survivors };
}
