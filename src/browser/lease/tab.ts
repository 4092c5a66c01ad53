import { TargetType, type Target } from 'puppeteer-core';

/** An extension's popup starts as `other` and is no tab; DevTools windows are the user's. */
export function isTab(target: Target): boolean {
  return target.type() === TargetType.PAGE && !target.url().startsWith('devtools://');
}
