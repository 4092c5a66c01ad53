import type { AnyStateMachine } from 'xstate';
import type { Translation } from './translation.js';

type Json = Record<string, unknown>;

interface Node {
  readonly id: string;
  readonly index: number;
  readonly config: Json;
  readonly parent: Node | undefined;
  readonly children: Node[];
}

interface Edge {
  readonly index: number;
  readonly source: Node;
  readonly event: string;
  readonly config: Json;
}

const listOf = (value: unknown): unknown[] => (value === undefined ? [] : Array.isArray(value) ? value : [value]);
const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A value that an event has, for a function that makes parameters of it. */
const ofEvent = (field: string): string => `$event.${field}`;
const probe: Json = new Proxy<Json>(
  {},
  {
    get: (_, field) => (typeof field === 'string' ? ofEvent(field) : undefined),
    has: (_, field) => field !== 'error',
  },
);
const errorProbe: Json = { error: { toString: () => ofEvent('error') } };

/** A chart in Promela, made of its definition: states, events, transitions, timers and actors, with names for what they do. */
export class PromelaChart {
  readonly #nodes: Node[] = [];
  readonly #edges: Edge[] = [];
  readonly #timers: string[] = [];
  readonly #actors: { readonly name: string; readonly id: string; readonly node: Node }[] = [];
  readonly #events: string[] = ['always'];
  readonly #words = new Map<string, number>([['null', 0]]);
  readonly #machine: AnyStateMachine;
  readonly #with: Translation;

  constructor(machine: AnyStateMachine, translation: Translation) {
    this.#machine = machine;
    this.#with = translation;
    this.#add(machine.id, machine.config as Json, undefined);
    for (const node of this.#nodes) this.#addEdges(node);
  }

  get properties(): string[] {
    return Object.keys(this.#with.properties);
  }

  get reachable(): string[] {
    return Object.keys(this.#with.reachable);
  }

  /** The model: each move is one step, and there is one place in which all of them wait. */
  get text(): string {
    const code = [...this.#declarations(), ...this.#steps(), ...this.#surroundings()].map((line) =>
      this.#inNumbers(line),
    );
    const moves = this.#moves().map(({ when, take }) =>
      this.#inNumbers(`  :: d_step { c_expr { ${when} } -> c_code { memset(&ev, 0, sizeof ev); ${take} } }`),
    );
    const { properties, reachable } = this.#with;
    const never = Object.entries(reachable).map(([name, what]) => [name, `[] !(${what})`] as const);
    const claims = [...Object.entries(properties), ...never].map(
      ([name, formula]) => `ltl ${name} { ${this.#inNumbers(formula, '')} }`,
    );
    return [
      `/* ${this.#machine.id}: made by test/prove/promela.ts */`,
      ...this.#with.variables.map((variable) => `${variable};`),
      `bit s[${this.#nodes.length}]; bit t[${this.#timers.length + 1}]; bit a[${this.#actors.length + 1}]; bit over;`,
      'c_decl { \\#include <stdlib.h> }',
      `c_code {\n${code.join('\n')}\n}`,
      `active proctype world() {\n  d_step { c_code { begin(); } };\nend:\n  do\n${moves.join('\n')}\n  od\n}`,
      ...claims,
    ].join('\n');
  }

  /** With the numbers of its words. In a formula the variables are those of Promela itself. */
  #inNumbers(line: string, prefix = 'now.'): string {
    return line
      .replaceAll(/\bin\(([\w.-]+)\)/g, (_, id: string) => `(${prefix}s[${this.#node(id).index}] == 1)`)
      .replaceAll(/\bput\(([\w.-]+)\)/g, (_, id: string) => `now.s[${this.#node(id).index}] = 1;`)
      .replaceAll(/\bruns\((\w+)\)/g, (_, name: string) => this.#anyOf('a', this.#actorsNamed(name), prefix))
      .replaceAll(/\btagged\((\w+)\)/g, (_, tag: string) => this.#anyOf('s', this.#tagged(tag), prefix))
      .replaceAll(/\bfire\(([\w.]+)\)/g, (_, event: string) => `step(${this.#event(event)})`)
      .replaceAll(/\$(\w+)/g, `${prefix}$1`)
      .replaceAll(/@([\w-]+)/g, (_, word: string) => String(this.#word(word)));
  }

  #anyOf(name: string, indices: number[], prefix: string): string {
    if (indices.length === 0) throw new Error(`The chart ${this.#machine.id} has no such part.`);
    return `(${indices.map((index) => `${prefix}${name}[${index}]`).join(' || ')})`;
  }

  #actorsNamed(name: string): number[] {
    return this.#actors.flatMap((actor, index) => (actor.name === name ? [index] : []));
  }

  #tagged(tag: string): number[] {
    return this.#nodes.flatMap(({ config, index }) => (listOf(config['tags']).includes(tag) ? [index] : []));
  }

  #word(word: string): number {
    const known = this.#words.get(word) ?? this.#words.size;
    this.#words.set(word, known);
    return known;
  }

  #event(event: string): number {
    if (!this.#events.includes(event)) this.#events.push(event);
    return this.#events.indexOf(event);
  }

  #node(id: string): Node {
    const node = this.#nodes.find((each) => each.id === id);
    if (node === undefined) throw new Error(`The chart ${this.#machine.id} has no state "${id}".`);
    return node;
  }

  #add(id: string, config: Json, parent: Node | undefined): Node {
    const node: Node = { id, index: this.#nodes.length, config, parent, children: [] };
    this.#nodes.push(node);
    const inner = isObject(config['states']) ? config['states'] : {};
    for (const [key, each] of Object.entries(inner)) node.children.push(this.#add(`${id}.${key}`, each as Json, node));
    return node;
  }

  #addEdges(node: Node): void {
    const { config, id } = node;
    const add = (event: string, choice: unknown): void => {
      if (event.includes('*')) throw new Error(`No translation of the event "${event}" of ${id}.`);
      this.#event(event);
      for (const each of listOf(choice)) {
        const parts = typeof each === 'string' ? { target: each } : (each as Json);
        this.#edges.push({ index: this.#edges.length, source: node, event, config: parts });
      }
    };
    for (const [event, choice] of Object.entries((config['on'] ?? {}) as Json)) add(event, choice);
    for (const [delay, choice] of Object.entries((config['after'] ?? {}) as Json)) {
      this.#timers.push(`${delay} ${id}`);
      add(`after ${delay} ${id}`, choice);
    }
    add('always', config['always']);
    add(`done ${id}`, config['onDone']);
    for (const [index, each] of listOf(config['invoke']).entries()) {
      const { src, id: given, onDone, onError } = each as Json;
      const actor = { name: String(src), id: typeof given === 'string' ? given : `${index}.${id}`, node };
      this.#actors.push(actor);
      add(`done.actor ${actor.id}`, onDone);
      add(`error.actor ${actor.id}`, onError);
    }
  }

  #declarations(): string[] {
    const events = [...new Set(this.#edges.flatMap(({ config }) => this.#fieldsOf(config)))];
    const fields = [...new Set(['kind', 'because', 'failure', 'error', 'output', 'client', ...events])];
    return [
      `static struct { ${fields.map((field) => `int ${field};`).join(' ')} } ev;`,
      this.#with.globals ?? '',
      `static int able[${this.#edges.length}], waiting[16], waits;`,
      ...this.#with.bounds.map((bound) => `static int K_${bound};`),
      'static int least(int a, int b) { return a < b ? a : b; }',
      ...this.#nodes.flatMap(({ index }) => [
        `static void enter_${index}(void); static void leave_${index}(void); static int select_${index}(int e);`,
      ]),
    ];
  }

  #fieldsOf(config: Json): string[] {
    return listOf(config['actions']).flatMap((action) => {
      const params = isObject(action) ? action['params'] : undefined;
      const values = typeof params === 'function' ? Object.values(this.#call(params, probe)) : [];
      return values.flatMap((value) => (String(value).startsWith('$event.') ? [String(value).slice(7)] : []));
    });
  }

  #call(params: unknown, event: Json): Json {
    return (params as (given: object) => Json)({ event, context: {} });
  }

  /** The C of an action: by its name, with the values or fields of the event that the chart passes to it. */
  #action(action: unknown, isError: boolean): string {
    const { type, params } = isObject(action) ? action : { type: action, params: undefined };
    const name = String(type);
    const words = this.#with.actions[name];
    if (words === undefined) throw new Error(`No translation of the action "${name}" of ${this.#machine.id}.`);
    const event = isError ? errorProbe : probe;
    const given = typeof params === 'function' ? this.#call(params, event) : ((params ?? {}) as Json);
    const values = Object.entries(given).map(([key, value]) => [key, this.#value(value)] as const);
    return words(Object.fromEntries(values));
  }

  #value(value: unknown): string {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    const [, field] = /\$event\.(\w+)/.exec(text) ?? [];
    return field === undefined ? String(this.#word(text)) : `ev.${field}`;
  }

  #guard(guard: unknown): string {
    if (guard === undefined) return '1';
    const words = typeof guard === 'string' ? this.#with.guards[guard] : undefined;
    if (words === undefined)
      throw new Error(`No translation of the guard "${JSON.stringify(guard)}" of ${this.#machine.id}.`);
    return `(${words})`;
  }

  #steps(): string[] {
    return [
      this.#finals(),
      ...this.#nodes.flatMap((node) => [this.#enter(node), this.#leave(node), this.#select(node)]),
      ...this.#edges.map((edge) => this.#edge(edge)),
      `static void micro(void) {\n  int taken[${this.#edges.length}], i;\n  for (i = 0; i < ${this.#edges.length}; i++) { taken[i] = able[i]; able[i] = 0; }`,
      ...this.#edges.map(
        ({ index, source }) =>
          `  if (taken[${index}]) { if (!now.s[${source.index}]) { fprintf(stderr, "two transitions at once\\n"); exit(1); } edge_${index}(); }`,
      ),
      ...this.#tops().map((index) => `  if (now.s[${index}]) finish();`),
      '}',
      'static void settle(void) {\n  int i;\n  for (i = 0; i < 1000 && !now.over; i++) {',
      '    if (select_0(0)) { micro(); continue; }',
      '    if (waits == 0) break;',
      '    int e = waiting[0], j; waits--; for (j = 0; j < waits; j++) waiting[j] = waiting[j + 1];',
      '    if (select_0(e)) micro();\n  }\n  waits = 0;\n}',
      'static void step(int e) { if (!now.over && select_0(e)) { micro(); settle(); } }',
    ];
  }

  /** Final states of the chart itself. */
  #tops(): number[] {
    const [root] = this.#nodes;
    return (root?.children ?? []).flatMap(({ config, index }) => (config['type'] === 'final' ? [index] : []));
  }

  #enter({ config, id, index }: Node): string {
    const entry = listOf(config['entry']).map((action) => this.#action(action, false));
    const timers = this.#timers.flatMap((timer, at) => (timer.endsWith(` ${id}`) ? [`now.t[${at}] = 1;`] : []));
    const actors = this.#actors.flatMap(({ name, node }, at) =>
      node.id === id ? [`now.a[${at}] = 1; ${this.#with.starts?.[name] ?? ''}`] : [],
    );
    return `static void enter_${index}(void) { now.s[${index}] = 1; ${[...entry, ...timers, ...actors].join(' ')} }`;
  }

  #leave({ config, id, index }: Node): string {
    const exit = listOf(config['exit']).map((action) => this.#action(action, false));
    const timers = this.#timers.flatMap((timer, at) => (timer.endsWith(` ${id}`) ? [`now.t[${at}] = 0;`] : []));
    const actors = this.#actors.flatMap(({ name, node }, at) => (node.id === id ? [this.#stop(name, at)] : []));
    return `static void leave_${index}(void) { ${[...exit, ...timers, ...actors].join(' ')} now.s[${index}] = 0; }`;
  }

  #stop(name: string, at: number): string {
    return `now.a[${at}] = 0; ${this.#with.stops?.[name] ?? ''}`;
  }

  /** The innermost state decides; of the transitions of a state, the first whose guard holds. */
  #select({ index, children, id }: Node): string {
    const inner = children.map((child) => `if (now.s[${child.index}]) h |= select_${child.index}(e);`);
    const own = this.#edges.filter(({ source }) => source.id === id);
    const tried = own.map(
      (edge) =>
        `if (e == ${this.#event(edge.event)} && ${this.#guard(edge.config['guard'])}) { able[${edge.index}] = 1; return 1; }`,
    );
    return `static int select_${index}(int e) { int h = 0; ${inner.join(' ')} if (h) return 1; ${tried.join(' ')} return 0; }`;
  }

  #edge({ index, source, event, config }: Edge): string {
    const actions = listOf(config['actions']).map((action) => this.#action(action, event.startsWith('error.actor')));
    const target = typeof config['target'] === 'string' ? this.#target(source, config['target']) : undefined;
    if (target === undefined) return `static void edge_${index}(void) { ${actions.join(' ')} }`;
    const domain = this.#domain(source, target, config['reenter'] === true);
    const left = this.#nodes
      .filter((node) => isWithin(node, domain) && node !== domain)
      .toReversed()
      .map((node) => `if (now.s[${node.index}]) leave_${node.index}();`);
    const path = pathTo(target, domain);
    const outer = path.slice(0, -1);
    if (outer.some(({ config: { type } }) => type === 'parallel'))
      throw new Error(`No translation of a transition into one region of ${target.id}.`);
    const entered = [...outer.map((node) => `enter_${node.index}();`), ...this.#enterWhole(target)];
    return `static void edge_${index}(void) { ${[...left, ...actions, ...entered].join(' ')} }`;
  }

  #target(source: Node, name: string): Node {
    if (name.startsWith('#')) return this.#node(name.slice(1));
    if (name.startsWith('.')) return this.#node(`${source.id}${name}`);
    return this.#node(`${source.parent?.id}.${name}`);
  }

  #domain(source: Node, target: Node, isReentered: boolean): Node {
    if (!isReentered && isWithin(target, source)) return source;
    let domain = source.parent;
    while (domain !== undefined && !(isWithin(target, domain) && target !== domain)) domain = domain.parent;
    return domain ?? source;
  }

  /** A state with the states that are entered with it, and the ends that this tells of. */
  #enterWhole(node: Node): string[] {
    const { config, children, index } = node;
    const initial = children.find(({ id }) => id === `${node.id}.${String(config['initial'])}`);
    const inner = config['type'] === 'parallel' ? children : initial === undefined ? [] : [initial];
    const ends = config['type'] === 'final' ? [`ended_${index}();`] : [];
    return [`enter_${index}();`, ...inner.flatMap((child) => this.#enterWhole(child)), ...ends];
  }

  /** What is told when a final state is entered: that its parent is done, and a parallel one whose regions all are. */
  #finals(): string {
    const finals = this.#nodes.filter(({ config }) => config['type'] === 'final');
    const tell = (node: Node): string => `waiting[waits++] = ${this.#event(`done ${node.id}`)};`;
    const functions = finals.map(({ index, parent }) => {
      const outer = parent?.parent;
      const isRegion = outer?.config['type'] === 'parallel';
      const all = (outer?.children ?? []).map(({ children }) => {
        const ends = children.filter(({ config }) => config['type'] === 'final').map((end) => `now.s[${end.index}]`);
        return `(${ends.join(' || ') || '0'})`;
      });
      const own = parent?.parent === undefined ? '' : tell(parent);
      const whole = isRegion ? `if (${all.join(' && ')}) { ${tell(outer)} }` : '';
      return `static void ended_${index}(void) { ${own} ${whole} }`;
    });
    const stopped = this.#actors.map(({ name }, at) => `if (now.a[${at}]) { ${this.#stop(name, at)} }`);
    const timers = this.#timers.map((_, at) => `now.t[${at}] = 0;`);
    return [...functions, `static void finish(void) { now.over = 1; ${[...stopped, ...timers].join(' ')} }`].join('\n');
  }

  #surroundings(): string[] {
    const [root] = this.#nodes;
    if (root === undefined) return [];
    const bounds = this.#with.bounds.map(
      (name) => `K_${name} = atoi(getenv("K_${name}") ? getenv("K_${name}") : "0");`,
    );
    const { before, after } = this.#with;
    return [
      `static void begin(void) { ${bounds.join(' ')} ${before} ${this.#enterWhole(root).join(' ')} settle(); ${after} }`,
    ];
  }

  #moves(): { readonly when: string; readonly take: string }[] {
    const timers = this.#timers.map((timer, at) => ({
      when: `now.t[${at}]`,
      take: `now.t[${at}] = 0; step(${this.#event(`after ${timer}`)});`,
    }));
    const answers = this.#actors.flatMap(({ name, id }, at) => {
      const told = this.#with.answers[name];
      if (told === undefined) return [];
      const take = (event: string, facts: string) =>
        `now.a[${at}] = 0; ${facts} ev.error = ${this.#word(`error of ${name}`)}; step(${this.#event(`${event} ${id}`)});`;
      const when = `now.a[${at}] && (${told.when ?? '1'})`;
      return [
        ...[told.done].flat().map((facts) => ({ when, take: take('done.actor', facts) })),
        { when, take: take('error.actor', told.error) },
      ];
    });
    const given = this.#with.moves.map(({ when, take }) => ({ when: `!now.over && (${when})`, take }));
    return [...timers, ...answers, ...given];
  }
}

function isWithin(node: Node, outer: Node): boolean {
  for (let at: Node | undefined = node; at !== undefined; at = at.parent) if (at === outer) return true;
  return false;
}

/** From below `outer` down to the state itself. */
function pathTo(node: Node, outer: Node): Node[] {
  const path: Node[] = [];
  for (let at: Node | undefined = node; at !== undefined && at !== outer; at = at.parent) path.unshift(at);
  return path;
}
