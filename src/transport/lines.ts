const newline = 0x0a;

/** One line, or the fact that it was longer than allowed. */
export type DecodedLine = { readonly text: string } | { readonly fault: 'too_large' | 'parse_error' };

/**
 * Cuts bytes into lines of UTF-8. A line past the limit is passed over without being kept, and told of once it ends; empty
 * lines say nothing. Holds at most one line that is not complete (S10).
 */
export class LineReader {
  readonly #limit: number;
  readonly #decoder = new TextDecoder('utf-8', { fatal: true });
  #parts: Buffer[] = [];
  #length = 0;

  /** @param limit in bytes, without the line's end. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The lines that this chunk completes, in their order. */
  *read(chunk: Buffer): Generator<DecodedLine> {
    let start = 0;
    for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, start)) {
      this.#append(chunk.subarray(start, end));
      start = end + 1;
      const line = this.#completeLine();
      if (line !== null) yield line;
    }
    this.#append(chunk.subarray(start));
  }

  #append(part: Buffer): void {
    this.#length += part.length;
    if (this.#length > this.#limit) this.#parts = [];
    else if (part.length > 0) this.#parts.push(part);
  }

  #completeLine(): DecodedLine | null {
    const [parts, length] = [this.#parts, this.#length];
    [this.#parts, this.#length] = [[], 0];
    if (length > this.#limit) return { fault: 'too_large' };
    try {
      const text = this.#decoder.decode(Buffer.concat(parts)).trim();
      return text === '' ? null : { text };
    } catch {
      return { fault: 'parse_error' };
    }
  }
}
