import type { Prompt } from './definePrompt.js';
import { auditManifestPrompt } from './prompts/auditManifest.js';
import { diagnoseExtensionPrompt } from './prompts/diagnoseExtension.js';
import { profilePagePrompt } from './prompts/profilePage.js';

/** Every prompt of this package. */
export const allPrompts: readonly Prompt[] = [diagnoseExtensionPrompt, auditManifestPrompt, profilePagePrompt];
