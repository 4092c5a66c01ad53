/** Of an actor: each way in which it can be done, or fail, and when it answers; default: at any time. */
interface Answers {
  readonly done: string | readonly string[];
  readonly error: string;
  readonly when?: string;
}

/**
 * What Promela is told of one chart beside the chart itself: every guard and action by its name, and what surrounds the chart.
 * The words are C: `$x` is a variable that is part of a state, `@word` the number of a word, `in(path)` whether a state is
 * active, `put(path)` makes it so, `runs(actor)` whether an actor was started, `tagged(tag)` whether a state with the tag is active, and `fire(event)`
 * takes the step. `ev` has the fields of the event. `K_x` is a bound, read when the checker starts.
 */
export interface Translation {
  readonly variables: readonly string[];
  /** Of one step: no part of a state. */
  readonly globals?: string;
  readonly bounds: readonly string[];
  readonly guards: Readonly<Record<string, string>>;
  readonly actions: Readonly<Record<string, (params: Readonly<Record<string, string>>) => string>>;
  /** What is true around the chart when an actor starts or stops. */
  readonly starts?: Readonly<Record<string, string>>;
  readonly stops?: Readonly<Record<string, string>>;
  /** Actors that answer, and what is true then. */
  readonly answers: Readonly<Record<string, Answers>>;
  readonly before: string;
  readonly after: string;
  readonly moves: readonly { readonly when: string; readonly take: string }[];
  /** Of every run. */
  readonly properties: Readonly<Record<string, string>>;
  /** What some run comes to: that none does must be refuted. */
  readonly reachable: Readonly<Record<string, string>>;
}
