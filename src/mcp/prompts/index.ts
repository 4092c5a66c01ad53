import type { Prompt } from '../definePrompt.js';
import { auditManifestPrompt } from './auditManifest.js';
import { diagnoseExtensionPrompt } from './diagnoseExtension.js';
import { profilePagePrompt } from './profilePage.js';

/** Every prompt of this package. */
export const allPrompts: readonly Prompt[] = [diagnoseExtensionPrompt, auditManifestPrompt, profilePagePrompt];
