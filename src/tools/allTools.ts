import { accessibilityTools } from './accessibilityTools.js';
import { getExtensionDetailsTool, inspectManifestTool } from './extensionDetails.js';
import { consoleTools } from './consoleTools.js';
import { browserTools } from './browserTools.js';
import type { Tool } from './defineTool.js';
import { coverageTools } from './coverageTools.js';
import { debuggerTools } from './debuggerTools.js';
import { emulationTools } from './emulationTools.js';
import { evidenceTools } from './evidenceTools.js';
import { inputTools } from './inputTools.js';
import { lookTools } from './lookTools.js';
import { memoryTools } from './memoryTools.js';
import { navigationTools } from './navigationTools.js';
import { networkTools } from './networkTools.js';
import { pageTools } from './pageTools.js';
import { performanceTools } from './performanceTools.js';
import { sessionTools } from './sessionTools.js';
import { sourceTools } from './sourceTools.js';
import { styleTools } from './styleTools.js';
import { storageTools } from './storageTools.js';
import { webMcpTools } from './webMcpTools.js';
import {
  closeExtensionPopupTool,
  openExtensionPopupTool,
  triggerExtensionActionTool,
  openExtensionPageTool,
} from './extensionUi.js';
import {
  activateServiceWorkerTool,
  listExtensionContextsTool,
  switchExtensionContextTool,
  evaluateInExtensionTool,
  serviceWorkerStatusTool,
  stopServiceWorkerTool,
} from './extensionContexts.js';
import { checkInjectionTool, clearErrorsTool, getRuntimeErrorsTool } from './extensionDiagnosis.js';
import {
  installExtensionTool,
  listExtensionsTool,
  reloadExtensionTool,
  setExtensionEnabledTool,
  uninstallExtensionTool,
} from './extensionLifecycle.js';
import { getExtensionLogsTool, monitorMessagesTool, sendMessageTool, traceApiCallsTool } from './extensionActivity.js';
import { fireEventTool } from './extensionEventTools.js';
import { setPermissionsTool } from './extensionPermissionTool.js';
import { getExtensionFlowTool } from './extensionFlowTool.js';
import { checkWorkerSleepTool } from './workerSleepTool.js';
import { listRequestRulesTool } from './requestRuleTool.js';
import { watchExtensionFolderTool } from './extensionFolderTool.js';
import { inspectExtensionStorageTool, setExtensionStorageTool, watchStorageTool } from './extensionStorageTools.js';

export const extensionTools: readonly Tool[] = [
  installExtensionTool,
  listExtensionsTool,
  getExtensionDetailsTool,
  reloadExtensionTool,
  watchExtensionFolderTool,
  setExtensionEnabledTool,
  uninstallExtensionTool,
  setPermissionsTool,
  listExtensionContextsTool,
  switchExtensionContextTool,
  evaluateInExtensionTool,
  activateServiceWorkerTool,
  stopServiceWorkerTool,
  serviceWorkerStatusTool,
  checkWorkerSleepTool,
  triggerExtensionActionTool,
  fireEventTool,
  openExtensionPopupTool,
  closeExtensionPopupTool,
  openExtensionPageTool,
  inspectExtensionStorageTool,
  setExtensionStorageTool,
  watchStorageTool,
  monitorMessagesTool,
  sendMessageTool,
  traceApiCallsTool,
  getExtensionFlowTool,
  getExtensionLogsTool,
  getRuntimeErrorsTool,
  clearErrorsTool,
  inspectManifestTool,
  checkInjectionTool,
  listRequestRulesTool,
];

/** Every tool of this package, in the order in which clients list them. */
export const allTools: readonly Tool[] = [
  ...sessionTools,
  ...pageTools,
  ...navigationTools,
  ...webMcpTools,
  ...lookTools,
  ...inputTools,
  ...consoleTools,
  ...networkTools,
  ...sourceTools,
  ...debuggerTools,
  ...styleTools,
  ...performanceTools,
  ...memoryTools,
  ...emulationTools,
  ...storageTools,
  ...accessibilityTools,
  ...coverageTools,
  ...evidenceTools,
  ...extensionTools,
  ...browserTools,
];
