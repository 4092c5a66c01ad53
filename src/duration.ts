import { z } from 'zod';

const allowed = 'a duration such as 500ms, 30s, 30m or 2h';
const units = { ms: 1, s: 1e3, m: 6e4, h: 36e5 };

/** A duration as one writes it, or a whole number of milliseconds; the output is in milliseconds. */
export const duration = z
  .union([z.number().int(allowed).min(0, allowed), z.string().regex(/^\d+(ms|s|m|h)$/, allowed)], allowed)
  .transform((value) => (typeof value === 'number' ? value : parseUnit(value, units)));

/** An amount with one of these units behind it, in the unit that counts 1. */
export function parseUnit(value: string, known: Readonly<Record<string, number>>): number {
  const [, amount = '', unit = ''] = /^(\d+)([a-z]+)$/.exec(value) ?? [];
  return Number(amount) * (known[unit] ?? 1);
}
