import type { Check } from '../check.js';
import { consoleChecks } from './console.js';
import { emulationChecks } from './emulation.js';
import { extensionActivityChecks } from './extensionActivity.js';
import { extensionContextChecks } from './extensionContexts.js';
import { extensionDiagnosisChecks } from './extensionDiagnosis.js';
import { extensionLifeChecks } from './extensionLife.js';
import { extensionChecks } from './extensions.js';
import { extensionStorageChecks } from './extensionStorage.js';
import { extensionUiChecks } from './extensionUi.js';
import { inputChecks } from './input.js';
import { lookChecks } from './look.js';
import { memoryChecks } from './memory.js';
import { networkChecks } from './network.js';
import { pageChecks } from './pages.js';
import { performanceChecks } from './performance.js';
import { sessionChecks } from './session.js';
import { storageChecks } from './storage.js';

/**
 * One for each tool, in the order of the catalogue. Extensions come late: they may move the session to a process of its
 * own. Traces come last, since a browser makes one at a time, and sessions that share it would be in each other's way.
 */
export const checks: readonly Check[] = [
  ...sessionChecks,
  ...pageChecks,
  ...inputChecks,
  ...lookChecks,
  ...consoleChecks,
  ...networkChecks,
  ...memoryChecks,
  ...emulationChecks,
  ...storageChecks,
  ...extensionChecks,
  ...extensionLifeChecks,
  ...extensionContextChecks,
  ...extensionUiChecks,
  ...extensionStorageChecks,
  ...extensionActivityChecks,
  ...extensionDiagnosisChecks,
  ...performanceChecks,
];
