import { Refusal } from '../errors/errors.js';

/** Sessions of one user that may have their full share of unread answers at once. */
const sessionsPerUser = 4;
/** Users that may owe their full share at once. */
const users = 4;
/** Answers up to this size are not refused because of other users. */
const smallAnswerBytes = 64 * 1024;

/**
 * The bytes of answers that clients have not read, or that are being prepared for them, bounded for each session over all
 * its streams, for each user, and in total (S10). A message that is written counts until the operating system has taken it
 * or its connection is closed.
 */
export class ResponseMemory {
  readonly #limit: number;
  readonly #bytesByUser = new Map<string, number>();
  #totalBytes = 0;

  /** @param limit bytes of one session: `--session-memory`. */
  constructor(limit = 32 * 1024 ** 2) {
    this.#limit = limit;
  }

  /** The memory of one session. `user`: its owner as a map key. */
  open(user: string): SessionMemory {
    return new SessionMemory(this, user, this.#limit);
  }

  /** Whether a user may owe so many more bytes. */
  fits(user: string, bytes: number): boolean {
    const userLimit = sessionsPerUser * this.#limit;
    if ((this.#bytesByUser.get(user) ?? 0) + bytes > userLimit) return false;
    return bytes <= smallAnswerBytes || this.#totalBytes + bytes <= users * userLimit;
  }

  add(user: string, bytes: number): void {
    const userBytes = (this.#bytesByUser.get(user) ?? 0) + bytes;
    if (userBytes > 0) this.#bytesByUser.set(user, userBytes);
    else this.#bytesByUser.delete(user);
    this.#totalBytes += bytes;
  }
}

/** The part of one session. Owned by its transport. */
export class SessionMemory {
  readonly #memory: ResponseMemory;
  readonly #user: string;
  readonly #limit: number;
  #bytes = 0;
  #browserBytes: () => number = () => 0;

  constructor(memory: ResponseMemory, user: string, limit: number) {
    this.#memory = memory;
    this.#user = user;
    this.#limit = limit;
  }

  /** Bytes that wait now. */
  get bytes(): number {
    return this.#bytes;
  }

  /** All that is kept for the client: also of the session's browser. */
  get keptBytes(): number {
    return this.#bytes + this.#browserBytes();
  }

  /** Also counts the kept bytes of the session's browser, which have a bound of their own below the limit. */
  countKept(bytes: () => number): void {
    this.#browserBytes = bytes;
  }

  /** Throws `queue_full` while the client has to read first. */
  checkRoom(): void {
    if (this.keptBytes >= this.#limit || !this.#memory.fits(this.#user, 0)) throw this.refusal();
  }

  /** Whether an answer of this size may be written. One answer of any size fits a session that owes nothing. */
  fits(bytes: number): boolean {
    return (this.#bytes === 0 || this.keptBytes + bytes <= this.#limit) && this.#memory.fits(this.#user, bytes);
  }

  /** Counts bytes for as long as they are kept. The caller releases them; releasing twice does nothing. */
  hold(bytes: number): () => void {
    let held = bytes;
    this.#add(held);
    return () => {
      this.#add(-held);
      held = 0;
    };
  }

  /** Holds the bytes of an answer that is being prepared. Throws `queue_full` if they do not fit. */
  reserve(bytes: number): () => void {
    if (!this.fits(bytes)) throw this.refusal();
    return this.hold(bytes);
  }

  /** The refusal of a request or an answer for as long as too much is unread. */
  refusal(): Refusal {
    const detail =
      `Too many bytes of answers are unread or being prepared: ${this.#bytes}, and ${this.#browserBytes()} are kept of the ` +
      'pages. Read the answers that wait, then send again.';
    return new Refusal('queue_full', { detail, limit: `--session-memory ${this.#limit}` });
  }

  #add(bytes: number): void {
    this.#bytes += bytes;
    this.#memory.add(this.#user, bytes);
  }
}
