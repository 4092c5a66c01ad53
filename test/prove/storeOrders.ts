import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import type { ClusterStore } from '../../src/cluster/clusterStore.js';
import { MemoryStore } from '../../src/cluster/memoryStore.js';
import { newStreamId } from '../../src/cluster/eventLog.js';
import { ManualClock } from '../support/manualClock.js';
import { progressEvery, type Progress } from './explore.js';
import { isLinearizable, type Apply, type Operation } from './linearizability.js';
import type { FreshStore } from './ownershipPlay.js';

/** Everything that the store knows of one session: the register that its scripts must be. */
interface Register {
  readonly phase: 'none' | 'open' | 'restoring' | 'closed';
  readonly node: string;
  readonly epoch: number;
  readonly inbox: readonly string[];
  readonly seen: readonly string[];
  readonly snapshot: string | null;
  readonly events: readonly string[];
}

/** A step of the store, with what its caller passes. */
interface Call {
  readonly name: keyof typeof calls;
  readonly node: string;
  readonly epoch: number;
  readonly text: string;
}

/** Both of them are come to. */
export const inboxLimits = { inbox: { count: 3, bytes: 3 } };

interface StoreStep {
  run(store: ClusterStore, sessionId: string, call: Call): Promise<unknown>;
  /** Of a register: what is answered, and what is changed. */
  model(register: Register, call: Call): readonly [answer: unknown, change: Partial<Register>];
}

const principal = { issuer: 'local', user: 'anna' };
const intruder = { issuer: 'local', user: 'bert' };
const streamOf = (sessionId: string) => ({ sessionId, streamId: 'stream' });
const empty: Register = { phase: 'none', node: '', epoch: 0, inbox: [], seen: [], snapshot: null, events: [] };
const isOwner = ({ phase, epoch }: Register, call: Call): boolean =>
  (phase === 'open' || phase === 'restoring') && epoch === call.epoch;

/** A write of an owner: fenced, if its term is over. */
const fenced =
  (answer: unknown, change: (register: Register, call: Call) => Partial<Register>): StoreStep['model'] =>
  (register, call) =>
    isOwner(register, call) ? [answer, change(register, call)] : ['fenced', {}];

function lookUp({ phase, node, epoch }: Register): unknown {
  if (phase === 'none') return { kind: 'unknown' };
  if (phase === 'closed') return { kind: 'closed', closedBecause: 'idle-timeout', principal };
  return phase === 'open' ? { kind: 'owned', node, epoch, transport: 'sse' } : { kind: 'not_ready', node, epoch };
}

const calls = {
  claim: {
    run: ({ directory }, sessionId, { node }) => directory.claim({ sessionId, principal, node, transport: 'sse' }),
    model: ({ phase }, { node }) => (phase === 'none' ? [1, { phase: 'open', node, epoch: 1 }] : [null, {}]),
  },
  find: {
    run: ({ directory }, sessionId) => directory.find(sessionId, 'anyone'),
    model: (register) => [lookUp(register), {}],
  },
  renew: {
    run: ({ directory }, sessionId, { epoch }) => directory.renew({ sessionId, epoch }),
    model: fenced('renewed', () => ({})),
  },
  takeOver: {
    run: ({ directory }, sessionId, { epoch, node }) => directory.takeOver({ sessionId, epoch }, node),
    model: (register, call) =>
      isOwner(register, call)
        ? [call.epoch + 1, { phase: 'restoring', node: call.node, epoch: call.epoch + 1 }]
        : [null, {}],
  },
  complete: {
    run: ({ directory }, sessionId, { epoch }) => directory.completeTakeover({ sessionId, epoch }),
    model: fenced('completed', () => ({ phase: 'open' })),
  },
  close: {
    run: ({ directory }, sessionId, { epoch }) => directory.close({ sessionId, epoch }, 'idle-timeout'),
    model: fenced('closed', () => ({ phase: 'closed', inbox: [], snapshot: null, events: [] })),
  },
  enqueue: {
    run: ({ inbox }, sessionId, { text }) => inbox.enqueue({ id: text, sessionId, caller: principal, data: text }),
    model: (register, { text }) => {
      const { phase, inbox, seen } = register;
      if (phase !== 'open' || seen.includes(text)) return [lookUp(register), {}];
      const { count, bytes } = inboxLimits.inbox;
      const isTooMuch = inbox.length >= count || [...inbox, text].join('').length > bytes;
      if (inbox.length > 0 && isTooMuch) return [{ kind: 'full' }, {}];
      return [lookUp(register), { inbox: [...inbox, text], seen: [...seen, text] }];
    },
  },
  /** By a user whose session it is not. */
  intrude: {
    run: ({ inbox }, sessionId, { text }) => inbox.enqueue({ id: text, sessionId, caller: intruder, data: text }),
    model: ({ phase }) => [{ kind: phase === 'none' ? 'unknown' : 'forbidden' }, {}],
  },
  take: {
    run: ({ inbox }, sessionId, { epoch }) => inbox.take({ sessionId, epoch }, 10),
    model: (register, call) => (isOwner(register, call) ? [register.inbox, { inbox: [] }] : ['fenced', {}]),
  },
  put: {
    run: ({ snapshots }, sessionId, { epoch, text }) => snapshots.put({ sessionId, epoch }, text),
    model: fenced('put', (_, { text }) => ({ snapshot: text })),
  },
  append: {
    run: ({ events }, sessionId, { epoch, text }) => events.append(epoch, streamOf(sessionId), text),
    model: (register, call) =>
      isOwner(register, call)
        ? [`stream.${register.events.length + 1}`, { events: [...register.events, call.text] }]
        : [null, {}],
  },
} as const satisfies Record<string, StoreStep>;

/** What is read of the store without changing it. */
async function readOf({ directory, snapshots, events }: ClusterStore, sessionId: string): Promise<string> {
  const read = [directory.find(sessionId, 'anyone'), snapshots.get(sessionId), events.after(streamOf(sessionId), null)];
  return JSON.stringify(await Promise.all(read));
}

function expectedRead(register: Register): string {
  const events = register.events.map((data, index) => ({ id: `stream.${index + 1}`, data }));
  return JSON.stringify([lookUp(register), register.snapshot, { events, isComplete: true }]);
}

export const apply: Apply<Register, Call> = (register, call) => {
  const [answer, change] = calls[call.name].model(register, call);
  return [JSON.stringify(answer), { ...register, ...change }];
};

/** What one node or client does, in this order; it ends where a claim or takeover is refused. */
type Program = readonly (keyof typeof calls | `enqueue ${string}`)[];

/** Where each of them is. A node that dies anywhere is one that makes no further move. */
interface Process {
  readonly at: number;
  /** By what it was told: the epoch with which it writes. */
  readonly epoch: number;
  /** Asked for, and done if there is an outcome; not heard of. */
  readonly outcome?: string;
}

interface StoreState {
  readonly register: Register;
  readonly processes: readonly Process[];
  /** Numbers of programs: each appears once as done and once as heard for every call. */
  readonly path: readonly number[];
  readonly history: readonly Operation<Call>[];
}

export interface StoreOrders {
  readonly states: number;
  readonly moves: number;
  readonly depth: number;
  /** What is not as the register says, with the calls that lead to it. */
  readonly violations: ReadonlyMap<string, string>;
}

export interface StoreUnderTest {
  readonly name: string;
  fresh(): FreshStore;
}

export const freshMemory = (): FreshStore => ({
  store: new MemoryStore(new ManualClock(), inboxLimits),
  sessionId: 'session',
});

export const memory: StoreUnderTest = { name: 'memory', fresh: freshMemory };

/** A store that was opened with `inboxLimits`. */
export const opened = (name: string, store: ClusterStore): StoreUnderTest => ({
  name,
  fresh: () => ({ store, sessionId: newStreamId() }),
});

type Size = 'small' | 'whole' | 'deep';

const programs: Readonly<Record<Size, readonly Program[]>> = {
  small: [
    ['claim', 'put', 'take', 'close'],
    ['find', 'takeOver', 'complete', 'append'],
    ['enqueue a', 'enqueue a'],
  ],
  whole: [
    ['claim', 'put', 'renew', 'take', 'close', 'claim'],
    ['find', 'takeOver', 'complete', 'append', 'take'],
    ['enqueue a', 'enqueue a', 'intrude', 'enqueue b', 'enqueue bb', 'find', 'takeOver'],
  ],
  deep: [
    ['claim', 'put', 'renew', 'take', 'append', 'close', 'claim'],
    ['find', 'takeOver', 'complete', 'renew', 'append', 'take', 'close'],
    ['find', 'takeOver', 'complete', 'take', 'put'],
    ['enqueue a', 'enqueue a', 'intrude', 'enqueue b', 'enqueue bb'],
  ],
};

/** An owner, whoever takes the session over from it, and another node that forwards messages to it. */
export const programsOf = (size: Size): readonly Program[] => programs[size];

/**
 * Every order in which the calls of the programs are asked for, done and heard of, on a real store. After each, what can be
 * read is what the register says, and after each answer the history is linearizable. Two orders that leave the register and
 * every program where they are go on alike: it is what all outcomes and all reads were compared with.
 */
export async function runStoreOrders(
  programs: readonly Program[],
  store: StoreUnderTest,
  progress?: Progress,
): Promise<StoreOrders> {
  const violations = new Map<string, string>();
  const start: StoreState = {
    register: empty,
    processes: programs.map(() => ({ at: 0, epoch: 0 })),
    path: [],
    history: [],
  };
  const known = new Set<string>();
  /** Only what is new is kept: most moves lead to where another order has been. */
  const isNew = ({ register, processes }: StoreState): boolean => {
    const { size } = known;
    return known.add(digestOf(JSON.stringify([register, processes]))).size > size;
  };
  const ableOf = ({ processes }: StoreState): number[] =>
    programs.flatMap(({ length }, number) => ((processes[number]?.at ?? 0) < length ? [number] : []));
  let layer = [asked(start, programs)].filter(isNew);
  let [moves, depth, expanded] = [0, 0, 0];
  while (layer.length > 0 && violations.size === 0) {
    const next: StoreState[] = [];
    for (let from = 0; from < layer.length; from += atOnce) {
      const part = layer.slice(from, from + atOnce);
      const found = part.flatMap((state) => ableOf(state).map((number) => move(state, number, programs, store)));
      for (const { state, violations: wrong } of await Promise.all(found)) {
        if (isNew(state)) next.push(state);
        for (const violation of wrong) violations.set(violation, storyOf(state));
      }
      moves += found.length;
      expanded += part.length;
      // What a store has scheduled is kept until the event loop runs.
      await setImmediate();
      if (expanded % progressEvery < part.length) progress?.(expanded, known.size, depth);
    }
    layer = next;
    depth += 1;
  }
  return { states: known.size, moves, depth: depth - 1, violations };
}

/** States that are expanded at once, each with sessions of its own: a store far away is not waited for each time. */
const atOnce = 50;

/** Shorter than what it is made of. */
const digestOf = (text: string): string => createHash('sha1').update(text).digest('base64');

const storyOf = ({ history }: StoreState): string =>
  history.map(({ call, outcome = 'not heard' }) => `${call.node} ${call.name} ${call.text}: ${outcome}`).join(', ');

function callOf(program: Program, number: number, { at, epoch }: Process): Call {
  const [name = '', text = `by ${number}`] = (program[at] ?? '').split(' ');
  return { name: name as Call['name'], node: `node ${number}`, epoch, text };
}

/** Every program asks for its next call as soon as it has heard of the last one. */
function asked(state: StoreState, programs: readonly Program[]): StoreState {
  const waiting = state.history.filter(({ heard }) => heard === Infinity).map(({ call }) => call.node);
  const more = state.processes.flatMap((process, number): Operation<Call>[] => {
    const program = programs[number] ?? [];
    if (process.at >= program.length || waiting.includes(`node ${number}`)) return [];
    return [{ call: callOf(program, number, process), asked: state.path.length, heard: Infinity }];
  });
  return { ...state, history: [...state.history, ...more] };
}

async function move(
  state: StoreState,
  number: number,
  programs: readonly Program[],
  store: StoreUnderTest,
): Promise<{ state: StoreState; violations: string[] }> {
  const process = state.processes[number] ?? { at: 0, epoch: 0 };
  const program = programs[number] ?? [];
  const path = [...state.path, number];
  if (process.outcome === undefined) {
    const call = callOf(program, number, process);
    const [expected, register] = apply(state.register, call);
    const { outcome, read } = await replay({ ...state, path }, programs, store);
    const processes = state.processes.with(number, { ...process, outcome });
    return {
      state: { ...state, register, processes, path },
      violations: [
        ...(outcome === expected ? [] : [`${call.name} answers ${outcome}, not ${expected}`]),
        ...(read === expectedRead(register)
          ? []
          : [`after ${call.name} one reads ${read}, not ${expectedRead(register)}`]),
      ],
    };
  }
  const history = state.history.map((each) =>
    each.call.node === `node ${number}` && each.heard === Infinity
      ? { ...each, heard: path.length, outcome: process.outcome ?? '' }
      : each,
  );
  const processes = state.processes.with(number, afterHearing(process, program, process.outcome));
  const violations = isLinearizable(history, empty, apply) ? [] : ['S11: the history is not linearizable'];
  return { state: asked({ ...state, processes, path, history }, programs), violations };
}

function afterHearing({ at, epoch }: Process, program: Program, outcome: string): Process {
  const answer: unknown = JSON.parse(outcome);
  const name = program[at];
  const isNew = name === 'claim' || name === 'takeOver';
  if (isNew) return typeof answer === 'number' ? { at: at + 1, epoch: answer } : { at: program.length, epoch };
  const found = name === 'find' && typeof answer === 'object' && answer !== null && 'epoch' in answer;
  return { at: at + 1, epoch: found ? Number(answer.epoch) : epoch };
}

/** The calls of a path, on a session of which nothing was known, all sent at once: their outcomes are known, but the last. */
async function replay({ path }: StoreState, programs: readonly Program[], { fresh }: StoreUnderTest) {
  const { store, sessionId } = fresh();
  let register = empty;
  let processes: readonly Process[] = programs.map(() => ({ at: 0, epoch: 0 }));
  const answers: Promise<unknown>[] = [];
  for (const number of path) {
    const process = processes[number] ?? { at: 0, epoch: 0 };
    const program = programs[number] ?? [];
    if (process.outcome !== undefined) {
      processes = processes.with(number, afterHearing(process, program, process.outcome));
      continue;
    }
    const call = callOf(program, number, process);
    const [outcome, after] = apply(register, call);
    register = after;
    processes = processes.with(number, { ...process, outcome });
    answers.push(calls[call.name].run(store, sessionId, call));
  }
  const [outcomes, read] = await Promise.all([Promise.all(answers), readOf(store, sessionId)]);
  return { outcome: JSON.stringify(outcomes.at(-1)), read };
}
