import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../packageInfo.js';
import type { InjectedFunctions } from '../injected/contract.js';

type AnyFunction = (...args: never[]) => unknown;

declare const signature: unique symbol;

/**
 * The source text of a function of `src/browser/injected`: one self-contained expression without side effects. Typed by
 * the function, so that its arguments are checked at the call.
 */
export type InjectedFunction<F extends AnyFunction = AnyFunction> = string & { readonly [signature]: F };

type FunctionSources = { readonly [Name in keyof InjectedFunctions]: InjectedFunction<InjectedFunctions[Name]> };

const bundled = join(packageRoot, 'dist/src/browser/injected/functions.json');
const sources = JSON.parse(readFileSync(bundled, 'utf8')) as FunctionSources;

export const {
  untilQuiet,
  untilText,
  stopWaiting,
  showsText,
  scrollNearest,
  locateElement,
  watchDrag,
  readDrag,
  takeDroppedFiles,
  watchUserPrompts,
  untilDrawn,
  isRendered,
  getsFrames,
  untilActionable,
  standIn,
  isInView,
  isSeen,
  drawMarks,
  runAudit,
  readLayout,
  readLonghands,
  weighRules,
  lineageOf,
  readTargetName,
  readHost,
  findBySelector,
  prepareFill,
  readValue,
  isChecked,
  isOpen,
  untilOption,
  optionLabels,
  fileField,
  measureDocument,
  beginReading,
  endReading,
  readOutline,
  runAndPrint,
  formatValue,
  formatScope,
  instrumentContext,
  flushReports,
  takeReports,
  readWorkerActivity,
  correctInstallDetails,
  readActionState,
  sendFromExtension,
  readStorage,
  editStorage,
  listenToStorage,
  readRegisteredScripts,
  readSidePanels,
  fireEvent,
  fireAlarm,
  readFirableEvents,
  readPermissions,
  removePermissions,
  listVariables,
  readVariables,
  readRuleState,
  testRequestRules,
} = sources;

/** An expression that calls an injected function, with arguments as JSON. */
export function callExpression<Args extends readonly unknown[]>(
  source: InjectedFunction<(...args: Args) => unknown>,
  ...args: Args
): string {
  return `(${source})(...${JSON.stringify(args)})`;
}
