/**
 * Every function that runs inside a page or an extension. The build bundles each one, with what it calls, into a single
 * expression (`.config/bundleInjected.js`); `cdp/injectedFunctions.ts` loads these. An injected function keeps no
 * state outside its call unless it stores it on the global object of the world that it runs in.
 */
export { isInView, standIn, untilActionable } from './actionable.js';
export { runAudit } from './audit.js';
export { formatScope, formatValue } from './formatValue.js';
export { isChecked, fileField, prepareFill, readValue } from './fill.js';
export { correctInstallDetails } from './listeners.js';
export { flushReports, instrumentContext, readWorkerActivity, takeReports } from './instrumentContext.js';
export { isSeen } from './hitTest.js';
export { locateElement } from './locator.js';
export {
  findBySelector,
  lineageOf,
  readHost,
  readLayout,
  readLonghands,
  readTargetName,
  weighRules,
} from './layoutFacts.js';
export { measureDocument, readOutline } from './outline.js';
export { beginReading, endReading } from './documentState.js';
export { isOpen, optionLabels, untilOption } from './optionList.js';
export { runAndPrint } from './runAndPrint.js';
export {
  fireAlarm,
  fireEvent,
  listVariables,
  readActionState,
  readFirableEvents,
  readVariables,
  readPermissions,
  readRegisteredScripts,
  readSidePanels,
  readRuleState,
  removePermissions,
  sendFromExtension,
  testRequestRules,
} from './extensionCalls.js';
export { drawMarks } from './pictureMarks.js';
export { scrollNearest } from './scrolling.js';
export { editStorage, listenToStorage, readStorage } from './storageAccess.js';
export {
  getsFrames,
  isRendered,
  readDrag,
  showsText,
  stopWaiting,
  takeDroppedFiles,
  untilDrawn,
  untilQuiet,
  untilText,
  watchDrag,
} from './waiting.js';
export { watchUserPrompts } from './watchUserPrompts.js';
