import type { Check } from '../check.js';
import { consoleChecks } from './console.js';
import { extensionChecks } from './extensions.js';
import { inputChecks } from './input.js';
import { lookChecks } from './look.js';
import { networkChecks } from './network.js';
import { pageChecks } from './pages.js';
import { sessionChecks } from './session.js';

/** One for each tool, in the order of the catalogue. Extensions come last: they may move the session to a process of its own. */
export const checks: readonly Check[] = [
  ...sessionChecks,
  ...pageChecks,
  ...inputChecks,
  ...lookChecks,
  ...consoleChecks,
  ...networkChecks,
  ...extensionChecks,
];
