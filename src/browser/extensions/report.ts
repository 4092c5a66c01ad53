import { z } from 'zod';
import type { ActivityReport } from '../injected/contract.js';

const reportSchema = z.object({
  id: z.number(),
  phase: z.enum(['begin', 'end']),
  kind: z.enum(['send', 'receive', 'call']),
  api: z.string(),
  value: z.string().optional(),
  error: z.string().optional(),
  sender: z.string().optional(),
  at: z.number(),
}) satisfies z.ZodType<ActivityReport>;

/** Undefined for what is no report: whatever runs in the context can call the binding. */
export function parseReport(payload: string): ActivityReport | undefined {
  try {
    return reportSchema.safeParse(JSON.parse(payload)).data;
  } catch {
    return undefined;
  }
}
