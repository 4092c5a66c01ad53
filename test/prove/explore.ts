/** One thing that may happen in a state. */
export interface Move<State> {
  readonly name: string;
  /**
   * `own`: happens by itself: an armed timer, the answer of something that limits its own time. `answer`: of something that
   * may also never answer. `outside`: clients, operators and failures.
   */
  readonly by: 'own' | 'answer' | 'outside';
  /** Whether it is what is hoped for: a good answer. */
  readonly isGood?: boolean;
  /** Made when the move is explored. Adds what is wrong about it. */
  take(violate: (promise: string) => void): State;
}

/** A model: charts and the processes around them. */
export interface World<State> {
  readonly name: string;
  starts(): readonly State[];
  moves(state: State): readonly Move<State>[];
  /** Equal for states that no property tells apart. */
  key(state: State): string;
  /** What does not hold in this state. */
  violations(state: State): readonly string[];
  /** Whether everything has ended here. */
  isEnd(state: State): boolean;
  /** Whether it may stay here for as long as nothing comes from outside. */
  mayRest?(state: State): boolean;
  /** Whether good answers alone must bring it further. */
  isAwaited(state: State): boolean;
  /** What each of its charts looks like here, with its counters as none, some or full. */
  shapes(state: State): readonly string[];
}

export interface Counterexample {
  readonly promise: string;
  /** The names of the moves from the start, and the state that they lead to. */
  readonly story: readonly string[];
}

export interface Exploration<State> {
  readonly states: readonly State[];
  readonly transitions: number;
  /** Moves on the longest of the shortest paths. */
  readonly depth: number;
  /** Distinct shapes of the charts. */
  readonly shapes: ReadonlySet<string>;
  /** Numbers of new states at each distance from the start. */
  readonly layers: readonly number[];
  /** Whether every state was expanded. */
  readonly isComplete: boolean;
  readonly counterexamples: readonly Counterexample[];
  /** From the number of a state and the name of a move, with a space between, to the number of the next state. */
  readonly edges: ReadonlyMap<string, number>;
  /** The names of the moves on a shortest path to a state. */
  pathTo(id: number): string[];
}

export interface ExploreOptions {
  readonly maxStates?: number;
  /** The exploration ends at the first counterexample. */
  readonly stopsAtFirst?: boolean;
  /** Whether `edges` is filled. */
  readonly keepsEdges?: boolean;
  readonly progress?: Progress;
}

/** Called each time `progressEvery` more states have been expanded. */
export type Progress = (expanded: number, found: number, depth: number) => void;

export const progressEvery = 20_000;

interface Arrival {
  readonly from: number;
  readonly move: string;
}

/** Breadth-first, so that every story is a shortest one. */
class Search<State> {
  readonly states: State[] = [];
  readonly depths: number[] = [];
  readonly layers: number[] = [];
  readonly shapes = new Set<string>();
  readonly edges = new Map<string, number>();
  readonly ownEdges: number[][] = [];
  /** With the answers of what need not answer. */
  readonly selfEdges: number[][] = [];
  /** Of good answers. */
  readonly goodEdges: number[][] = [];
  readonly backEdges: number[][] = [];
  readonly counterexamples: Counterexample[] = [];
  transitions = 0;
  readonly #world: World<State>;
  readonly #ids = new Map<string, number>();
  readonly #arrivals: (Arrival | undefined)[] = [];

  readonly #keepsEdges: boolean;

  constructor(world: World<State>, keepsEdges: boolean) {
    this.#world = world;
    this.#keepsEdges = keepsEdges;
  }

  add(state: State, arrival: Arrival | undefined): number {
    const key = this.#world.key(state);
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const id = this.states.push(state) - 1;
    const depth = arrival === undefined ? 0 : (this.depths[arrival.from] ?? 0) + 1;
    this.#ids.set(key, id);
    this.#arrivals.push(arrival);
    this.depths.push(depth);
    this.layers[depth] = (this.layers[depth] ?? 0) + 1;
    for (const shape of this.#world.shapes(state)) this.shapes.add(shape);
    this.ownEdges.push([]);
    this.selfEdges.push([]);
    this.goodEdges.push([]);
    this.backEdges.push([]);
    for (const promise of this.#world.violations(state)) this.report(promise, id);
    return id;
  }

  expand(id: number): void {
    const state = this.states[id];
    if (state === undefined) return;
    for (const move of this.#world.moves(state)) {
      const found: string[] = [];
      const next = this.add(
        move.take((promise) => found.push(promise)),
        { from: id, move: move.name },
      );
      this.transitions += 1;
      if (this.#keepsEdges) this.edges.set(`${id} ${move.name}`, next);
      if (move.by === 'own') this.ownEdges[id]?.push(next);
      if (move.by !== 'outside') this.selfEdges[id]?.push(next);
      if (move.isGood === true) this.goodEdges[id]?.push(next);
      this.backEdges[next]?.push(id);
      for (const promise of found) this.report(promise, id, move.name);
    }
  }

  report(promise: string, at: number, move?: string): void {
    if (this.counterexamples.some((known) => known.promise === promise)) return;
    const path = this.pathTo(at);
    const story = move === undefined ? path : [...path, move];
    this.counterexamples.push({ promise, story: [this.#describe(this.#startOf(at)), ...story, this.#describe(at)] });
  }

  pathTo(to: number): string[] {
    const path: string[] = [];
    let arrival = this.#arrivals[to];
    while (arrival !== undefined) {
      path.unshift(arrival.move);
      arrival = this.#arrivals[arrival.from];
    }
    return path;
  }

  #startOf(at: number): number {
    let id = at;
    for (let arrival = this.#arrivals[id]; arrival !== undefined; arrival = this.#arrivals[id]) id = arrival.from;
    return id;
  }

  #describe(id: number): string {
    const state = this.states[id];
    return state === undefined ? '' : this.#world.key(state);
  }
}

export function explore<State>(world: World<State>, options: ExploreOptions = {}): Exploration<State> {
  const { maxStates = Infinity, stopsAtFirst = false, keepsEdges = false, progress } = options;
  const search = new Search(world, keepsEdges);
  for (const start of world.starts()) search.add(start, undefined);
  let expanded = 0;
  const mayGoOn = (): boolean =>
    search.states.length <= maxStates && !(stopsAtFirst && search.counterexamples.length > 0);
  while (expanded < search.states.length && mayGoOn()) {
    search.expand(expanded);
    expanded += 1;
    if (expanded % progressEvery === 0) progress?.(expanded, search.states.length, search.layers.length - 1);
  }
  const isComplete = expanded === search.states.length;
  if (isComplete) checkEnds(world, search);
  const { states, transitions, layers, shapes, counterexamples, edges } = search;
  const pathTo = (id: number): string[] => search.pathTo(id);
  return { states, transitions, depth: layers.length - 1, shapes, layers, isComplete, counterexamples, edges, pathTo };
}

/** Over the whole graph: the end can be reached from everywhere, and is reached when nothing more comes from outside. */
function checkEnds<State>(world: World<State>, search: Search<State>): void {
  const { states, backEdges, ownEdges, selfEdges, goodEdges } = search;
  const hasEnd = states.some((state) => world.isEnd(state));
  const ends = states.flatMap((state, id) => (world.isEnd(state) ? [id] : []));
  const reaching = reachedFrom(ends, backEdges);
  const stuck = states.findIndex((_, id) => !reaching.has(id));
  if (hasEnd && stuck >= 0) search.report('the end can be reached from every state', stuck);
  const isFurther = (state: State): boolean => !world.isEnd(state) && !world.isAwaited(state);
  const further = states.flatMap((state, id) => (isFurther(state) ? [id] : []));
  const advancing = reachedFrom(further, reversed(goodEdges));
  const left = states.findIndex((state, id) => world.isAwaited(state) && !advancing.has(id));
  if (left >= 0) search.report('good answers bring it further', left);
  const silent = states.findIndex((state, id) => {
    const mayRest = world.isEnd(state) || world.mayRest?.(state) === true;
    return !mayRest && ownEdges[id]?.length === 0;
  });
  if (silent >= 0) search.report('no state waits for ever when nothing more comes from outside', silent);
  const looping = firstOnCircle(selfEdges);
  if (looping !== undefined) search.report('nothing goes on for ever by itself', looping);
}

type Edges = readonly (readonly number[])[];

function reversed(edges: Edges): number[][] {
  const back: number[][] = edges.map(() => []);
  edges.forEach((next, id) => next.forEach((to) => back[to]?.push(id)));
  return back;
}

function reachedFrom(starts: readonly number[], edges: Edges): Set<number> {
  const reached = new Set(starts);
  const open = [...starts];
  for (let id = open.pop(); id !== undefined; id = open.pop())
    for (const next of edges[id] ?? []) {
      if (reached.has(next)) continue;
      reached.add(next);
      open.push(next);
    }
  return reached;
}

/** A node on a circle of the graph: what is left when nodes without successors are taken away again and again. */
function firstOnCircle(edges: Edges): number | undefined {
  const left = edges.map((next) => next.length);
  const before = reversed(edges);
  const open = left.flatMap((count, id) => (count === 0 ? [id] : []));
  for (let id = open.pop(); id !== undefined; id = open.pop())
    for (const each of before[id] ?? []) {
      const count = (left[each] ?? 0) - 1;
      left[each] = count;
      if (count === 0) open.push(each);
    }
  const circle = left.findIndex((count) => count > 0);
  return circle < 0 ? undefined : circle;
}
