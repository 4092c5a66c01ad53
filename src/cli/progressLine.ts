import type { WriteStream } from 'node:tty';

/** Shows what a long step does, text by text. */
export interface ProgressLine {
  /** Whether every text replaces the one before it. */
  readonly isMoving: boolean;
  show(text: string): void;
  /** Removes the line, before something else is written. */
  clear(): void;
}

const clearLine = '\r\u001b[K';

/** On a terminal one line that moves; elsewhere a line for each text. */
export function createProgressLine(
  stream: Pick<WriteStream, 'isTTY' | 'columns'> & { write(text: string): unknown },
): ProgressLine {
  if (!stream.isTTY) {
    return { isMoving: false, show: (text) => void stream.write(`${text}\n`), clear: () => undefined };
  }
  let isShown = false;
  return {
    isMoving: true,
    show(text) {
      isShown = true;
      const line = text.replace(/\p{C}+/gu, ' ').slice(0, Math.max(20, (stream.columns || 80) - 1));
      stream.write(clearLine + line);
    },
    clear() {
      if (isShown) stream.write(clearLine);
      isShown = false;
    },
  };
}
