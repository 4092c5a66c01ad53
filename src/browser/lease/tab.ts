import type { Target } from 'puppeteer-core';

/** An extension's popup starts as `other` and is no tab; DevTools windows are the user's. */
export function isTab(target: Target): boolean {
  const type: string = target.type();
  return type === 'page' && !target.url().startsWith('devtools://');
}
