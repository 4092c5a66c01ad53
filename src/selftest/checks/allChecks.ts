import type { Check } from '../checkContext.js';
import { consoleChecks, networkChecks } from './activityChecks.js';
import { debuggerChecks } from './debuggerChecks.js';
import { emulationChecks } from './emulationChecks.js';
import { evidenceChecks } from './evidenceChecks.js';
import { extensionActivityChecks } from './extensionActivityChecks.js';
import { extensionContextChecks } from './extensionContextChecks.js';
import { extensionDiagnosisChecks } from './extensionDiagnosisChecks.js';
import { extensionLifeChecks } from './extensionLifeChecks.js';
import { extensionChecks } from './extensionChecks.js';
import { extensionUiChecks } from './extensionUiChecks.js';
import { inputChecks } from './inputChecks.js';
import { lookChecks, styleChecks } from './lookChecks.js';
import { pageChecks } from './pageChecks.js';
import { memoryChecks, performanceChecks } from './performanceChecks.js';
import { sessionChecks } from './sessionChecks.js';
import { coverageChecks, sourceChecks } from './sourceChecks.js';
import { extensionStorageChecks, storageChecks } from './storageChecks.js';

/**
 * One check for each tool, in the order of the catalogue. Extensions come late: they may move the session to a process
 * of its own. Traces come last: a browser records one at a time, and sessions in a shared browser would disturb each
 * other.
 */
export const checks: readonly Check[] = [
  ...sessionChecks,
  ...pageChecks,
  ...inputChecks,
  ...lookChecks,
  ...consoleChecks,
  ...networkChecks,
  ...sourceChecks,
  ...debuggerChecks,
  ...styleChecks,
  ...memoryChecks,
  ...emulationChecks,
  ...evidenceChecks,
  ...storageChecks,
  ...coverageChecks,
  ...extensionChecks,
  ...extensionLifeChecks,
  ...extensionContextChecks,
  ...extensionUiChecks,
  ...extensionStorageChecks,
  ...extensionActivityChecks,
  ...extensionDiagnosisChecks,
  ...performanceChecks,
];
