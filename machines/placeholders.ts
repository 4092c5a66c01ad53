import { fromCallback, fromPromise, type AnyEventObject } from 'xstate';

/**
 * Placeholders for the implementations that a chart only names. A chart that runs without `machine.provide()` fails at the
 * first missing implementation with its name, instead of XState's obscure property error.
 */
function missing(kind: string, name: string): Error {
  return new Error(`${kind} "${name}" was not provided: call machine.provide({ ${kind}s: { '${name}': … } })`);
}

export function missingAction(name: string) {
  return (): void => {
    throw missing('action', name);
  };
}

export function missingDelay(name: string) {
  return (): number => {
    throw missing('delay', name);
  };
}

export function missingPromise<Output, Input>(name: string) {
  return fromPromise<Output, Input>(() => {
    throw missing('actor', name);
  });
}

export function missingCallback<Event extends AnyEventObject, Input>(name: string) {
  return fromCallback<Event, Input>(() => {
    throw missing('actor', name);
  });
}
