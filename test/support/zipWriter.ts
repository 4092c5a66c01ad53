import { crc32, deflateRawSync } from 'node:zlib';

export interface ZipEntry {
  readonly name: string;
  readonly content: string | Buffer;
  /** Unix type and permissions. Default: a plain file. */
  readonly mode?: number;
  /** What the archive says that the content is long. Default: the truth. */
  readonly claimedLength?: number;
  /** Default: the right one. */
  readonly checksum?: number;
  readonly isEncrypted?: boolean;
}

/** A zip archive with exactly what it is told to have, also what a proper one would not. */
export function zip(entries: readonly ZipEntry[]): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const entry of entries) {
    const { local, central } = encode(entry, offset);
    parts.push(local);
    directory.push(central);
    offset += local.length;
  }
  const index = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(index.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, index, end]);
}

/** The same behind the header of a crx of version 3, with a signature that says nothing. */
export function crx(archive: Buffer): Buffer {
  const signatures = Buffer.from('no signature');
  const header = Buffer.alloc(12);
  header.write('Cr24', 0, 'latin1');
  header.writeUInt32LE(3, 4);
  header.writeUInt32LE(signatures.length, 8);
  return Buffer.concat([header, signatures, archive]);
}

function encode(entry: ZipEntry, offset: number): { local: Buffer; central: Buffer } {
  const content = Buffer.from(entry.content);
  const packed = deflateRawSync(content);
  const name = Buffer.from(entry.name);
  // Version 2.0, names in UTF-8, deflated, without a date.
  const common = Buffer.alloc(26);
  common.writeUInt16LE(20, 0);
  common.writeUInt16LE(entry.isEncrypted === true ? 0x0801 : 0x0800, 2);
  common.writeUInt16LE(8, 4);
  common.writeUInt32LE(entry.checksum ?? crc32(content), 10);
  common.writeUInt32LE(packed.length, 14);
  common.writeUInt32LE(entry.claimedLength ?? content.length, 18);
  common.writeUInt16LE(name.length, 22);
  const attributes = Buffer.alloc(14);
  attributes.writeUInt32LE(((entry.mode ?? 0o100644) << 16) >>> 0, 6);
  attributes.writeUInt32LE(offset, 10);
  const madeByUnix = Buffer.from([20, 3]);
  return {
    local: Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), common, name, packed]),
    central: Buffer.concat([Buffer.from('PK\x01\x02', 'latin1'), madeByUnix, common, attributes, name]),
  };
}
