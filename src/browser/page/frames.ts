import type { CDPSession, Protocol } from 'puppeteer-core';
import { attachToChildren } from '../cdp/cdpSessions.js';
import type { PendingNavigations } from './pendingNavigations.js';

/** A frame, and the session of the process that renders it. */
export interface FrameSession {
  readonly frameId: string;
  readonly cdp: CDPSession;
}

/** A document in a frame. A new document has a new `loaderId`. */
export interface FrameDocument extends FrameSession {
  readonly loaderId: string;
  readonly url: string;
  readonly mimeType: string;
  readonly parentId: string | undefined;
}

interface RemoteFrame {
  readonly cdp: CDPSession;
  readonly parent: CDPSession;
}

/**
 * The CDP sessions of a page: its own, and one per out-of-process frame at any depth (flat auto-attach). Owned by its
 * page; the sessions close with it.
 */
export class Frames {
  readonly #root: CDPSession;
  /** By frame id, which is also the target id. */
  readonly #remote = new Map<string, RemoteFrame>();
  #mainId = '';
  readonly #navigations: PendingNavigations;
  readonly #onDocument: (frameId: string, loaderId: string | undefined) => void;

  /** `onDocument` is called for every new document of a frame, and without a loader when the frame is removed. */
  constructor(
    root: CDPSession,
    navigations: PendingNavigations,
    onDocument: (frameId: string, loaderId: string | undefined) => void,
  ) {
    this.#root = root;
    this.#navigations = navigations;
    this.#onDocument = onDocument;
    navigations.watch(root, () => this.#mainId);
    this.#watch(root);
  }

  /** Attaches to all frames, present and future. */
  async start(): Promise<void> {
    const [{ frameTree }] = await Promise.all([this.#root.send('Page.getFrameTree'), attachToChildren(this.#root)]);
    this.#mainId = frameTree.frame.id;
  }

  /** The page's outermost frame. */
  get mainId(): string {
    return this.#mainId;
  }

  /** Every document of the page, a parent before its children. Not of a frame that waits for its server. */
  async documents(): Promise<FrameDocument[]> {
    const [root, ...remote] = this.frameSessions().map(({ cdp }) =>
      this.#navigations.unlessBlocked(cdp, readTree(cdp)),
    );
    // A frame that is removed meanwhile is no longer part of the page.
    const trees = await Promise.all([root ?? [], ...remote.map((tree) => tree.catch(() => []))]);
    return trees.flat();
  }

  /** The outermost frame of each session, the page's own first. Not one that waits for its server: it does not answer. */
  frameSessions(): FrameSession[] {
    const remote = [...this.#remote].map(([frameId, { cdp }]) => ({ frameId, cdp }));
    const answering = remote.filter(({ cdp }) => !this.#navigations.blocks(cdp));
    return [{ frameId: this.#mainId, cdp: this.#root }, ...answering];
  }

  /** The page's own session first. */
  sessions(): CDPSession[] {
    return [this.#root, ...[...this.#remote.values()].map(({ cdp }) => cdp)];
  }

  /** The target of one of the page's sessions. A page's target has the id of its main frame. */
  targetIdOf(cdp: CDPSession): string {
    return [...this.#remote].find(([, frame]) => frame.cdp === cdp)?.[0] ?? this.#mainId;
  }

  /** Target ids of the out-of-process frames. */
  remoteTargetIds(): string[] {
    return [...this.#remote.keys()];
  }

  /** Where a session's coordinates begin in the page's viewport, in CSS pixels. */
  async originOf(cdp: CDPSession): Promise<{ x: number; y: number }> {
    const entry = [...this.#remote].find(([, frame]) => frame.cdp === cdp);
    if (!entry) return { x: 0, y: 0 };
    const [frameId, { parent }] = entry;
    const { backendNodeId } = await parent.send('DOM.getFrameOwner', { frameId });
    const { model } = await parent.send('DOM.getBoxModel', { backendNodeId });
    const [x = 0, y = 0] = model.content;
    const outer = await this.originOf(parent);
    return { x: outer.x + x, y: outer.y + y };
  }

  #watch(cdp: CDPSession): void {
    cdp.on('Page.frameNavigated', ({ frame }) => {
      if (cdp === this.#root && frame.parentId === undefined) this.#mainId = frame.id;
      this.#onDocument(frame.id, frame.loaderId);
    });
    cdp.on('Page.frameDetached', ({ frameId, reason }) => {
      if (reason === 'remove') this.#onDocument(frameId, undefined);
    });
    cdp.on('Target.attachedToTarget', ({ sessionId, targetInfo }) => {
      const session = cdp.connection()?.session(sessionId);
      if (session && targetInfo.type === 'iframe') this.#addRemote(targetInfo.targetId, { cdp: session, parent: cdp });
    });
    cdp.on('Target.detachedFromTarget', ({ sessionId }) => {
      for (const [frameId, frame] of this.#remote) if (frame.cdp.id() === sessionId) this.#removeRemote(frameId);
    });
  }

  #addRemote(frameId: string, frame: RemoteFrame): void {
    this.#remote.set(frameId, frame);
    this.#watch(frame.cdp);
    this.#navigations.watch(frame.cdp, () => frameId);
    const started = Promise.all([frame.cdp.send('Page.enable'), attachToChildren(frame.cdp)]);
    void started.catch(() => this.#removeRemote(frameId));
  }

  /** With the frames in it: their ends are reported to its session, which is gone. */
  #removeRemote(frameId: string): void {
    const session = this.#remote.get(frameId)?.cdp;
    this.#remote.delete(frameId);
    this.#navigations.forget(frameId);
    for (const [inner, { parent }] of this.#remote) if (parent === session) this.#removeRemote(inner);
  }
}

async function readTree(cdp: CDPSession): Promise<FrameDocument[]> {
  const { frameTree } = await cdp.send('Page.getFrameTree');
  const documents: FrameDocument[] = [];
  const collect = ({ frame, childFrames }: Protocol.Page.FrameTree): void => {
    const { id: frameId, loaderId, url, mimeType, parentId } = frame;
    documents.push({ frameId, loaderId, url, mimeType, parentId, cdp });
    childFrames?.forEach(collect);
  };
  collect(frameTree);
  return documents;
}
