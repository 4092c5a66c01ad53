import { z } from 'zod';

export const areas = ['cookies', 'local', 'session'] as const;
export const area = z.enum(areas);
export type PageStorageArea = z.infer<typeof area>;
