/**
 * What the server and the functions that it sends into pages and extensions agree on. Free of DOM types: both sides
 * compile it. Arguments and results travel as JSON, except where a type is {@link RemoteObject}.
 */

import type {
  ActionState,
  FirableEvents,
  FireResult,
  GrantedPermissions,
  RuleMatch,
  RuleState,
  SendResult,
  SidePanels,
  StorageContent,
  StorageEdit,
  TabPosition,
  WorkerActivity,
} from './extensionContract.js';

/** An object of the page, passed by its CDP object id. */
export type RemoteObject = object;

/** Soft hyphens, zero-width characters and direction marks, which are invisible. */
const unseen = /[\u00AD\u034F\u061C\u200B-\u200F\u202A-\u202E\u2060-\u2064\u2066-\u2069\uFEFF]/g;

/** A text as a reader sees it: one form of each character, one kind of space. */
export function asRead(text: string): string {
  return text.normalize('NFC').replace(unseen, '').replace(/\s+/g, ' ');
}

/** Size of a document with its open shadow roots. */
export interface DocumentSize {
  /** Elements and text nodes. */
  readonly nodes: number;
  /** Characters of its text nodes. */
  readonly characters: number;
}

/** A document as a reading of it begins. */
export interface DocumentState extends DocumentSize {
  /**
   * State that a capture of it does not show: focus, validity, open lists. Null if elements may have internal states.
   */
  readonly states: string | null;
}

/** One node of an outline, with the role, name and properties that the accessibility tree would give it. */
export interface OutlineItem {
  /** Index of the parent among the items; -1 for the document. */
  readonly parent: number;
  readonly role: string;
  readonly name: string;
  readonly value?: string | undefined;
  /** Names of `Protocol.Accessibility.AXPropertyName`. */
  readonly properties?: Readonly<Record<string, string | number | boolean | undefined>> | undefined;
}

export interface OutlineReading {
  /** JSON of {@link OutlineItem}[]. */
  readonly items: string;
  /** The node of each item, then the first node that was not read, if any. */
  readonly nodes: readonly RemoteObject[];
}

/**
 * What is left to do after `prepareFill`: nothing, click the element, type the value over the selection, select all by
 * keyboard and type, choose one of its options, or step to it by keys; or why it cannot be filled.
 */
export type FillResult =
  | { readonly problem: string }
  | {
      readonly remaining: 'set' | 'clicked' | 'typed' | 'replaced' | 'chosen' | 'stepped';
      /** It may show options that match the typed text. */
      readonly offers?: boolean | undefined;
      /** An editor without or with paragraphs. */
      readonly editor?: 'plain' | 'rich' | undefined;
    };

/** A place in a box, as fractions of its width and height. */
export type BoxPoint = readonly [x: number, y: number];

/** The obstacle that keeps a user from acting on an element, or the point where its box is free. */
export type ActionCheck =
  | { readonly problem: string }
  | {
      /** The action goes to what `standIn` answers. */
      readonly isStandIn: boolean;
      /** Only for a pointer: the size of its first box, and the point of it. */
      readonly box?: readonly [width: number, height: number] | undefined;
      readonly at?: BoxPoint | undefined;
      /** No pointer reaches it, but this key acts on it: it is hidden from sight alone, or has no box. */
      readonly key?: 'Space' | 'Enter' | undefined;
    };

/** What happened in a document since `watchDrag`. */
export interface DragReaction {
  readonly changes: number;
  /** The page took the pointer, or kept the browser from acting on it. */
  readonly isHandled: boolean;
  /** Whether the element under the pointer accepts the data of an HTML drag. */
  readonly isAccepted: boolean;
  /** The data of an HTML drag was dropped: the target took it. */
  readonly isDropped: boolean;
}

/** A way to scroll: to the end of that direction, or some CSS pixels; by default most of the visible part. */
export interface ScrollMove {
  readonly direction: 'up' | 'down' | 'left' | 'right';
  readonly pixels?: number | undefined;
  readonly toEnd: boolean;
}

/** A box after a scroll: CSS pixels on the axis of the move. */
export interface ScrollResult {
  readonly box: string;
  readonly moved: number;
  readonly position: number;
  readonly shown: number;
  readonly total: number;
}

/** Selectors by which a script finds an element: one for the document, and one for each shadow root on the path. */
export interface ElementLocator {
  readonly selectors: readonly string[];
  /** How its value is set. */
  readonly field: 'select' | 'choice' | 'other';
}

/** A box on a picture, in its pixels, with what is written at it. */
export interface PictureMark {
  readonly label: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** A file input. */
export interface FileField {
  readonly multiple: boolean;
  /** It takes a folder. */
  readonly folder: boolean;
}

export interface PrintedValue {
  /** Undefined for a value that has no JSON, such as `undefined`. */
  readonly json?: string | undefined;
  /** `typeof` the value. */
  readonly kind: string;
}

/** The variables of one scope of a paused frame. */
export interface ScopeText {
  readonly variables: readonly { readonly name: string; readonly value: string }[];
  /** Further variables that are no functions. */
  readonly more: number;
  /** Functions are counted only. */
  readonly functions: number;
}

/** The rules of axe-core that an audit runs: one, or those with a tag. */
export type AuditRules = Readonly<Record<'tags' | 'disabled', readonly string[]>> & { readonly rule: string | null };

/** Payload of the binding of `watchUserPrompts`, as JSON. */
export interface PromptReport {
  /** Of a document that only another program opens. */
  readonly url?: string | undefined;
  /** Whether the document is printed. */
  readonly isPrinted?: boolean | undefined;
  /** Whether a colour of the screen is to be picked. */
  readonly isColour?: boolean | undefined;
}

/** How an element is stacked among others. */
export interface StackingFacts {
  readonly zIndex: string;
  /** It is not positioned, so that its z-index has no effect. */
  readonly isIgnored: boolean;
  /** Why it begins a stacking context, if it does. */
  readonly makes: string | null;
  /** The element whose stacking context it is in, and why that has one. */
  readonly within: string | null;
}

/** An item of a flex container: what its declared width or height is worth there. */
export interface FlexFacts {
  readonly container: string;
  /** The size that flex decides. */
  readonly sizes: 'width' | 'height';
  /** Computed values. */
  readonly flex: string;
  readonly basis: string;
}

/** The box of an element, and what becomes of it. */
export interface LayoutFacts {
  /** Its tag with id and classes. */
  readonly element: string;
  readonly url: string;
  /** The same of its ancestors in the flat tree, the nearest first. */
  readonly ancestors: readonly string[];
  /** Left, top, width and height in its frame, in CSS pixels. */
  readonly box: readonly number[] | null;
  /** Margin, border and padding that are not 0. */
  readonly edges: readonly string[];
  readonly layout: readonly string[];
  readonly flow: { readonly writingMode: string; readonly direction: string };
  /** Why it cannot be seen, if it cannot. */
  readonly hidden: string | null;
  readonly stacking: StackingFacts;
  /** Of a fixed element: the ancestor that holds it in place of the viewport, and why. */
  readonly fixedIn: string | null;
  readonly flex: FlexFacts | null;
  /** Why a click at its position does nothing at it. */
  readonly click: string | null;
}

/** What reads each variable at the top of a script: it throws before the declaration ran. */
export type DeclaredVariables = Readonly<Record<string, () => unknown>>;

/** Every injected function by its export in `index.ts`. `this` is the object that a function is called on. */
export interface InjectedFunctions {
  untilQuiet(quietMs: number, limitMs: number): Promise<void>;
  untilText(texts: readonly string[], wait: number): Promise<string | undefined>;
  stopWaiting(wait: number): void;
  showsText(text: string): boolean;
  scrollNearest(move: ScrollMove): ScrollResult | null;
  locateElement(): ElementLocator | null;
  watchDrag(): void;
  readDrag(): Promise<DragReaction>;
  takeDroppedFiles(): RemoteObject;
  watchUserPrompts(bindingName: string, ownSchemes: readonly string[]): void;
  untilDrawn(limitMs: number): Promise<void>;
  isRendered(limitMs: number): Promise<boolean>;
  getsFrames(limitMs: number): Promise<boolean>;
  untilActionable(pointer: boolean, limitMs: number): Promise<ActionCheck>;
  standIn(): RemoteObject;
  isInView(): boolean;
  isSeen(): boolean;
  drawMarks(picture: string, type: string, quality: number | null, marks: readonly PictureMark[]): Promise<string>;
  runAudit(rules: AuditRules, maxElements: number): Promise<readonly unknown[]>;
  readLayout(): LayoutFacts;
  weighRules(limit: number): number;
  lineageOf(max: number): readonly RemoteObject[];
  readTargetName(): string;
  readLonghands(names: readonly string[]): Readonly<Record<string, readonly string[]>>;
  readHost(): string | null;
  findBySelector(selector: string): RemoteObject | null;
  prepareFill(value: string): FillResult;
  readValue(): string | undefined;
  isChecked(): boolean;
  isOpen(): boolean;
  untilOption(label: string, limitMs: number): Promise<RemoteObject | null>;
  optionLabels(): string[];
  fileField(): FileField | null;
  measureDocument(): DocumentSize;
  beginReading(): DocumentState;
  endReading(): boolean;
  readOutline(
    from: RemoteObject | null,
    maxNodes: number,
    maxCharacters: number,
    maxTextCharacters: number,
  ): OutlineReading;
  runAndPrint(code: unknown, ...values: readonly unknown[]): Promise<PrintedValue>;
  formatValue(maxCharacters: number): string;
  formatScope(maxVariables: number, maxCharacters: number): ScopeText;
  instrumentContext(bindingName: string, isTracing: boolean, refusing?: readonly string[]): false;
  flushReports(): void;
  takeReports(): readonly string[];
  readWorkerActivity(): WorkerActivity;
  correctInstallDetails(placeholderVersion: string): false;
  readActionState(): Promise<ActionState>;
  readSidePanels(position: TabPosition | null): Promise<SidePanels>;
  sendFromExtension(message: unknown, tab: TabPosition | null, timeoutMs: number): Promise<SendResult>;
  readStorage(
    area: string,
    keys: readonly string[] | null,
    maxLength: number,
    maxTotal: number,
  ): Promise<StorageContent>;
  editStorage(area: string, edit: StorageEdit): Promise<null>;
  listenToStorage(bindingName: string): boolean;
  readRegisteredScripts(): Promise<readonly object[]>;
  fireEvent(name: string, args: readonly unknown[], tab: TabPosition | null): Promise<FireResult>;
  fireAlarm(name: string, timeoutMs: number): Promise<FireResult>;
  readFirableEvents(): Promise<FirableEvents>;
  readPermissions(): Promise<GrantedPermissions>;
  removePermissions(permissions: object): Promise<boolean>;
  readVariables(declared: DeclaredVariables): Record<string, string>;
  listVariables(declared: DeclaredVariables): string[];
  readRuleState(): Promise<RuleState | null>;
  testRequestRules(requests: readonly object[]): Promise<readonly (readonly RuleMatch[])[]>;
}
