import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../packageInfo.js';
import type { InjectedFunctions } from '../injected/contract.js';

type AnyFunction = (...args: never[]) => unknown;

declare const signature: unique symbol;

/**
 * The source text of a function of `src/browser/injected`: one expression, which needs nothing from outside and leaves
 * nothing behind. Typed by the function, so that its arguments are checked where it is called.
 */
export type InjectedFunction<F extends AnyFunction = AnyFunction> = string & { readonly [signature]: F };

type Texts = { readonly [Name in keyof InjectedFunctions]: InjectedFunction<InjectedFunctions[Name]> };

const bundled = join(packageRoot, 'dist/src/browser/injected/functions.json');
const texts = JSON.parse(readFileSync(bundled, 'utf8')) as Texts;

export const {
  untilQuiet,
  untilText,
  stopWaiting,
  untilDrawn,
  untilActionable,
  prepareFill,
  readValue,
  isFileField,
  measureDocument,
  readOutline,
  runAndPrint,
  formatValue,
  instrumentContext,
  flushReports,
  correctInstallDetails,
  readActionState,
  sendFromExtension,
  readStorage,
  editStorage,
  listenToStorage,
  readRegisteredScripts,
} = texts;

/** An expression that calls an injected function, with arguments as JSON. */
export function callExpression<Args extends readonly unknown[]>(
  source: InjectedFunction<(...args: Args) => unknown>,
  ...args: Args
): string {
  return `(${source})(...${JSON.stringify(args)})`;
}
