import { z } from 'zod';

const durationFormat = 'a duration such as 500ms, 30s, 30m or 2h';
const millisecondsPerUnit = { ms: 1, s: 1e3, m: 6e4, h: 36e5 };

/** A duration as one writes it, or a whole number of milliseconds; the output is in milliseconds. */
export const durationSchema = z
  .union(
    [z.number().int(durationFormat).min(0, durationFormat), z.string().regex(/^\d+(ms|s|m|h)$/, durationFormat)],
    durationFormat,
  )
  .transform((value) => (typeof value === 'number' ? value : parseWithUnit(value, millisecondsPerUnit)));

/** An amount with one of these units behind it, in the unit that counts 1. */
export function parseWithUnit(value: string, multipliers: Readonly<Record<string, number>>): number {
  const [, amount = '', unit = ''] = /^(\d+)([a-z]+)$/.exec(value) ?? [];
  return Number(amount) * (multipliers[unit] ?? 1);
}
