import type { CheckContext } from './checkContext.js';

/** Shows that one tool does what it says, by what it answers and by a second witness. */
export interface Check {
  readonly tool: string;
  /** Answers in a few words what was seen. Throws where something else was. Depends on no other check. */
  run(bench: CheckContext): Promise<string>;
}
