import type { Tool } from '../defineTool.js';
import { closeExtensionPopupTool, openExtensionPopupTool, triggerExtensionActionTool } from '../extensionUi.js';
import { activateServiceWorkerTool } from './activateServiceWorker.js';
import { checkInjectionTool } from './checkInjection.js';
import { listExtensionContextsTool, switchExtensionContextTool } from '../extensionContexts.js';
import { getExtensionDetailsTool } from './details.js';
import { evaluateInExtensionTool } from './evaluateInExtension.js';
import { getExtensionLogsTool } from './getLogs.js';
import { inspectManifestTool } from './inspectManifest.js';
import { installExtensionTool } from '../extensionLifecycle.js';
import { listExtensionsTool } from './listExtensions.js';
import { monitorMessagesTool } from '../extensionActivity.js';
import { openExtensionPageTool } from './openPage.js';
import { reloadExtensionTool } from './reload.js';
import { clearErrorsTool, getRuntimeErrorsTool } from '../extensionDiagnosis.js';
import { sendMessageTool } from './sendMessage.js';
import { serviceWorkerStatusTool, stopServiceWorkerTool } from './serviceWorker.js';
import { setExtensionEnabledTool } from './setEnabled.js';
import { inspectExtensionStorageTool, setExtensionStorageTool } from '../extensionStorage.js';
import { traceApiCallsTool } from './traceApiCalls.js';
import { uninstallExtensionTool } from './uninstall.js';
import { watchStorageTool } from './watchStorage.js';

export const extensionTools: readonly Tool[] = [
  installExtensionTool,
  listExtensionsTool,
  getExtensionDetailsTool,
  reloadExtensionTool,
  setExtensionEnabledTool,
  uninstallExtensionTool,
  listExtensionContextsTool,
  switchExtensionContextTool,
  evaluateInExtensionTool,
  activateServiceWorkerTool,
  stopServiceWorkerTool,
  serviceWorkerStatusTool,
  triggerExtensionActionTool,
  openExtensionPopupTool,
  closeExtensionPopupTool,
  openExtensionPageTool,
  inspectExtensionStorageTool,
  setExtensionStorageTool,
  watchStorageTool,
  monitorMessagesTool,
  sendMessageTool,
  traceApiCallsTool,
  getExtensionLogsTool,
  getRuntimeErrorsTool,
  clearErrorsTool,
  inspectManifestTool,
  checkInjectionTool,
];
