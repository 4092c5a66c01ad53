import type { CDPSession, Protocol } from 'puppeteer-core';
import { noop, untilAborted } from '../../async.js';
import { timeLimit } from '../../clock.js';
import { unlessGone } from '../cdp/cdpSessions.js';
import { scriptName } from '../page/runScript.js';
import { withoutCompiled } from '../sources/sourceNames.js';
import { addressPattern, isBrowserScript, isOwnCode, type Breakpoint } from './breakpoints.js';
import { breakpointOfFrame, lineCondition, pausedExpression } from './breakpointConditions.js';
import { causesOf, domTypes, framesOfCaller, isCausedBy, placeKey, watchNode } from './pause.js';
import type { CodePlace, PauseCause, RunState, StepAction, Stop, TargetSource } from './pause.js';
import type { StopPlace } from './sourcePlaces.js';

type PausedEvent = Protocol.Debugger.PausedEvent;
type ParsedScript = Protocol.Debugger.ScriptParsedEvent;

/** What a target reports to its session. */
export interface TargetOwner {
  /** The code has stopped, and this target waits in `paused`. */
  onPaused(target: DebuggedTarget, stop: Stop): void;
  /** It goes on, for whatever reason, or is gone. */
  onResumed(target: DebuggedTarget): void;
  /** The breakpoints for this target. */
  breakpointsFor(target: DebuggedTarget): readonly Breakpoint[];
  /** The places of a line breakpoint whose file is an original one, as far as they are known. */
  generatedPlaces(breakpoint: Breakpoint, target: DebuggedTarget): readonly StopPlace[];
  /** A script with a source map is there. Resolves when the breakpoints of its original files are set. */
  onMapped(target: DebuggedTarget, script: ParsedScript): Promise<void>;
  /** Whether another session of this server debugs the same target, and may have paused it. */
  isShared(target: DebuggedTarget): boolean;
}

/** A place of a breakpoint that was sent to Chrome. */
interface SetPlace {
  /** The id that Chrome gave; undefined until it has answered. */
  cdpId: string | undefined;
  /** Never rejects. */
  answered: Promise<void>;
}

const beforeMapped = { instrumentation: 'beforeScriptWithSourceMapExecution' } as const;

/** How long the code of an unknown pause may stay stopped for the other session that may have asked for it. */
const foreignPauseMs = 60_000;
const objectGroup = 'greenroom-debugger';
const asyncDepth = 6;
const maxScripts = 5_000;
/** How long a script may wait for its source map before it runs. */
const mapMs = 3_000;

/**
 * The debugger of one target (page, out-of-process frame, worker, document of an extension) on a CDP session that nobody
 * else debugs with. Sets the breakpoints of its owner there, and decides at each stop whether it is one of theirs.
 */
export class DebuggedTarget implements TargetSource {
  readonly session: CDPSession;
  readonly targetId: string;
  readonly label: string;
  readonly pageId: number | undefined;
  readonly blocksPage: boolean;
  /** Aborted when the target is gone. */
  readonly ended: AbortSignal;
  readonly #owner: TargetOwner;
  readonly #end = new AbortController();
  readonly #scripts = new Map<string, ParsedScript>();
  /** What was sent to Chrome, by breakpoint and place. */
  readonly #set = new Map<number, Map<string, SetPlace>>();
  #mapped: Promise<void> = Promise.resolve();
  #mapsFirst: Promise<unknown> | undefined;
  readonly #places = new Map<number, Protocol.Debugger.Location[]>();
  #enabled: Promise<unknown> = Promise.resolve();
  #state: RunState = { kind: 'running' };

  constructor(source: TargetSource, owner: TargetOwner) {
    const { session, targetId, label, pageId } = source;
    [this.session, this.targetId, this.label, this.pageId] = [session, targetId, label, pageId];
    this.blocksPage = source.blocksPage;
    this.#owner = owner;
    this.ended = this.#end.signal;
    session.on('Debugger.scriptParsed', this.#onScript);
    session.on('Debugger.breakpointResolved', this.#onResolved);
    session.on('Debugger.paused', this.#onPaused);
    session.on('Debugger.resumed', this.#onResumed);
  }

  get stop(): Stop | undefined {
    return this.#state.kind === 'paused' ? this.#state.stop : undefined;
  }

  /** Whether its code is stopped, or is to stop at the next statement. */
  get isHeld(): boolean {
    return this.#state.kind === 'paused' || this.#state.kind === 'stepping';
  }

  /**
   * Sends all commands at once: a target that starts runs only after them. `parsed` has the scripts of a session whose
   * domain is enabled already.
   */
  start(parsed: readonly ParsedScript[]): Promise<unknown>[] {
    for (const event of parsed) this.#onScript(event);
    this.#enabled = unlessGone(this.session.send('Debugger.enable'));
    return [this.#enabled, this.update()];
  }

  /** Makes what is set here what the owner wants: sets new breakpoints and removes the others. Never rejects. */
  async update(): Promise<void> {
    const wanted = this.#owner.breakpointsFor(this);
    const hasLines = wanted.some(({ trigger }) => trigger.on === 'line');
    const mayPause = wanted.some(({ log, trigger }) => log === undefined || trigger.on !== 'line');
    if (hasLines && this.#mapsFirst === undefined)
      this.#mapsFirst = this.#send(() => this.session.send('Debugger.setInstrumentationBreakpoint', beforeMapped));
    const exceptions = wanted.flatMap(({ trigger }) => (trigger.on === 'exception' ? [trigger.which] : []));
    const state = exceptions.includes('all') ? 'all' : (exceptions[0] ?? 'none');
    await Promise.all([
      this.#send(() => this.session.send('Debugger.setPauseOnExceptions', { state })),
      ...(mayPause
        ? [this.#send(() => this.session.send('Debugger.setAsyncCallStackDepth', { maxDepth: asyncDepth }))]
        : []),
      ...[...this.#set.keys()].filter((id) => wanted.every((each) => each.id !== id)).map((id) => this.#unset(id)),
      ...wanted.map((breakpoint) => this.#setOne(breakpoint)),
      this.#send(() =>
        this.session.send('Debugger.setSkipAllPauses', { skip: !mayPause && !hasLines && !this.isHeld }),
      ),
      this.#mapsFirst,
    ]);
  }

  /**
   * Sets those of lines whose places are known now. Nothing else: while a script waits to run, Chrome answers only what
   * sets breakpoints. Never rejects.
   */
  async updateLines(): Promise<void> {
    await Promise.all(this.#owner.breakpointsFor(this).map((breakpoint) => this.#setLine(breakpoint)));
  }

  /** Where a breakpoint is in the code that is loaded here. */
  locationsOf(breakpoint: Breakpoint): readonly Protocol.Debugger.Location[] {
    return this.#places.get(breakpoint.id) ?? [];
  }

  /** The addresses of the code that is loaded here. */
  scripts(): string[] {
    return [...new Set([...this.#scripts.values()].map(({ url }) => url))].filter((url) => url !== scriptName);
  }

  /** The scripts that name a source map. */
  mappedScripts(): ParsedScript[] {
    return [...this.#scripts.values()].filter(({ sourceMapURL = '' }) => sourceMapURL !== '');
  }

  /** The script of a frame. */
  script({ scriptId }: Protocol.Debugger.Location): ParsedScript | undefined {
    return this.#scripts.get(scriptId);
  }

  /** The place of a frame, in generated code. */
  placeOf({ scriptId, lineNumber, columnNumber = 0 }: Protocol.Debugger.Location): CodePlace {
    return { url: this.#scripts.get(scriptId)?.url ?? '', line: lineNumber + 1, column: columnNumber + 1 };
  }

  /** Goes on from a pause. Resolves when Chrome has taken the command. */
  async go(action: StepAction): Promise<void> {
    if (this.#state.kind !== 'paused') return;
    await unlessGone(this.session.send('Runtime.releaseObjectGroup', { objectGroup }));
    if (action !== 'resume') this.#state = { kind: 'stepping' };
    const command = { over: 'stepOver', into: 'stepInto', out: 'stepOut', resume: 'resume' } as const;
    await unlessGone(this.session.send(`Debugger.${command[action]}`));
  }

  /** The call that was stepped in has ended: what runs later is not part of it. */
  endStep(): void {
    if (this.#state.kind === 'stepping') this.#state = { kind: 'running' };
  }

  /** Evaluates in a frame of the present pause, and ends code that does not end. */
  evaluate(
    callFrameId: string,
    expression: string,
    timeout: number,
  ): Promise<Protocol.Debugger.EvaluateOnCallFrameResponse> {
    const options = { callFrameId, expression, objectGroup, timeout, generatePreview: true };
    return this.session.send('Debugger.evaluateOnCallFrame', options);
  }

  /** Removes what is set here from a session that stays open. Never rejects. */
  async leave(): Promise<void> {
    await Promise.all([
      ...[...this.#set.keys()].map((id) => this.#unset(id)),
      unlessGone(this.session.send('Debugger.setPauseOnExceptions', { state: 'none' })),
      unlessGone(this.session.send('Debugger.setSkipAllPauses', { skip: true })),
    ]);
  }

  /** Removes the listeners and lets the code run on. The session stays open. Idempotent. */
  dispose(): void {
    if (this.ended.aborted) return;
    this.#end.abort(new Error('The code that was debugged is gone.'));
    const { session } = this;
    session.off('Debugger.scriptParsed', this.#onScript).off('Debugger.breakpointResolved', this.#onResolved);
    session.off('Debugger.paused', this.#onPaused).off('Debugger.resumed', this.#onResumed);
    this.#onResumed();
  }

  /**
   * Sends a command at once, and again when the domain is enabled: some commands overtake others, and fail before that.
   * Never rejects.
   */
  async #send<Response>(send: () => Promise<Response>): Promise<Response | undefined> {
    const first = await unlessGone(send());
    if (first !== undefined) return first;
    await this.#enabled;
    return unlessGone(send());
  }

  async #setOne(breakpoint: Breakpoint): Promise<void> {
    const { trigger, id } = breakpoint;
    if (trigger.on === 'line') return this.#setLine(breakpoint);
    if (this.#set.has(id) || trigger.on === 'exception') return;
    this.#set.set(id, new Map());
    if (trigger.on === 'event') {
      await unlessGone(this.session.send('DOMDebugger.setEventListenerBreakpoint', { eventName: trigger.name }));
    } else if (trigger.on === 'request') {
      await unlessGone(this.session.send('DOMDebugger.setXHRBreakpoint', { url: trigger.url }));
    } else if (trigger.targetId === this.targetId) {
      await unlessGone(watchNode(this.session, trigger.backendNodeId, domTypes[trigger.change]));
    }
  }

  async #setLine(breakpoint: Breakpoint): Promise<void> {
    const { trigger, id } = breakpoint;
    if (trigger.on !== 'line') return;
    const known = this.#set.get(id) ?? new Map<string, SetPlace>();
    this.#set.set(id, known);
    const originals = this.#owner.generatedPlaces(breakpoint, this);
    const named = {
      urlRegex: addressPattern(withoutCompiled(trigger.file)),
      line: trigger.line,
      column: trigger.column,
    };
    // A name that an original file has means that file, and not a script of the same name.
    const wanted = new Map((originals.length > 0 ? originals : [named]).map((place) => [JSON.stringify(place), place]));
    const obsolete = [...known].filter(([key]) => !wanted.has(key));
    if (obsolete.length > 0) this.#places.delete(id);
    for (const [key, place] of wanted) if (!known.has(key)) known.set(key, this.#setAt(breakpoint, place));
    await Promise.all([
      ...obsolete.map(([key, place]) => this.#removeAt(known, key, place)),
      // Also those that another update has sent.
      ...[...known.values()].map(({ answered }) => answered),
    ]);
  }

  #setAt(breakpoint: Breakpoint, { urlRegex, line, column, expressions }: StopPlace): SetPlace {
    const place: SetPlace = { cdpId: undefined, answered: Promise.resolve() };
    const command = {
      urlRegex,
      lineNumber: line - 1,
      ...(column !== undefined && { columnNumber: column - 1 }),
      condition: lineCondition({ ...breakpoint, ...expressions }),
    };
    const sent = this.#send(() => this.session.send('Debugger.setBreakpointByUrl', command));
    place.answered = sent.then((response) => {
      if (response === undefined) return;
      place.cdpId = response.breakpointId;
      const isWanted = [...(this.#set.get(breakpoint.id)?.values() ?? [])].includes(place);
      if (isWanted) for (const location of response.locations) this.#addPlace(breakpoint.id, location);
    });
    return place;
  }

  async #unset(id: number): Promise<void> {
    const known = this.#set.get(id) ?? new Map<string, SetPlace>();
    this.#set.delete(id);
    this.#places.delete(id);
    await Promise.all([...known].map(([key, place]) => this.#removeAt(known, key, place)));
  }

  async #removeAt(known: Map<string, SetPlace>, key: string, place: SetPlace): Promise<void> {
    known.delete(key);
    await place.answered;
    if (place.cdpId !== undefined)
      await unlessGone(this.session.send('Debugger.removeBreakpoint', { breakpointId: place.cdpId }));
  }

  /** Removes what is set by name and not by id. */
  async unsetTrigger({ trigger }: Breakpoint): Promise<void> {
    if (trigger.on === 'event')
      await unlessGone(this.session.send('DOMDebugger.removeEventListenerBreakpoint', { eventName: trigger.name }));
    if (trigger.on === 'request')
      await unlessGone(this.session.send('DOMDebugger.removeXHRBreakpoint', { url: trigger.url }));
    // Leaving the domain removes its breakpoints on nodes; the others of this target are set again.
    if (trigger.on === 'dom' && trigger.targetId === this.targetId) {
      await unlessGone(this.session.send('DOM.disable'));
      for (const { id, trigger: other } of this.#owner.breakpointsFor(this))
        if (other.on === 'dom') this.#set.delete(id);
    }
  }

  #addPlace(id: number, location: Protocol.Debugger.Location): void {
    // Scripts of former documents are not listed.
    const places = (this.#places.get(id) ?? []).filter(
      (each) => placeKey(this.placeOf(each)) !== placeKey(this.placeOf(location)),
    );
    this.#places.set(id, [...places, location].slice(-20));
  }

  #breakpointOf(cdpId: string): number | undefined {
    return [...this.#set].find(([, places]) => [...places.values()].some((place) => place.cdpId === cdpId))?.[0];
  }

  readonly #onScript = (event: ParsedScript): void => {
    const { scriptId, url, sourceMapURL = '' } = event;
    if ((url !== scriptName && isOwnCode(url)) || breakpointOfFrame(url) !== undefined) return;
    this.#scripts.set(scriptId, event);
    const [oldest] = this.#scripts.keys();
    if (this.#scripts.size > maxScripts && oldest !== undefined) this.#scripts.delete(oldest);
    if (sourceMapURL === '') return;
    const mapped = this.#owner.onMapped(this, event).catch(noop);
    this.#mapped = Promise.all([this.#mapped, mapped]).then(noop);
  };

  // Only newer Chromes have its replacement, a field of `scriptParsed`.
  // oxlint-disable-next-line typescript/no-deprecated
  readonly #onResolved = ({ breakpointId, location }: Protocol.Debugger.BreakpointResolvedEvent): void => {
    const id = this.#breakpointOf(breakpointId);
    if (id !== undefined) this.#addPlace(id, location);
  };

  readonly #onPaused = (event: PausedEvent): void => {
    const wasStepping = this.#state.kind === 'stepping';
    this.#state = { kind: 'deciding' };
    if (event.reason === 'instrumentation') {
      // A script with a source map is about to run: first its breakpoints.
      void untilAborted(this.#mapped, timeLimit(mapMs))
        .catch(noop)
        .then(() => this.#runOn());
      return;
    }
    void this.#decide(event, wasStepping).catch(() => this.#runOn());
  };

  readonly #onResumed = (): void => {
    const wasPaused = this.#state.kind === 'paused';
    if (this.#state.kind !== 'stepping') this.#state = { kind: 'running' };
    if (wasPaused || this.#state.kind === 'stepping') this.#owner.onResumed(this);
  };

  async #decide(event: PausedEvent, wasStepping: boolean): Promise<void> {
    const causes = causesOf(event);
    const isOwn = isOwnCode(this.placeOf(event.callFrames[0]?.location ?? { scriptId: '', lineNumber: 0 }).url);
    const hit = await this.#breakpointsAt(event, causes);
    const isStop = hit.length > 0 || (wasStepping && !isOwn);
    if (!isStop || (isOwn && causes.every(({ reason }) => reason.startsWith('exception')))) {
      this.#passOver();
      return;
    }
    // It may have gone on, or be gone.
    if (this.#state.kind !== 'deciding') return;
    const stop = { event: framesOfCaller(event, (at) => this.placeOf(at).url), causes, breakpoints: hit };
    for (const breakpoint of hit) breakpoint.pauses += 1;
    this.#state = { kind: 'paused', stop };
    this.#owner.onPaused(this, stop);
  }

  /** The breakpoints that stop here: those that log have done so, and those whose condition is false are left out. */
  async #breakpointsAt(
    { hitBreakpoints = [], callFrames }: PausedEvent,
    causes: readonly PauseCause[],
  ): Promise<Breakpoint[]> {
    const lineIds = new Set(hitBreakpoints.map((id) => this.#breakpointOf(id)));
    const hit = await Promise.all(
      this.#owner.breakpointsFor(this).map(async (breakpoint) => {
        // Chrome has evaluated the condition of a line.
        if (breakpoint.trigger.on === 'line') return lineIds.has(breakpoint.id);
        if (!causes.some((cause) => isCausedBy(cause, breakpoint))) return false;
        const expression = pausedExpression(breakpoint);
        const [top] = callFrames;
        if (callFrames.some(({ location }) => isBrowserScript(this.placeOf(location).url))) return false;
        if (expression === undefined || top === undefined) return true;
        const answer = await unlessGone(this.evaluate(top.callFrameId, expression, 2_000));
        return answer?.result.value !== undefined
          ? Boolean(answer.result.value)
          : answer?.result.objectId !== undefined;
      }),
    );
    return this.#owner.breakpointsFor(this).filter((_, index) => hit[index]);
  }

  /** A `debugger` statement, or the pause of another client: only what a session has asked for holds its pages. */
  #passOver(): void {
    const timer = setTimeout(() => this.#runOn(), this.#owner.isShared(this) ? foreignPauseMs : 0);
    this.session.once('Debugger.resumed', () => clearTimeout(timer));
    this.ended.addEventListener('abort', () => clearTimeout(timer), { once: true });
  }

  #runOn(): void {
    void this.session.send('Debugger.resume').catch(noop);
  }
}
