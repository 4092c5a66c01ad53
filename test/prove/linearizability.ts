/** One call of a shared object, as its caller saw it. Times are places in the history. */
export interface Operation<Call> {
  readonly call: Call;
  readonly asked: number;
  /** Infinity: no answer was heard, and the call may have been done, or may yet be, or never. */
  readonly heard: number;
  readonly outcome?: string;
}

/** What a call does to the state of the object, if it is done alone: its outcome, and the state after it. */
export type Apply<State, Call> = (state: State, call: Call) => readonly [outcome: string, after: State];

/**
 * Whether the calls could have been done one after the other, each at one moment between its being asked for and its answer,
 * with the outcomes that their callers heard (Wing and Gong, 1993; states are remembered as Lowe has it, 2017).
 */
export function isLinearizable<State, Call>(
  history: readonly Operation<Call>[],
  initial: State,
  apply: Apply<State, Call>,
): boolean {
  const hopeless = new Set<string>();
  const goesOn = (left: readonly Operation<Call>[], state: State): boolean => {
    if (left.every(({ heard }) => heard === Infinity)) return true;
    const key = JSON.stringify([left.map((each) => history.indexOf(each)), state]);
    if (hopeless.has(key)) return false;
    const firstAnswer = Math.min(...left.map(({ heard }) => heard));
    const isDone = left
      .filter(({ asked }) => asked < firstAnswer)
      .some((each) => {
        const [outcome, after] = apply(state, each.call);
        if (each.heard !== Infinity && each.outcome !== outcome) return false;
        return goesOn(
          left.filter((other) => other !== each),
          after,
        );
      });
    if (!isDone) hopeless.add(key);
    return isDone;
  };
  return goesOn(history, initial);
}
