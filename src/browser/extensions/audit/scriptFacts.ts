import type { Reference } from './fileReferences.js';

/** A use of something global: `path` as `Names.valueOf` writes it. */
export interface Use {
  readonly path: string;
  readonly offset: number;
  /** Index of the function it stands in; 0 is the program. */
  readonly within: number;
  /** Whether the code minds that it may be missing, or is for another browser. */
  readonly isGuarded: boolean;
  /** After an `await` of the same function. */
  readonly isLate: boolean;
  readonly isCalled: boolean;
}

/** A function may call another: at once, or later, as the callback of an event, a promise or a timer. */
export interface Edge {
  readonly from: number;
  /** Index of a function of the same file, `import:` as a path, or `method:` and a name. */
  readonly to: number | string;
  readonly isLate: boolean;
  /** By an event, which may come long after the start. */
  readonly isEvent: boolean;
}

export interface StateVariable {
  readonly name: string;
  readonly offset: number;
  /** Functions that change it, and those whose change depends on its value before. */
  readonly writers: Set<number>;
  counts: boolean;
  readonly readers: Set<number>;
  isTested: boolean;
}

export interface ScriptFacts {
  readonly path: string;
  readonly text: string;
  readonly isModule: boolean;
  /** Why it cannot be parsed. */
  readonly problem?: { readonly message: string; readonly offset: number; readonly isTooDeep: boolean };
  /** Where a module first waits outside of functions. */
  topAwait?: number;
  readonly functions: { readonly parent: number; isInjected: boolean; readonly isAsync: boolean }[];
  readonly uses: Use[];
  readonly edges: Edge[];
  readonly references: Reference[];
  /** What it exports, or declares for other classic scripts: values and functions. */
  readonly exports: Map<string, { readonly value?: string; readonly definition?: number }>;
  /** Properties that are read of values nobody knows, and keys that are taken out of them. */
  readonly properties: Set<string>;
  readonly strings: Set<string>;
  /** Paths that conditions ask for. */
  readonly tested: Set<string>;
  /** Global names that it assigns. */
  readonly defined: Set<string>;
  /** Whether all of `chrome` is given away, or read by names that are computed. */
  escapes: boolean;
  readonly state: Map<string, StateVariable>;
}
