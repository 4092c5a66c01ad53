import type { Prompt } from '../definePrompt.js';
import { auditManifest } from './auditManifest.js';
import { diagnoseExtension } from './diagnoseExtension.js';
import { profilePage } from './profilePage.js';

/** Every prompt of this package. */
export const allPrompts: readonly Prompt[] = [diagnoseExtension, auditManifest, profilePage];
