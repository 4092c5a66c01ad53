import type { AnyStateMachine } from 'xstate';

/** The chart as plain XState JSON, as it was written: what Stately Studio imports. Code (mappers, context) is left out. */
export function studioJsonOf(machine: AnyStateMachine): string {
  const withoutCode = (_key: string, value: unknown): unknown => (typeof value === 'function' ? undefined : value);
  return `${JSON.stringify(machine.config, withoutCode, 2)}\n`;
}
