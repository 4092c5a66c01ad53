/** Whose step it is. A shared one may touch every session; of the others, two of different plans touch nothing in common. */
export interface StepOwner {
  readonly plan: number;
  readonly isShared: boolean;
}

/** What orders the steps of a core. That of fast-check draws an order; `OrderedSteps` is given one. */
export interface Scheduler {
  schedule(task: Promise<void>, label: string, owner: StepOwner): Promise<void>;
  /** Each is scheduled when the one before it is over. */
  scheduleSequence(
    steps: { readonly label: string; readonly builder: () => Promise<void>; readonly metadata: StepOwner }[],
  ): unknown;
  waitIdle(): Promise<void>;
}

/** A program whose steps a scheduler orders. */
export interface ScheduledProgram {
  end(): Promise<void>;
  /** What did not hold, once it has ended. */
  violations(): unknown[];
  /** All that can be seen of it. */
  fingerprint(): string;
}

interface Waiting {
  readonly label: string;
  readonly owner: StepOwner;
  release(): void;
}

/** The rest of an order leads to nothing new. */
class KnownFromHere extends Error {}

/** Everything that follows from a step is done when the event loop comes round. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/**
 * Runs the steps in one order. Without a delay it is: the plan that ran last goes on, its oldest step first, then the next
 * plan. `choose` is told how many steps could be run and says how many are passed over, which is as many delays.
 */
class OrderedSteps implements Scheduler {
  readonly story: string[] = [];
  readonly #waiting: Waiting[] = [];
  readonly #choose: (steps: OrderedSteps, count: number) => number;
  readonly #numbers: Map<string, number>;
  /** Of each plan, the number of what has happened to it. */
  readonly #histories: number[];
  #current = 0;

  constructor(plans: number, numbers: Map<string, number>, choose: (steps: OrderedSteps, count: number) => number) {
    this.#numbers = numbers;
    this.#histories = Array.from({ length: plans }, () => 0);
    this.#choose = choose;
  }

  /**
   * Equal where the same has happened to every plan, in whatever order it happened to one and the other. What could follow is
   * the same then: the steps of a plan are done in the same order, a shared step comes after the same steps of every plan, and
   * two other steps that changed places have nothing in common. (This is what sleep sets skip, kept as a set of states.)
   */
  get key(): string {
    return `${this.#current} ${this.#histories.join(' ')}`;
  }

  schedule(task: Promise<void>, label: string, owner: StepOwner): Promise<void> {
    return new Promise<void>((resolve) => {
      this.#waiting.push({ label, owner, release: () => resolve(task) });
    });
  }

  scheduleSequence(steps: Parameters<Scheduler['scheduleSequence']>[0]): void {
    const runAll = async (): Promise<void> => {
      for (const { label, builder, metadata } of steps) {
        await this.schedule(Promise.resolve(), label, metadata);
        await builder();
      }
    };
    void runAll();
  }

  async waitIdle(): Promise<void> {
    await settled();
    while (this.#waiting.length > 0) {
      const enabled = this.#inOrder();
      const chosen = enabled[this.#choose(this, enabled.length)];
      if (chosen === undefined) throw new KnownFromHere();
      this.#record(chosen, enabled);
      this.#waiting.splice(this.#waiting.indexOf(chosen), 1);
      chosen.release();
      await settled();
    }
  }

  #inOrder(): Waiting[] {
    const plans = this.#histories.length;
    const distance = ({ owner }: Waiting): number => (owner.plan - this.#current + plans) % plans;
    return this.#waiting.toSorted((one, other) => distance(one) - distance(other));
  }

  #record(step: Waiting, enabled: readonly Waiting[]): void {
    const { label, owner } = step;
    // Of two steps of one plan that have one name, the older is the first.
    const alike = enabled.filter((each) => each.label === label && each.owner.plan === owner.plan);
    const name = `${owner.plan} ${label}${alike.length > 1 ? ` ${alike.indexOf(step)}` : ''}`;
    this.story.push(name);
    this.#current = owner.plan;
    if (owner.isShared) this.#histories.fill(this.#numberOf(`${name} after ${this.#histories.join(' ')}`));
    else this.#histories[owner.plan] = this.#numberOf(`${name} after ${this.#histories[owner.plan]}`);
  }

  #numberOf(history: string): number {
    const known = this.#numbers.get(history) ?? this.#numbers.size + 1;
    this.#numbers.set(history, known);
    return known;
  }
}

interface Decision {
  /** By how many steps are passed over: the decision that comes next; '' where the program ends. */
  readonly next: string[];
}

export interface Orders {
  /** Within the bound; every one of them was run, or was run from its last new state on as another one. */
  readonly orders: number;
  /** That were run to their end. */
  readonly runs: number;
  /** That were left where they came to a state that another one had come to, with as many delays left. */
  readonly pruned: number;
  readonly states: number;
  /** What did not hold, with the steps up to there. */
  readonly violations: ReadonlyMap<string, readonly string[]>;
}

/**
 * Runs a program in every order that has at most `delays` delays (Emmi, Qadeer and Rakamarić, 2011): depth first from each
 * decision, those with fewer delays first, so that a state is come to with the most delays left. That two orders come to one
 * state is not taken on trust: what can be seen of the program must be equal there.
 */
export async function runEveryOrder(
  plans: number,
  delays: number,
  start: (scheduler: Scheduler) => ScheduledProgram,
): Promise<Orders> {
  const numbers = new Map<string, number>();
  const decisions = new Map<string, Decision>();
  const fingerprints = new Map<string, string>();
  const violations = new Map<string, readonly string[]>();
  const open: (readonly number[])[][] = Array.from({ length: delays + 1 }, () => []);
  open[0]?.push([]);
  let [runs, pruned] = [0, 0];

  const compare = (key: string, { story }: OrderedSteps, program: ScheduledProgram): void => {
    const fingerprint = program.fingerprint();
    const known = fingerprints.get(key) ?? fingerprint;
    fingerprints.set(key, known);
    if (known !== fingerprint) violations.set(`steps that share nothing: ${known} or ${fingerprint}`, [...story]);
  };

  const runOne = async (given: readonly number[], spent: number): Promise<void> => {
    const taken: number[] = [];
    let from: Decision | undefined;
    const choose = (steps: OrderedSteps, count: number): number => {
      const { key } = steps;
      const passed = given[taken.length] ?? 0;
      const known = decisions.get(key);
      if (from !== undefined) from.next[taken.at(-1) ?? 0] = key;
      if (taken.length >= given.length) {
        compare(key, steps, program);
        if (known !== undefined) return -1;
        decisions.set(key, { next: [] });
        for (let more = 1; more < count && spent + more <= delays; more += 1)
          open[spent + more]?.push([...taken, more]);
      }
      from = decisions.get(key);
      taken.push(passed);
      return passed;
    };
    const steps = new OrderedSteps(plans, numbers, choose);
    const program = start(steps);
    try {
      await program.end();
      runs += 1;
      compare(`the end ${steps.key}`, steps, program);
      if (from !== undefined) from.next[taken.at(-1) ?? 0] = '';
      for (const found of program.violations()) violations.set(JSON.stringify(found), steps.story);
    } catch (error) {
      if (!(error instanceof KnownFromHere)) throw error;
      pruned += 1;
    }
  };

  for (let spent = 0; spent <= delays; spent += 1)
    for (let given = open[spent]?.pop(); given !== undefined; given = open[spent]?.pop()) await runOne(given, spent);
  return { orders: countOrders(decisions, delays), runs, pruned, states: decisions.size, violations };
}

function countOrders(decisions: ReadonlyMap<string, Decision>, delays: number): number {
  const counted = new Map<string, number>();
  const count = (key: string, left: number): number => {
    if (key === '') return 1;
    const known = counted.get(`${key} ${left}`);
    if (known !== undefined) return known;
    const { next } = decisions.get(key) ?? { next: [] };
    const total = next.slice(0, left + 1).reduce((sum, each, passed) => sum + count(each, left - passed), 0);
    counted.set(`${key} ${left}`, total);
    return total;
  };
  const [first = ''] = decisions.keys();
  return count(first, delays);
}
