#!/usr/bin/env node
import { existsSync } from 'node:fs';

// The command: `npx greenroom …`. In a clone that has not been built yet, it builds first.
const main = new URL('../dist/src/main.js', import.meta.url);

if (!existsSync(main)) {
  const { build } = await import('./build.js');
  await build();
}
await import(main.href);
