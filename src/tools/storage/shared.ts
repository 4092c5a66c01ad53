import { z } from 'zod';

export const areas = ['cookies', 'local', 'session'] as const;
export const area = z.enum(areas);
export type Area = z.infer<typeof area>;
