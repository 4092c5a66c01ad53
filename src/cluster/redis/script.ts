import { defineScript, type CommandParser } from '@redis/client';

/** A script that Redis runs as one step; loaded at its first use, then called by its hash. */
export const defineLuaScript = (lua: string) =>
  defineScript({
    SCRIPT: lua,
    parseCommand(parser: CommandParser, keys: readonly string[], values: readonly (string | number)[]) {
      parser.pushKeysLength([...keys]);
      parser.push(...values.map(String));
    },
    transformReply: (reply: unknown): unknown => reply,
  });
