import { join } from 'node:path';

/** The root of the project. What runs is compiled: this file is `dist/test/support/root.js`. */
export const root = join(import.meta.dirname, '../../..');

/** The compiled program: what `greenroom` starts. */
export const mainProgram = join(root, 'dist/src/main.js');
